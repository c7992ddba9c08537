//! NEON kernels for 64-bit Arm: blocks of 4 channels, 32 registers.
//!
//! A multiply-add takes one lane of a register as its factor, so that a pixel's four channels are loaded once and need no
//! broadcast. Tiles of 8 pixels by 2 blocks of output channels hold 16 accumulators, 8 pixels and the weights of a channel.

use std::arch::aarch64::*;

use super::dense;
use super::epilogue::{Epilogue, Tile};
use super::vector::{Picks, Vector};

#[derive(Clone, Copy)]
pub struct F32x4(float32x4_t);

#[repr(align(16))]
struct Registers<const N: usize>([[f32; 4]; N]);

/// Numbers that begin sums in `times_logistic`: a magic number, then coefficients.
static BEGINNINGS: Registers<5> = Registers([
    [MAGIC; 4],
    [1.000_000_1; 4],
    [2.402_212_1e-1; 4],
    [9.675_541e-3; 4],
    [1.; 4],
]);

/// 1.5 · 2²³ + 127: after its addition, the low bits are the exponent of 2ⁿ.
const MAGIC: f32 = 12_583_039.;

/// Loads a beginning each time it is used. A multiply-add overwrites its summand: a constant kept in a register would be
/// copied first, which takes the place of an arithmetic instruction, and a load does not.
#[inline(always)]
fn beginning(i: usize) -> float32x4_t {
    // SAFETY: the static is aligned like a register.
    unsafe { std::ptr::read_volatile(BEGINNINGS.0[i].as_ptr().cast()) }
}

// SAFETY: every 64-bit Arm processor that Rust's standard library runs on has NEON; pointers are accessed for the lanes
// that the trait names.
unsafe impl Vector for F32x4 {
    type Element = f32;
    type Wide = Self;
    type Sums = ();
    const LANES: usize = 4;
    const REGISTERS: usize = 32;
    const MEMORY_OPERANDS: bool = false;
    const PAIRS: bool = true;

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller's pointer is valid for 4 lanes.
        F32x4(unsafe { vld1q_f32(p) })
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller's pointer is valid for 4 lanes.
        unsafe { vst1q_f32(p, self.0) }
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
        // SAFETY: the caller's pointer is valid for n lanes, at most 4.
        unsafe {
            match n {
                4.. => vst1q_f32(p, self.0),
                3 => {
                    vst1_f32(p, vget_low_f32(self.0));
                    vst1q_lane_f32::<2>(p.add(2), self.0);
                }
                2 => vst1_f32(p, vget_low_f32(self.0)),
                1 => vst1q_lane_f32::<0>(p, self.0),
                0 => (),
            }
        }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the processor has NEON, as for the whole impl.
        F32x4(unsafe { vdupq_n_f32(x) })
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: as above.
        F32x4(unsafe { vaddq_f32(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        // SAFETY: as above.
        F32x4(unsafe { vsubq_f32(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        // SAFETY: as above.
        F32x4(unsafe { vmulq_f32(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        // SAFETY: as above.
        F32x4(unsafe { vdivq_f32(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        // SAFETY: as above.
        F32x4(unsafe { vfmaq_f32(c.0, self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn fnma(self, b: Self, c: Self) -> Self {
        // SAFETY: as above.
        F32x4(unsafe { vfmsq_f32(c.0, self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        // SAFETY: as above.
        F32x4(unsafe { vmaxq_f32(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn min(self, b: Self) -> Self {
        // SAFETY: as above.
        F32x4(unsafe { vminq_f32(self.0, b.0) })
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        // SAFETY: as above.
        F32x4(unsafe { vsqrtq_f32(self.0) })
    }

    #[inline(always)]
    unsafe fn abs(self) -> Self {
        // SAFETY: as above.
        F32x4(unsafe { vabsq_f32(self.0) })
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        // SAFETY: as above.
        F32x4(unsafe { vrndnq_f32(self.0) })
    }

    #[inline(always)]
    unsafe fn if_negative(self, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        F32x4(unsafe { vbslq_f32(vcltzq_f32(self.0), a.0, b.0) })
    }

    #[inline(always)]
    unsafe fn scale2(self, n: Self) -> Self {
        // SAFETY: as above.
        F32x4(unsafe {
            let exponent = vaddq_s32(vcvtq_s32_f32(n.0), vdupq_n_s32(127));
            let power = vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent));
            vmulq_f32(self.0, power)
        })
    }

    #[inline(always)]
    unsafe fn reciprocal(self) -> Self {
        // SAFETY: as above.
        F32x4(unsafe { vdivq_f32(vdupq_n_f32(1.), self.0) })
    }

    #[inline(always)]
    unsafe fn merge(self, source: Self, picks: &Picks) -> Self {
        // SAFETY: as above; there are 16 bytes. Numbers beyond the source leave a byte as it is.
        F32x4(unsafe {
            let bytes = vld1q_u8(picks.bytes.as_ptr());
            let (kept, source) = (vreinterpretq_u8_f32(self.0), vreinterpretq_u8_f32(source.0));
            vreinterpretq_f32_u8(vqtbx1q_u8(kept, source, bytes))
        })
    }

    /// 20 arithmetic instructions. The polynomial of degree 5 runs in pairs, so that no instruction waits for long.
    #[inline(always)]
    unsafe fn times_logistic(self, x: Self) -> Self {
        // SAFETY: as above.
        F32x4(unsafe {
            let limited = vmaxq_f32(vminq_f32(x.0, vdupq_n_f32(87.)), vdupq_n_f32(-87.));
            let log2 = vdupq_n_f32(-std::f32::consts::LOG2_E);
            let t = vfmaq_f32(beginning(0), limited, log2);
            let n = vsubq_f32(t, vdupq_n_f32(MAGIC));
            // what lies between n and the exponent, with its sign turned: coefficients of odd powers are negative
            let r = vfmsq_f32(n, limited, log2);
            let r2 = vmulq_f32(r, r);
            let low = vfmaq_f32(beginning(1), r, vdupq_n_f32(-6.931_469_4e-1));
            let middle = vfmaq_f32(beginning(2), r, vdupq_n_f32(-5.550_713_1e-2));
            let high = vfmaq_f32(beginning(3), r, vdupq_n_f32(-1.327_647_1e-3));
            let p = vfmaq_f32(low, vfmaq_f32(middle, high, r2), r2);
            let power = vreinterpretq_f32_s32(vshlq_n_s32::<23>(vreinterpretq_s32_f32(t)));
            let d = vfmaq_f32(beginning(4), p, power);
            // an estimate of 8 bits and two Newton steps
            let q = vrecpeq_f32(d);
            let q = vmulq_f32(q, vrecpsq_f32(d, q));
            let y = vmulq_f32(self.0, q);
            vmulq_f32(y, vrecpsq_f32(d, q))
        })
    }

    #[inline(always)]
    unsafe fn multiply_add<const T: usize, const B: usize>(
        acc: &mut Tile<Self, T, B>,
        x: *const f32,
        step: usize,
        n: usize,
        mut weights: *const f32,
    ) -> *const f32 {
        // SAFETY: the caller's: T pixels of n channels, and B registers of weights for each channel. Whole registers are
        // read: one more is always readable, and lanes from n on are not used.
        unsafe {
            if step == dense::PLANES && n == 1 {
                return every_other_lane(acc, x, weights);
            }
            let mut pixels = [Self::zero(); T];
            for (t, pixel) in pixels.iter_mut().enumerate() {
                *pixel = Self::load(x.add(t * step));
            }
            weights = lane::<0, T, B>(acc, &pixels, weights);
            if n > 1 {
                weights = lane::<1, T, B>(acc, &pixels, weights);
            }
            if n > 2 {
                weights = lane::<2, T, B>(acc, &pixels, weights);
            }
            if n > 3 {
                weights = lane::<3, T, B>(acc, &pixels, weights);
            }
            weights
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: as above.
        unsafe { vaddvq_f32(self.0) }
    }
}

/// Adds T pixels of a plane, read with stride 2, times one channel's weights: a register holds two of the pixels.
#[inline(always)]
unsafe fn every_other_lane<const T: usize, const B: usize>(
    acc: &mut Tile<F32x4, T, B>,
    x: *const f32,
    weights: *const f32,
) -> *const f32 {
    // SAFETY: the caller's: T pixels, 2 floats apart, one more register, and B registers of weights.
    unsafe {
        let mut pixels = [F32x4::zero(); T];
        for (i, pixels) in pixels.iter_mut().enumerate().take(T.div_ceil(2)) {
            *pixels = F32x4::load(x.add(2 * i * dense::PLANES));
        }
        let mut w = [F32x4::zero(); B];
        for (b, w) in w.iter_mut().enumerate() {
            *w = F32x4::load(weights.add(b * F32x4::LANES));
        }
        for (t, row) in acc.iter_mut().enumerate() {
            let pixels = pixels[t / 2].0;
            for (acc, w) in row.iter_mut().zip(&w) {
                acc.0 = match t % 2 {
                    0 => vfmaq_laneq_f32::<0>(acc.0, w.0, pixels),
                    _ => vfmaq_laneq_f32::<{ dense::PLANES as i32 }>(acc.0, w.0, pixels),
                };
            }
        }
        weights.add(B * F32x4::LANES)
    }
}

/// Adds lane `L` of the pixels times one channel's weights, and returns where the next channel's weights begin.
#[inline(always)]
unsafe fn lane<const L: i32, const T: usize, const B: usize>(
    acc: &mut Tile<F32x4, T, B>,
    pixels: &[F32x4; T],
    weights: *const f32,
) -> *const f32 {
    // SAFETY: the caller's: B registers of weights.
    unsafe {
        let mut w = [F32x4::zero(); B];
        for (b, w) in w.iter_mut().enumerate() {
            *w = F32x4::load(weights.add(b * F32x4::LANES));
        }
        for (row, pixel) in acc.iter_mut().zip(pixels) {
            for (acc, w) in row.iter_mut().zip(&w) {
                acc.0 = vfmaq_laneq_f32::<L>(acc.0, w.0, pixel.0);
            }
        }
        weights.add(B * F32x4::LANES)
    }
}

super::instantiate::instantiate! {
    name: "neon", vector: F32x4, attributes: [],
    dense: [1 2 3 4 5 6 7 8], any: [1 2 3 4 5 6 7 8],
    depthwise1: [1 2 3 4 5 6 7 8], depthwise2: [1 2 3 4 5 6 7 8]
}
