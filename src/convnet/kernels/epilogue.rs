//! Activation and residual, applied to a result while it is still in registers or in L1.

use super::activate::apply;
use super::vector::Vector;
use crate::convnet::graph::Activation;

/// `after(before(x) + residual)`, or `after(before(x))` without a residual.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Epilogue {
    pub before: Option<Activation>,
    pub after: Option<Activation>,
}

impl Epilogue {
    /// True if both activations are cheap enough to run on the accumulators.
    ///
    /// A loop over the accumulators with a large body makes the compiler keep them in memory, which costs more than
    /// half of a tile's speed. Costly functions therefore run on the tile just stored, which is still in L1.
    #[inline]
    pub fn in_registers(&self) -> bool {
        let cheap = |a: Option<Activation>| match a {
            None | Some(Activation::Relu | Activation::Clip { .. }) => true,
            Some(Activation::LeakyRelu { slope }) => slope.is_finite(),
            _ => false,
        };
        cheap(self.before) && cheap(self.after)
    }
}

/// Registers of a tile: `T` pixels by `B` blocks.
pub type Tile<V, const T: usize, const B: usize> = [[V; B]; T];

/// Destination of a tile.
#[derive(Clone, Copy)]
pub struct Target<E, const B: usize> {
    /// First pixel of each block.
    pub out: [*mut E; B],
    /// Floats from one pixel to the next.
    pub step: usize,
    /// First pixel of each block of the residual, one register after the other; null if there is none.
    pub residual: [*const E; B],
}

/// Finishes and stores a tile.
///
/// # Safety
/// The processor has V's instruction set; `to` is valid for T pixels.
#[inline(always)]
pub unsafe fn finish<V: Vector, const T: usize, const B: usize>(
    mut acc: Tile<V, T, B>,
    epilogue: &Epilogue,
    in_registers: bool,
    to: &Target<V::Element, B>,
) {
    // SAFETY: the caller's.
    unsafe {
        if in_registers {
            clamp(&mut acc, epilogue.before);
            if !to.residual[0].is_null() {
                for (t, row) in acc.iter_mut().enumerate() {
                    for (b, v) in row.iter_mut().enumerate() {
                        *v = v.add(V::load(to.residual[b].add(t * V::LANES)));
                    }
                }
            }
            clamp(&mut acc, epilogue.after);
        }
        if V::PAIRS && to.step == V::LANES {
            for (t, row) in acc.iter().enumerate() {
                for (b, v) in row.iter().enumerate() {
                    v.store(to.out[b].add(t * V::LANES));
                }
            }
        } else {
            for (t, row) in acc.iter().enumerate() {
                for (b, v) in row.iter().enumerate() {
                    v.store(to.out[b].add(t * to.step));
                }
            }
        }
        if !in_registers {
            for b in 0..B {
                V::finish_in_memory(to.out[b], to.step, to.residual[b], T, epilogue);
            }
        }
    }
}

/// Applies a cheap activation to the accumulators.
#[inline(always)]
unsafe fn clamp<V: Vector, const T: usize, const B: usize>(
    acc: &mut Tile<V, T, B>,
    activation: Option<Activation>,
) {
    macro_rules! each {
        (|$x:ident| $f:expr) => {
            for row in acc.iter_mut() {
                for v in row.iter_mut() {
                    let $x = *v;
                    *v = $f;
                }
            }
        };
    }
    // SAFETY: the caller's.
    unsafe {
        match activation {
            Some(Activation::Relu) => each!(|x| V::zero().max(x)),
            Some(Activation::Clip { min, max }) => {
                let (min, max) = (V::splat(min), V::splat(max));
                each!(|x| max.min(min.max(x)))
            }
            Some(Activation::LeakyRelu { slope }) => {
                let slope = V::splat(slope);
                each!(|x| x.leaky(slope))
            }
            _ => (),
        }
    }
}

/// Applies an epilogue to `n` pixels of one block in memory.
///
/// # Safety
/// The processor has V's instruction set; `out` is valid for n pixels, `residual` as well or null.
#[inline(always)]
pub unsafe fn in_memory<V: Vector>(
    out: *mut V::Element,
    step: usize,
    residual: *const V::Element,
    n: usize,
    epilogue: &Epilogue,
) {
    // SAFETY: the caller's; `step` is one register, or pixels are handled one at a time.
    unsafe {
        let each = if step == V::LANES { n } else { 1 };
        let mut at = 0;
        while at < n {
            let p = out.add(at * step);
            if let Some(activation) = epilogue.before {
                apply::<V>(p, each, activation);
            }
            if !residual.is_null() {
                for i in 0..each {
                    let q = p.add(i * V::LANES);
                    V::load(q)
                        .add(V::load(residual.add((at + i) * V::LANES)))
                        .store(q);
                }
            }
            if let Some(activation) = epilogue.after {
                apply::<V>(p, each, activation);
            }
            at += each;
        }
    }
}
