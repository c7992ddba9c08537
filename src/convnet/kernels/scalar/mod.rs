//! Portable kernels: blocks of 4 channels as arrays, which the compiler maps to SSE2 or NEON.

use super::epilogue::Epilogue;
use super::vector::{Picks, Vector};

#[derive(Clone, Copy)]
pub struct F32x4([f32; 4]);

impl F32x4 {
    #[inline(always)]
    fn map(self, f: impl Fn(f32) -> f32) -> Self {
        F32x4(self.0.map(f))
    }

    #[inline(always)]
    fn zip(self, b: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        F32x4(std::array::from_fn(|i| f(self.0[i], b.0[i])))
    }
}

// SAFETY: needs no instruction set; pointers are accessed for the lanes that the trait names.
unsafe impl Vector for F32x4 {
    type Element = f32;
    type Wide = Self;
    type Sums = ();
    const LANES: usize = 4;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller's pointer is valid for 4 lanes.
        F32x4(unsafe { p.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller's pointer is valid for 4 lanes.
        unsafe { p.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn finish_in_memory(
        out: *mut f32,
        step: usize,
        residual: *const f32,
        n: usize,
        epilogue: &Epilogue,
    ) {
        // SAFETY: the caller's.
        unsafe { finish_in_memory(out, step, residual, n, epilogue) }
    }

    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize) {
        for (i, v) in self.0.iter().enumerate().take(n) {
            // SAFETY: the caller's pointer is valid for n lanes.
            unsafe { p.add(i).write(*v) }
        }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        F32x4([x; 4])
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

    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        F32x4(std::array::from_fn(|i| self.0[i] * b.0[i] + c.0[i]))
    }

    #[inline(always)]
    unsafe fn fnma(self, b: Self, c: Self) -> Self {
        F32x4(std::array::from_fn(|i| c.0[i] - self.0[i] * b.0[i]))
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
        // Adding 1.5 · 2²³ leaves no fraction bits.
        self.map(|x| (x + 12_582_912.) - 12_582_912.)
    }

    #[inline(always)]
    unsafe fn if_negative(self, a: Self, b: Self) -> Self {
        F32x4(std::array::from_fn(|i| {
            if self.0[i] < 0. { a.0[i] } else { b.0[i] }
        }))
    }

    #[inline(always)]
    unsafe fn scale2(self, n: Self) -> Self {
        self.zip(n, |p, n| {
            p * f32::from_bits((n as i32 + 127).cast_unsigned() << 23)
        })
    }

    #[inline(always)]
    unsafe fn reciprocal(self) -> Self {
        self.map(|x| 1. / x)
    }

    #[inline(always)]
    unsafe fn merge(self, source: Self, picks: &Picks) -> Self {
        F32x4(std::array::from_fn(|i| {
            if picks.mask >> i & 1 == 1 {
                source.0[picks.lanes[i] as usize & 3]
            } else {
                self.0[i]
            }
        }))
    }
}

super::instantiate::instantiate! {
    name: "scalar", vector: F32x4, attributes: [],
    dense: [1 2 3 4 5], any: [1 2 3 4], depthwise1: [1 2 3 4], depthwise2: [1 2 3 4]
}
