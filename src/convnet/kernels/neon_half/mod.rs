//! NEON kernels for maps in f16, on processors that compute with it (`asimdhp`, such as the Cortex-A76): blocks of 8
//! channels, 32 registers.
//!
//! Sums of [`LONGEST_SUM`] products are computed in f16 and then added up in f32. Tiles have as many registers as those of
//! `neon`, and twice the channels. A register is loaded and stored as bits: Rust's own f16 is not stable.

// The intrinsics are inlined where the kernels enable fp16, not yet in these methods.
#![allow(unknown_lints, inline_always_mismatching_target_features)]

use std::arch::aarch64::*;

use super::element::Half;
use super::epilogue::{Epilogue, Tile};
use super::scalar_half::{LOGISTIC, LOGISTIC_LIMIT, LOGISTIC_MAGIC, LONGEST_SUM};
use super::vector::{Picks, Vector};

#[derive(Clone, Copy)]
pub struct F16x8(float16x8_t);

/// Sums in f32 of the lower and of the upper lanes.
#[derive(Clone, Copy, Default)]
pub struct Sums([f32; 8]);

#[inline(always)]
fn splat(x: f32) -> float16x8_t {
    // SAFETY: only kernels that need f16 call this.
    unsafe {
        let half = vcvt_f16_f32(vdupq_n_f32(x));
        vcombine_f16(half, half)
    }
}

// SAFETY: the callers are compiled with fp16 and chosen only where the processor has it; pointers are accessed for the
// lanes that the trait names.
unsafe impl Vector for F16x8 {
    type Element = Half;
    type Wide = super::neon::F32x4;
    type Sums = Sums;

    const LANES: usize = 8;
    const REGISTERS: usize = 32;
    const MEMORY_OPERANDS: bool = false;
    const PAIRS: bool = true;
    const LONGEST_SUM: usize = LONGEST_SUM;

    #[inline(always)]
    unsafe fn load(p: *const Half) -> Self {
        // SAFETY: the caller's pointer is valid for 8 lanes.
        F16x8(unsafe { vreinterpretq_f16_u16(vld1q_u16(p.cast())) })
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut Half) {
        // SAFETY: the caller's pointer is valid for 8 lanes.
        unsafe { vst1q_u16(p.cast(), vreinterpretq_u16_f16(self.0)) }
    }

    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize) {
        // SAFETY: the caller's pointer is valid for n lanes, at most 8.
        unsafe {
            if n >= 8 {
                return self.widen(p);
            }
            let mut lanes = [0f32; 8];
            self.widen(lanes.as_mut_ptr());
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), p, n);
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
        F16x8(splat(x))
    }

    #[inline(always)]
    unsafe fn splat_at(p: *const Half) -> Self {
        // SAFETY: the caller's pointer is valid for one value.
        F16x8(unsafe { vreinterpretq_f16_u16(vld1q_dup_u16(p.cast())) })
    }

    #[inline(always)]
    unsafe fn widen(self, p: *mut f32) {
        // SAFETY: the caller's pointer is valid for 8 lanes.
        unsafe {
            vst1q_f32(p, vcvt_f32_f16(vget_low_f16(self.0)));
            vst1q_f32(p.add(4), vcvt_high_f32_f16(self.0));
        }
    }

    #[inline(always)]
    unsafe fn narrow(p: *const f32) -> Self {
        // SAFETY: the caller's pointer is valid for 8 lanes.
        F16x8(unsafe { vcvt_high_f16_f32(vcvt_f16_f32(vld1q_f32(p)), vld1q_f32(p.add(4))) })
    }

    #[inline(always)]
    unsafe fn widen_part(from: *const Half, to: *mut f32, n: usize) {
        // SAFETY: the caller's pointers are valid for n values, at most 8.
        unsafe {
            match n {
                8 => Self::load(from).widen(to),
                4 => {
                    let half = vreinterpret_f16_u16(vld1_u16(from.cast()));
                    vst1q_f32(to, vcvt_f32_f16(half));
                }
                _ => {
                    for i in 0..n {
                        let half = vreinterpret_f16_u16(vld1_dup_u16(from.add(i).cast()));
                        vst1q_lane_f32::<0>(to.add(i), vcvt_f32_f16(half));
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn add_to(self, sums: &mut Sums) {
        // SAFETY: there are 8 sums.
        unsafe {
            let p = sums.0.as_mut_ptr();
            let low = vcvt_f32_f16(vget_low_f16(self.0));
            vst1q_f32(p, vaddq_f32(vld1q_f32(p), low));
            let high = vcvt_high_f32_f16(self.0);
            vst1q_f32(p.add(4), vaddq_f32(vld1q_f32(p.add(4)), high));
        }
    }

    #[inline(always)]
    unsafe fn from_sums(sums: &Sums, factor: f32) -> Self {
        let scaled = sums.0.map(|sum| sum * factor);
        // SAFETY: there are 8 sums.
        unsafe { Self::narrow(scaled.as_ptr()) }
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: the processor computes with f16, as for the whole impl.
        F16x8(unsafe { vaddq_f16(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        // SAFETY: as above.
        F16x8(unsafe { vsubq_f16(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        // SAFETY: as above.
        F16x8(unsafe { vmulq_f16(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        // SAFETY: as above.
        F16x8(unsafe { vdivq_f16(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        // SAFETY: as above.
        F16x8(unsafe { vfmaq_f16(c.0, self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn fnma(self, b: Self, c: Self) -> Self {
        // SAFETY: as above.
        F16x8(unsafe { vfmsq_f16(c.0, self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        // SAFETY: as above.
        F16x8(unsafe { vmaxq_f16(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn min(self, b: Self) -> Self {
        // SAFETY: as above.
        F16x8(unsafe { vminq_f16(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        // SAFETY: as above.
        F16x8(unsafe { vsqrtq_f16(self.0) })
    }

    #[inline(always)]
    unsafe fn abs(self) -> Self {
        // SAFETY: as above.
        F16x8(unsafe { vabsq_f16(self.0) })
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        // SAFETY: as above.
        F16x8(unsafe { vrndnq_f16(self.0) })
    }

    #[inline(always)]
    unsafe fn if_negative(self, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        F16x8(unsafe { vbslq_f16(vcltzq_f16(self.0), a.0, b.0) })
    }

    #[inline(always)]
    unsafe fn scale2(self, n: Self) -> Self {
        // SAFETY: as above.
        F16x8(unsafe {
            let exponent = vaddq_s16(vcvtq_s16_f16(n.0), vdupq_n_s16(15));
            let power = vreinterpretq_f16_s16(vshlq_n_s16::<10>(exponent));
            vmulq_f16(self.0, power)
        })
    }

    #[inline(always)]
    unsafe fn reciprocal(self) -> Self {
        // SAFETY: as above.
        F16x8(unsafe { vdivq_f16(splat(1.), self.0) })
    }

    #[inline(always)]
    unsafe fn merge(self, source: Self, picks: &Picks) -> Self {
        // SAFETY: as above; there are 16 bytes. Numbers beyond the source leave a byte as it is.
        F16x8(unsafe {
            let bytes = vld1q_u8(picks.bytes.as_ptr());
            let (kept, source) = (vreinterpretq_u8_f16(self.0), vreinterpretq_u8_f16(source.0));
            vreinterpretq_f16_u8(vqtbx1q_u8(kept, source, bytes))
        })
    }

    /// 16 arithmetic instructions for 8 values; 1e-3 of the value, or 6e-5 beyond ±9.7.
    #[inline(always)]
    unsafe fn times_logistic(self, x: Self) -> Self {
        // SAFETY: as above.
        F16x8(unsafe {
            let limited = vmaxq_f16(
                vminq_f16(x.0, splat(LOGISTIC_LIMIT)),
                splat(-LOGISTIC_LIMIT),
            );
            let log2 = splat(LOGISTIC[0]);
            let t = vfmaq_f16(splat(LOGISTIC_MAGIC), limited, log2);
            let n = vsubq_f16(t, splat(LOGISTIC_MAGIC));
            let r = vfmaq_f16(vnegq_f16(n), limited, log2);
            let r = vfmaq_f16(r, limited, splat(LOGISTIC[1]));
            let p = vfmaq_f16(splat(LOGISTIC[4]), r, splat(LOGISTIC[5]));
            let p = vfmaq_f16(splat(LOGISTIC[3]), p, r);
            let p = vfmaq_f16(splat(LOGISTIC[2]), p, r);
            let power = vreinterpretq_f16_s16(vshlq_n_s16::<10>(vreinterpretq_s16_f16(t)));
            let d = vfmaq_f16(splat(1.), p, power);
            // an estimate of 8 bits and a Newton step
            let q = vrecpeq_f16(d);
            let q = vmulq_f16(q, vrecpsq_f16(d, q));
            vmulq_f16(self.0, q)
        })
    }

    #[inline(always)]
    unsafe fn multiply_add<const T: usize, const B: usize>(
        acc: &mut Tile<Self, T, B>,
        x: *const Half,
        step: usize,
        n: usize,
        mut weights: *const Half,
    ) -> *const Half {
        // SAFETY: the caller's: T pixels of n channels, and B registers of weights for each channel.
        unsafe {
            if n == Self::LANES {
                let mut pixels = [Self::zero(); T];
                for (t, pixel) in pixels.iter_mut().enumerate() {
                    *pixel = Self::load(x.add(t * step));
                }
                weights = lane::<0, T, B>(acc, &pixels, weights);
                weights = lane::<1, T, B>(acc, &pixels, weights);
                weights = lane::<2, T, B>(acc, &pixels, weights);
                weights = lane::<3, T, B>(acc, &pixels, weights);
                weights = lane::<4, T, B>(acc, &pixels, weights);
                weights = lane::<5, T, B>(acc, &pixels, weights);
                weights = lane::<6, T, B>(acc, &pixels, weights);
                return lane::<7, T, B>(acc, &pixels, weights);
            }
            for i in 0..n {
                let mut pixels = [Self::zero(); T];
                for (t, pixel) in pixels.iter_mut().enumerate() {
                    // without a broadcast: the first lane is all that is used
                    let bits = *x.add(t * step + i).cast::<u16>();
                    pixel.0 = vreinterpretq_f16_u16(vsetq_lane_u16::<0>(bits, vdupq_n_u16(0)));
                }
                weights = lane::<0, T, B>(acc, &pixels, weights);
            }
            weights
        }
    }
}

/// Adds lane `L` of the pixels times one channel's weights, and returns where the next channel's weights begin.
#[inline(always)]
unsafe fn lane<const L: i32, const T: usize, const B: usize>(
    acc: &mut Tile<F16x8, T, B>,
    pixels: &[F16x8; T],
    weights: *const Half,
) -> *const Half {
    // SAFETY: the caller's: B registers of weights.
    unsafe {
        let mut w = [F16x8::zero(); B];
        for (b, w) in w.iter_mut().enumerate() {
            *w = F16x8::load(weights.add(b * F16x8::LANES));
        }
        for (row, pixel) in acc.iter_mut().zip(pixels) {
            for (acc, w) in row.iter_mut().zip(&w) {
                acc.0 = vfmaq_laneq_f16::<L>(acc.0, w.0, pixel.0);
            }
        }
        weights.add(B * F16x8::LANES)
    }
}

super::instantiate::instantiate! {
    name: "neon f16", vector: F16x8, attributes: [target_feature(enable = "fp16")],
    dense: [1 2 3 4 5 6 7 8], any: [1 2 3 4 5 6 7 8],
    depthwise1: [1 2 3 4 5 6 7 8], depthwise2: [1 2 3 4 5 6 7 8]
}
