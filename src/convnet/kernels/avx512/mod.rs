//! AVX-512 kernels: blocks of 16 channels, 32 registers.

use std::arch::x86_64::*;

use super::epilogue::Epilogue;
use super::vector::{Picks, Vector};

#[derive(Clone, Copy)]
pub struct F32x16(__m512);

/// 2^(i/16).
static SIXTEENTHS: [f32; 16] = [
    1.0,
    1.044_273_7,
    1.090_507_7,
    1.138_788_6,
    1.189_207_1,
    1.241_857_8,
    1.296_839_6,
    1.354_255_6,
    std::f32::consts::SQRT_2,
    1.476_826_2,
    1.542_210_8,
    1.610_490_3,
    1.681_792_9,
    1.756_252_2,
    1.834_008_1,
    1.915_206_6,
];

// SAFETY: the callers are compiled with AVX-512F and chosen only where the processor has it; pointers are
// accessed for the lanes that the trait names.
unsafe impl Vector for F32x16 {
    type Element = f32;
    type Wide = Self;
    type Sums = ();
    const LANES: usize = 16;
    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller's pointer is valid for 16 lanes.
        F32x16(unsafe { _mm512_loadu_ps(p) })
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller's pointer is valid for 16 lanes.
        unsafe { _mm512_storeu_ps(p, self.0) }
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
        // SAFETY: the caller's pointer is valid for n lanes; the mask lets no other lane through.
        unsafe { _mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as u16, self.0) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the processor has AVX-512F, as for the whole impl.
        F32x16(unsafe { _mm512_set1_ps(x) })
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: as above.
        F32x16(unsafe { _mm512_add_ps(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        // SAFETY: as above.
        F32x16(unsafe { _mm512_sub_ps(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        // SAFETY: as above.
        F32x16(unsafe { _mm512_mul_ps(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        // SAFETY: as above.
        F32x16(unsafe { _mm512_div_ps(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        // SAFETY: as above.
        F32x16(unsafe { _mm512_fmadd_ps(self.0, b.0, c.0) })
    }

    #[inline(always)]
    unsafe fn fnma(self, b: Self, c: Self) -> Self {
        // SAFETY: as above.
        F32x16(unsafe { _mm512_fnmadd_ps(self.0, b.0, c.0) })
    }

    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        // SAFETY: as above.
        F32x16(unsafe { _mm512_max_ps(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn min(self, b: Self) -> Self {
        // SAFETY: as above.
        F32x16(unsafe { _mm512_min_ps(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        // SAFETY: as above.
        F32x16(unsafe { _mm512_sqrt_ps(self.0) })
    }

    #[inline(always)]
    unsafe fn abs(self) -> Self {
        // SAFETY: as above.
        F32x16(unsafe { _mm512_abs_ps(self.0) })
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        // SAFETY: as above.
        F32x16(unsafe { _mm512_roundscale_ps::<0>(self.0) })
    }

    #[inline(always)]
    unsafe fn if_negative(self, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        F32x16(unsafe {
            let negative = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, _mm512_setzero_ps());
            _mm512_mask_blend_ps(negative, b.0, a.0)
        })
    }

    #[inline(always)]
    unsafe fn scale2(self, n: Self) -> Self {
        // SAFETY: as above.
        F32x16(unsafe { _mm512_scalef_ps(self.0, n.0) })
    }

    #[inline(always)]
    unsafe fn reciprocal(self) -> Self {
        // SAFETY: as above.
        unsafe {
            let r = F32x16(_mm512_rcp14_ps(self.0));
            // one Newton step: r + r (1 − d r)
            r.fma(self.fnma(r, Self::splat(1.)), r)
        }
    }

    #[inline(always)]
    unsafe fn merge(self, source: Self, picks: &Picks) -> Self {
        // SAFETY: as above; there are 16 lanes of picks.
        F32x16(unsafe {
            let lanes = _mm512_loadu_si512(picks.lanes.as_ptr().cast());
            _mm512_mask_permutexvar_ps(self.0, picks.mask as u16, lanes, source.0)
        })
    }

    /// About 10 cycles on Zen 4: 2^(i/16) comes from a register, the rest from a polynomial of degree 3.
    #[inline(always)]
    unsafe fn times_logistic(self, x: Self) -> Self {
        // SAFETY: as above.
        unsafe {
            let limited = Self::splat(1000.).min(Self::splat(-87.).max(x));
            let log2 = Self::splat(-std::f32::consts::LOG2_E);
            let magic = Self::splat(786_432.); // 1.5 · 2^19: rounds to sixteenths
            let t = limited.fma(log2, magic);
            let n = t.sub(magic);
            let r = F32x16(_mm512_fmsub_ps(limited.0, log2.0, n.0));
            let p = Self::splat(0.055_504_1).fma(r, Self::splat(0.240_226_5));
            let p = p.fma(r, Self::splat(std::f32::consts::LN_2));
            let p = p.fma(r, Self::splat(1.));
            let table = Self::load(SIXTEENTHS.as_ptr());
            let power = _mm512_permutexvar_ps(_mm512_castps_si512(t.0), table.0);
            let e = F32x16(_mm512_scalef_ps(power, n.0));
            let d = e.fma(p, Self::splat(1.));
            let inverse = F32x16(_mm512_rcp14_ps(d.0));
            let y = self.mul(inverse);
            y.fma(d.fnma(inverse, Self::splat(1.)), y)
        }
    }
}

super::instantiate::instantiate! {
    name: "avx512", vector: F32x16, attributes: [target_feature(enable = "avx512f,avx512vl,fma")],
    dense: [1 2 3 4 5 6 7 8 9 10 11 12 13 14], any: [1 2 3 4 5 6],
    depthwise1: [1 2 3 4 5 6 7 8], depthwise2: [1 2 3 4 5 6 7 8 9 10]
}
