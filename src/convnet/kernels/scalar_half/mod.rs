//! Portable kernels for maps in f16: blocks of 8 channels, computed in f32 and rounded after each operation.
//!
//! They are the twin of `neon_half`, with the same order of operations, so that any machine can test plans in f16. Depthwise
//! tiles are as wide as its own, because the order of sums depends on the width. A sum in f32 is rounded before its rounding
//! to f16, and a reciprocal is a quotient here: the twins differ by one or two units in the last place where that matters.

use super::element::{Half, Number};
use super::epilogue::Epilogue;
use super::vector::{Picks, Vector};

/// Values that f16 holds.
#[derive(Clone, Copy)]
pub struct F16x8([f32; 8]);

/// Products that are summed up in f16 before the sum goes into one of f32.
pub const LONGEST_SUM: usize = 128;

fn rounded(x: f32) -> f32 {
    Half::from_f32(x).to_f32()
}

impl F16x8 {
    fn map(self, f: impl Fn(f32) -> f32) -> Self {
        F16x8(self.0.map(|a| rounded(f(a))))
    }

    fn zip(self, b: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        F16x8(std::array::from_fn(|i| rounded(f(self.0[i], b.0[i]))))
    }
}

// SAFETY: needs no instruction set; pointers are accessed for the lanes that the trait names.
unsafe impl Vector for F16x8 {
    type Element = Half;
    type Wide = super::scalar::F32x4;
    type Sums = [f32; 8];

    const LANES: usize = 8;
    const REGISTERS: usize = 32;
    const MEMORY_OPERANDS: bool = false;
    const PAIRS: bool = true;
    const LONGEST_SUM: usize = LONGEST_SUM;

    #[inline(always)]
    unsafe fn load(p: *const Half) -> Self {
        // SAFETY: the caller's pointer is valid for 8 lanes.
        F16x8(unsafe { p.cast::<[Half; 8]>().read_unaligned() }.map(Half::to_f32))
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut Half) {
        // SAFETY: the caller's pointer is valid for 8 lanes.
        unsafe {
            p.cast::<[Half; 8]>()
                .write_unaligned(self.0.map(Half::from_f32))
        }
    }

    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize) {
        for (i, v) in self.0.iter().enumerate().take(n) {
            // SAFETY: the caller's pointer is valid for n lanes.
            unsafe { p.add(i).write(*v) }
        }
    }

    #[inline(always)]
    unsafe fn finish_in_memory(
        out: *mut Half,
        step: usize,
        residual: *const Half,
        n: usize,
        epilogue: &Epilogue,
    ) {
        // SAFETY: the caller's.
        unsafe { finish_in_memory(out, step, residual, n, epilogue) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        F16x8([rounded(x); 8])
    }

    #[inline(always)]
    unsafe fn widen(self, p: *mut f32) {
        // SAFETY: the caller's pointer is valid for 8 lanes.
        unsafe { p.cast::<[f32; 8]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn narrow(p: *const f32) -> Self {
        // SAFETY: the caller's pointer is valid for 8 lanes.
        F16x8(unsafe { p.cast::<[f32; 8]>().read_unaligned() }.map(rounded))
    }

    #[inline(always)]
    unsafe fn add_to(self, sums: &mut [f32; 8]) {
        for (sum, v) in sums.iter_mut().zip(self.0) {
            *sum += v;
        }
    }

    #[inline(always)]
    unsafe fn from_sums(sums: &[f32; 8], factor: f32) -> Self {
        F16x8(*sums).map(|sum| sum * factor)
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        self.zip(b, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        self.zip(b, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        self.zip(b, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        self.zip(b, |a, b| a / b)
    }

    /// The product is exact in f32.
    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        F16x8(std::array::from_fn(|i| {
            rounded(self.0[i] * b.0[i] + c.0[i])
        }))
    }

    #[inline(always)]
    unsafe fn fnma(self, b: Self, c: Self) -> Self {
        F16x8(std::array::from_fn(|i| {
            rounded(c.0[i] - self.0[i] * b.0[i])
        }))
    }

    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        self.zip(b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn min(self, b: Self) -> Self {
        self.zip(b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        self.map(f32::sqrt)
    }

    #[inline(always)]
    unsafe fn abs(self) -> Self {
        self.map(f32::abs)
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        self.map(f32::round_ties_even)
    }

    #[inline(always)]
    unsafe fn if_negative(self, a: Self, b: Self) -> Self {
        F16x8(std::array::from_fn(|i| {
            if self.0[i] < 0. { a.0[i] } else { b.0[i] }
        }))
    }

    #[inline(always)]
    unsafe fn scale2(self, n: Self) -> Self {
        self.zip(n, |p, n| p * n.exp2())
    }

    #[inline(always)]
    unsafe fn reciprocal(self) -> Self {
        self.map(|x| 1. / x)
    }

    #[inline(always)]
    unsafe fn merge(self, source: Self, picks: &Picks) -> Self {
        F16x8(std::array::from_fn(|i| {
            if picks.mask >> i & 1 == 1 {
                source.0[picks.lanes[i] as usize & 7]
            } else {
                self.0[i]
            }
        }))
    }

    /// Every step rounds, as the instructions of `neon_half` do.
    #[inline(always)]
    unsafe fn times_logistic(self, x: Self) -> Self {
        F16x8(std::array::from_fn(|i| {
            let x = x.0[i];
            if x.is_nan() {
                return f32::NAN;
            }
            let d = logistic_denominator(x);
            let q = rounded(1. / d);
            rounded(self.0[i] * q)
        }))
    }
}

/// 1 + e⁻ˣ, with x limited to what keeps the power finite.
fn logistic_denominator(x: f32) -> f32 {
    let limited = x.clamp(-LOGISTIC_LIMIT, LOGISTIC_LIMIT);
    let t = rounded(limited * LOGISTIC[0] + LOGISTIC_MAGIC);
    let n = t - LOGISTIC_MAGIC;
    let r = rounded(limited * LOGISTIC[0] - n);
    let r = rounded(limited * LOGISTIC[1] + r);
    let p = rounded(r * rounded(LOGISTIC[5]) + rounded(LOGISTIC[4]));
    let p = rounded(p * r + rounded(LOGISTIC[3]));
    let p = rounded(p * r + rounded(LOGISTIC[2]));
    rounded(p * n.exp2() + 1.)
}

/// Largest magnitude whose power of e is a power of two times 0.7 to 1.4 that f16 can hold.
pub const LOGISTIC_LIMIT: f32 = 9.7;

/// 1.5 · 2¹⁰ + 15: after its addition, the low bits are the exponent of 2ⁿ.
pub const LOGISTIC_MAGIC: f32 = 1551.;

/// The negative of log2 e in two parts that f16 holds, and a polynomial for 2ʳ with r of −0.5 to 0.5.
pub const LOGISTIC: [f32; 6] = [
    -1.442_382_8,
    -3.122e-4,
    1.,
    std::f32::consts::LN_2,
    0.240_226_5,
    0.055_504_1,
];

super::instantiate::instantiate! {
    name: "scalar f16", vector: F16x8, attributes: [],
    dense: [1 2 3 4], any: [1 2],
    depthwise1: [1 2 3 4 5 6 7 8], depthwise2: [1 2 3 4 5 6 7 8]
}
