//! AVX2 and FMA kernels: blocks of 8 channels, 16 registers.

use std::arch::x86_64::*;

use super::epilogue::Epilogue;
use super::vector::{Picks, Vector};

#[derive(Clone, Copy)]
pub struct F32x8(__m256);

/// Mask of the first n lanes: loaded from `8 - n` on.
static FIRST: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

// SAFETY: the callers are compiled with AVX2 and FMA and chosen only where the processor has them; pointers are
// accessed for the lanes that the trait names.
unsafe impl Vector for F32x8 {
    type Element = f32;
    type Wide = Self;
    type Sums = ();
    const LANES: usize = 8;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller's pointer is valid for 8 lanes.
        F32x8(unsafe { _mm256_loadu_ps(p) })
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller's pointer is valid for 8 lanes.
        unsafe { _mm256_storeu_ps(p, self.0) }
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
        // SAFETY: the caller's pointer is valid for n lanes, at most 8; the mask lets no other lane through.
        unsafe {
            let mask = _mm256_loadu_si256(FIRST.as_ptr().add(8 - n).cast());
            _mm256_maskstore_ps(p, mask, self.0);
        }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the processor has AVX2 and FMA, as for the whole impl.
        F32x8(unsafe { _mm256_set1_ps(x) })
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: as above.
        F32x8(unsafe { _mm256_add_ps(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        // SAFETY: as above.
        F32x8(unsafe { _mm256_sub_ps(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        // SAFETY: as above.
        F32x8(unsafe { _mm256_mul_ps(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        // SAFETY: as above.
        F32x8(unsafe { _mm256_div_ps(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        // SAFETY: as above.
        F32x8(unsafe { _mm256_fmadd_ps(self.0, b.0, c.0) })
    }

    #[inline(always)]
    unsafe fn fnma(self, b: Self, c: Self) -> Self {
        // SAFETY: as above.
        F32x8(unsafe { _mm256_fnmadd_ps(self.0, b.0, c.0) })
    }

    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        // SAFETY: as above.
        F32x8(unsafe { _mm256_max_ps(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn min(self, b: Self) -> Self {
        // SAFETY: as above.
        F32x8(unsafe { _mm256_min_ps(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        // SAFETY: as above.
        F32x8(unsafe { _mm256_sqrt_ps(self.0) })
    }

    #[inline(always)]
    unsafe fn abs(self) -> Self {
        // SAFETY: as above.
        F32x8(unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.), self.0) })
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        // SAFETY: as above.
        F32x8(unsafe {
            _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)
        })
    }

    #[inline(always)]
    unsafe fn if_negative(self, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        F32x8(unsafe {
            let negative = _mm256_cmp_ps::<_CMP_LT_OQ>(self.0, _mm256_setzero_ps());
            _mm256_blendv_ps(b.0, a.0, negative)
        })
    }

    #[inline(always)]
    unsafe fn scale2(self, n: Self) -> Self {
        // SAFETY: as above.
        F32x8(unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n.0), _mm256_set1_epi32(127));
            let power = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent));
            _mm256_mul_ps(self.0, power)
        })
    }

    #[inline(always)]
    unsafe fn reciprocal(self) -> Self {
        // SAFETY: as above.
        unsafe { Self::splat(1.).div(self) }
    }

    #[inline(always)]
    unsafe fn merge(self, source: Self, picks: &Picks) -> Self {
        // SAFETY: as above; there are 16 lanes of picks.
        F32x8(unsafe {
            let picked =
                _mm256_permutevar8x32_ps(source.0, _mm256_loadu_si256(picks.lanes.as_ptr().cast()));
            let bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let set = _mm256_and_si256(_mm256_set1_epi32(picks.mask.cast_signed()), bits);
            let set = _mm256_cmpeq_epi32(set, bits);
            _mm256_blendv_ps(self.0, picked, _mm256_castsi256_ps(set))
        })
    }
}

super::instantiate::instantiate! {
    name: "avx2", vector: F32x8, attributes: [target_feature(enable = "avx2,fma")],
    dense: [1 2 3 4 5 6], any: [1 2 3 4], depthwise1: [1 2 3 4 5], depthwise2: [1 2 3 4 5]
}
