//! Register tiles: products of input blocks and weights, summed up in accumulators.

use super::super::epilogue::{Epilogue, Target, Tile, store_tile};
use super::super::vector::Vector;
use super::{InBlocks, PLANES, Source};
use std::hint::black_box;

/// Computes `count` neighbouring tiles of T pixels and B blocks. `STEP` is the distance of pixels in floats, 0 if only known
/// at run time.
///
/// # Safety
/// The processor has V's instruction set, and all that `s`, `weights` and `to` describe is valid memory.
#[inline(always)]
pub unsafe fn tiles<V: Vector, const T: usize, const B: usize, const STEP: usize>(
    s: &Source<V::Element>,
    weights: *const V::Element,
    bias: *const V::Element,
    epilogue: &Epilogue,
    in_registers: bool,
    to: &Target<V::Element, B>,
    count: usize,
) {
    let step = if STEP == 0 { s.advance } else { STEP };
    let mut base = s.base.wrapping_offset(s.shift);
    let most = most_blocks::<V>(s);
    // SAFETY: the caller's.
    unsafe {
        for i in 0..count {
            let acc = tile::<V, T, B, STEP>(base, step, s, weights, bias, most);
            // Read anew for each tile: kept from tile to tile, its values would push accumulators out of registers.
            let epilogue = black_box(epilogue);
            store_tile::<V, T, B>(acc, epilogue, in_registers, to, i * T);
            base = base.wrapping_add(T * step);
        }
        if !in_registers {
            to.finish_in_memory::<V>(count * T, epilogue);
        }
    }
}

/// Number of blocks whose products an accumulator sums up before it goes into sums of f32; none if it sums up all of them.
#[inline(always)]
fn most_blocks<V: Vector>(s: &Source<V::Element>) -> Option<usize> {
    if V::LONGEST_SUM == usize::MAX {
        return None;
    }
    let each = s.kernel[0] * s.kernel[1] * V::LANES;
    let blocks: usize = s.inputs.iter().map(|b| b.count).sum();
    (blocks * each > V::LONGEST_SUM).then(|| (V::LONGEST_SUM / each).max(1))
}

/// Computes one tile; its first pixel's first tap lies a block's offset behind `base`.
#[inline(always)]
unsafe fn tile<V: Vector, const T: usize, const B: usize, const STEP: usize>(
    base: *const V::Element,
    step: usize,
    s: &Source<V::Element>,
    mut weights: *const V::Element,
    bias: *const V::Element,
    most: Option<usize>,
) -> Tile<V, T, B> {
    // SAFETY: the caller's.
    unsafe {
        let mut acc = match most {
            None => {
                let mut acc = [[V::zero(); B]; T];
                for blocks in s.inputs {
                    weights = accumulate::<V, T, B, STEP>(&mut acc, base, step, s, blocks, weights);
                }
                acc
            }
            Some(most) => in_parts::<V, T, B, STEP>(base, step, s, weights, most),
        };
        // last, so that a bias larger than the products does not coarsen every sum
        if !bias.is_null() {
            for b in 0..B {
                let v = V::load(bias.add(b * V::LANES));
                for row in acc.iter_mut() {
                    row[b] = row[b].add(v);
                }
            }
        }
        acc
    }
}

/// Sums up the products of all input blocks, those of `most` blocks at a time in accumulators.
///
/// Accumulators are not alive beyond their part: so they stay in registers.
#[inline(always)]
unsafe fn in_parts<V: Vector, const T: usize, const B: usize, const STEP: usize>(
    base: *const V::Element,
    step: usize,
    s: &Source<V::Element>,
    mut weights: *const V::Element,
    most: usize,
) -> Tile<V, T, B> {
    let mut sums = [[V::Sums::default(); B]; T];
    let (mut i, mut done) = (0, 0);
    // SAFETY: the caller's.
    unsafe {
        while i < s.inputs.len() {
            let mut acc = [[V::zero(); B]; T];
            let mut left = most;
            while left > 0 && i < s.inputs.len() {
                let all = s.inputs[i];
                let mut part = all;
                part.first.offset += done * all.pitch;
                part.count = left.min(all.count - done);
                weights = accumulate::<V, T, B, STEP>(&mut acc, base, step, s, &part, weights);
                left -= part.count;
                done += part.count;
                if done == all.count {
                    (i, done) = (i + 1, 0);
                }
            }
            for (sums, acc) in sums.iter_mut().zip(acc) {
                for (sums, acc) in sums.iter_mut().zip(acc) {
                    acc.add_to(sums);
                }
            }
        }
        sums.map(|sums| sums.map(|sums| V::from_sums(&sums, 1.)))
    }
}

/// Adds the products of some input blocks. Returns where the weights of the next ones begin.
#[inline(always)]
unsafe fn accumulate<V: Vector, const T: usize, const B: usize, const STEP: usize>(
    acc: &mut Tile<V, T, B>,
    base: *const V::Element,
    step: usize,
    s: &Source<V::Element>,
    blocks: &InBlocks,
    mut weights: *const V::Element,
) -> *const V::Element {
    let (mut first, lanes) = (base.wrapping_add(blocks.first.offset), blocks.first.lanes);
    // SAFETY: the caller's.
    unsafe {
        if V::PAIRS && STEP != PLANES && s.kernel == [1, 1] {
            // whole blocks on a way of their own, without a test for each
            if lanes == V::LANES {
                for _ in 0..blocks.count {
                    weights = V::multiply_add(acc, first, step, V::LANES, weights);
                    first = first.wrapping_add(blocks.pitch);
                }
            } else {
                for _ in 0..blocks.count {
                    weights = V::multiply_add(acc, first, step, lanes, weights);
                    first = first.wrapping_add(blocks.pitch);
                }
            }
            return weights;
        }
        // planes have one lane, which spares them a loop
        let lanes = if STEP == PLANES { 1 } else { lanes };
        for _ in 0..blocks.count {
            for ky in 0..s.kernel[0] {
                let mut x = first.add(ky * s.tap[0]);
                for _ in 0..s.kernel[1] {
                    weights = V::multiply_add(acc, x, step, lanes, weights);
                    x = x.add(s.tap[1]);
                }
            }
            first = first.wrapping_add(blocks.pitch);
        }
        weights
    }
}
