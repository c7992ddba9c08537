//! Activations on registers. Every function propagates NaN.

use super::element::{Element, Number};
use super::vector::{Vector, exp};
use crate::convnet::graph::Activation;

/// Replaces `n` registers from `p` on by a function of each; one loop per function, so that constants stay in registers.
/// Where instructions load pairs, two registers take their turn together: the processor has something to do while one waits.
macro_rules! each_register {
    ($V:ident, $p:expr, $n:expr, |$x:ident| $f:expr) => {{
        let (mut at, pairs) = ($p, if $V::PAIRS { $n / 2 } else { 0 });
        for _ in 0..pairs {
            let $x = $V::load(at);
            let first = $f;
            let $x = $V::load(at.add($V::LANES));
            let second = $f;
            first.store(at);
            second.store(at.add($V::LANES));
            at = at.add(2 * $V::LANES);
        }
        for _ in 2 * pairs..$n {
            let $x = $V::load(at);
            $f.store(at);
            at = at.add($V::LANES);
        }
    }};
}

/// Applies `activation` in place to `n` registers from `p` on.
///
/// # Safety
/// The processor has V's instruction set; `p` is valid for `n` registers.
#[inline(always)]
pub unsafe fn apply<V: Vector>(p: *mut V::Element, n: usize, activation: Activation) {
    macro_rules! each {
        (|$x:ident| $f:expr) => {
            each_register!(V, p, n, |$x| $f)
        };
    }
    if V::Element::ELEMENT != Element::F32 && !is_fit_for_f16(activation) {
        // SAFETY: the caller's.
        return unsafe { widened::<V>(p, n, activation) };
    }
    let one = 1f32;
    // SAFETY: `at` stays within the n registers.
    unsafe {
        match activation {
            Activation::Relu => each!(|x| V::zero().max(x)),
            Activation::Clip { min, max } => {
                each!(|x| V::splat(max).min(V::splat(min).max(x)))
            }
            Activation::LeakyRelu { slope } => {
                each!(|x| x.if_negative(x.mul(V::splat(slope)), x))
            }
            Activation::Silu => each!(|x| x.times_logistic(x)),
            Activation::HardSwish => each!(|x| {
                let gate = x.fma(V::splat(one / 6.), V::splat(0.5));
                x.mul(V::splat(one).min(V::zero().max(gate)))
            }),
            Activation::HardSigmoid { alpha, beta } => each!(|x| {
                let gate = x.fma(V::splat(alpha), V::splat(beta));
                V::splat(one).min(V::zero().max(gate))
            }),
            Activation::Sigmoid => each!(|x| V::splat(one).times_logistic(x)),
            Activation::Mish => each!(|x| mish(x)),
            Activation::Gelu => each!(|x| gelu(x)),
            Activation::GeluTanh => each!(|x| {
                let cubic = x.mul(x).fma(V::splat(0.044_715), V::splat(one)).mul(x);
                // 0.5 (1 + tanh t) is the logistic function of 2 t
                x.times_logistic(cubic.mul(V::splat(1.595_769)))
            }),
            Activation::Tanh => each!(|x| tanh(x)),
            Activation::Elu { alpha } => each!(|x| {
                let below = exp(x).sub(V::splat(one)).mul(V::splat(alpha));
                x.if_negative(below, x)
            }),
            Activation::Exp => each!(|x| exp(x)),
            Activation::Sqrt => each!(|x| x.sqrt()),
            Activation::Abs => each!(|x| x.abs()),
            Activation::Reciprocal => each!(|x| V::splat(one).div(x)),
            Activation::Square => each!(|x| x.mul(x)),
            Activation::Softplus => {
                one_by_one(p, n * V::LANES, |x| x.max(0.) + (-x.abs()).exp().ln_1p())
            }
            Activation::Log => one_by_one(p, n * V::LANES, f32::ln),
        }
    }
}

/// True for functions that f16 is fine enough for in all their steps.
fn is_fit_for_f16(activation: Activation) -> bool {
    use Activation::*;
    matches!(
        activation,
        Relu | Clip { .. }
            | LeakyRelu { .. }
            | Silu
            | Sigmoid
            | HardSwish
            | HardSigmoid { .. }
            | Abs
            | Square
            | Sqrt
            | Reciprocal
    )
}

/// Applies an activation in f32.
#[inline(always)]
unsafe fn widened<V: Vector>(p: *mut V::Element, n: usize, activation: Activation) {
    for i in 0..n {
        let mut lanes = [0f32; 16];
        // SAFETY: the caller's; no register has more lanes.
        unsafe {
            let at = p.add(i * V::LANES);
            V::load(at).widen(lanes.as_mut_ptr());
            apply::<V::Wide>(
                lanes.as_mut_ptr(),
                V::LANES.div_ceil(V::Wide::LANES),
                activation,
            );
            V::narrow(lanes.as_ptr()).store(at);
        }
    }
}

/// For functions so rare that no vector code is worth its size.
///
/// # Safety
/// `p` is valid for `n` values.
#[inline(never)]
unsafe fn one_by_one<E: Number>(p: *mut E, n: usize, f: impl Fn(f32) -> f32) {
    // SAFETY: the caller's.
    for x in unsafe { std::slice::from_raw_parts_mut(p, n) } {
        let value = x.to_f32();
        if !value.is_nan() {
            *x = E::from_f32(f(value));
        }
    }
}

/// x · tanh(ln(1 + eˣ)) = x · n / (n + 2) with n = e²ˣ + 2 eˣ
#[inline(always)]
unsafe fn mish<V: Vector>(x: V) -> V {
    // SAFETY: the caller's.
    unsafe {
        // above 20 the quotient is 1
        let e = exp(V::splat(20.).min(x));
        let n = e.mul(e.add(V::splat(2.)));
        x.mul(n.div(n.add(V::splat(2.))))
    }
}

/// 1 − 2 / (1 + e²ˣ); a polynomial near 0, where that would cancel.
#[inline(always)]
unsafe fn tanh<V: Vector>(x: V) -> V {
    // SAFETY: the caller's.
    unsafe {
        let x2 = x.mul(x);
        let far = V::splat(2.).times_logistic(x.add(x)).sub(V::splat(1.));
        let mut p = V::splat(-5.704_988_7e-3);
        for c in [2.063_909e-2, -5.373_971_5e-2, 1.333_144_2e-1, -3.333_328e-1] {
            p = p.fma(x2, V::splat(c));
        }
        let near = p.fma(x2.mul(x), x);
        x.abs().sub(V::splat(0.625)).if_negative(near, far)
    }
}

/// Error function by Abramowitz and Stegun 7.1.26, to 1.5e-7.
#[inline(always)]
unsafe fn gelu<V: Vector>(x: V) -> V {
    // SAFETY: the caller's.
    unsafe {
        let z = x.mul(V::splat(std::f32::consts::FRAC_1_SQRT_2));
        let a = z.abs();
        let t = V::splat(1.).div(a.fma(V::splat(0.327_591_1), V::splat(1.)));
        let mut p = V::splat(1.061_405_4);
        for c in [-1.453_152, 1.421_413_7, -0.284_496_75, 0.254_829_6] {
            p = p.fma(t, V::splat(c));
        }
        // half of erfc(|z|)
        let tail = p
            .mul(t)
            .mul(exp(V::zero().sub(a.mul(a))))
            .mul(V::splat(0.5));
        let phi = x.if_negative(tail, V::splat(1.).sub(tail));
        x.mul(phi)
    }
}
