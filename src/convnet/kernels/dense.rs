//! Dense convolution in blocks of channels: any kernel, stride and dilation; 1x1 is the same kernel with one tap.
//!
//! Register tile: T output pixels by B blocks of output channels. For each input channel, B weight registers are loaded
//! and each pixel's value is broadcast: T·B fused multiply-adds for B + T loads. Bound by the multiply-adds from 32
//! channels on. Bias and epilogue follow on the accumulators, before the only store.
//!
//! Input blocks may lie anywhere and use any range of their lanes, so that concat, slice and split cost nothing. A plane
//! of a planar image is a block of one lane.

use super::epilogue::{Epilogue, Target, Tile, finish};
use super::pack::{Group, Packed};
use super::vector::Vector;
use super::{Context, RowTiles, split};
use std::sync::Arc;

/// Channels that a layer reads from one block.
#[derive(Clone, Copy, Debug)]
pub struct InBlock {
    /// Floats from the arena's start to the first used lane of pixel (0, 0).
    pub offset: usize,
    /// Number of lanes used.
    pub lanes: usize,
}

/// Block of a result.
#[derive(Clone, Copy, Debug)]
pub struct OutBlock {
    /// Floats from the arena's start to pixel (0, 0).
    pub offset: usize,
    /// Pixel (0, 0) of the residual's block, and floats from one of its rows to the next.
    pub residual: Option<(usize, usize)>,
}

/// A layer, bound to its places in the arena. Pairs read `[down, right]`.
#[derive(Clone, Debug)]
pub struct Dense {
    pub inputs: Vec<InBlock>,
    pub outputs: Vec<OutBlock>,
    pub kernel: [usize; 2],
    /// Floats from one tap to the next.
    pub tap: [usize; 2],
    /// Floats from the first tap of one output pixel to that of the next.
    pub advance: [usize; 2],
    /// Floats from input pixel (0, 0) back to the first tap of output pixel (0, 0); negative if that lies behind it.
    pub back: isize,
    /// Floats from one output pixel to the next.
    pub out_step: [usize; 2],
    /// Output rows and columns.
    pub size: [usize; 2],
    pub weights: Arc<Packed>,
    pub epilogue: Epilogue,
    /// True to finish all pixels of one group of outputs before the next: for weights so large that they would come from
    /// beyond the level-2 cache for every tile of pixels.
    pub groups_outside: bool,
}

/// Input of a tile.
#[derive(Clone, Copy)]
pub struct Source<'a, E> {
    pub base: *const E,
    /// Floats from a block's pixel (0, 0) to the first tap of the tile's first pixel; may be negative.
    pub shift: isize,
    pub inputs: &'a [InBlock],
    pub kernel: [usize; 2],
    pub tap: [usize; 2],
    /// Floats from one pixel of the tile to the next, where the tile does not know it.
    pub advance: usize,
}

/// One register tile.
pub type TileFn<E, const B: usize> =
    unsafe fn(&Source<E>, *const E, *const E, &Epilogue, bool, &Target<E, B>);

/// Tiles by pixels less one.
pub struct Tiles<E: 'static> {
    pub one: &'static [TileFn<E, 1>],
    pub two: &'static [TileFn<E, 2>],
}

/// Floats from one pixel to the next of planes read with stride 2.
pub const PLANES: usize = 2;

/// Tiles by the floats from one pixel to the next.
pub struct DenseTiles<E: 'static> {
    /// Planes with stride 2, which is how most networks begin.
    pub planes: Tiles<E>,
    /// Blocks with stride 1 and 2.
    pub blocks: [Tiles<E>; 2],
    /// Any distance; narrower tiles.
    pub any: Tiles<E>,
}

impl<E> Clone for Tiles<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Tiles<E> {}

impl<E> DenseTiles<E> {
    /// Returns the tiles for a layer whose pixels are `advance` floats apart.
    fn select(&self, lanes: usize, advance: usize) -> Tiles<E> {
        match advance {
            PLANES => self.planes,
            _ if advance == lanes => self.blocks[0],
            _ if advance == 2 * lanes => self.blocks[1],
            _ => self.any,
        }
    }
}

/// Computes a tile of T pixels and B blocks. `STEP` is the distance of pixels in floats, 0 if only known at run time.
///
/// # Safety
/// The processor has V's instruction set, and all that `s`, `weights` and `to` describe is valid memory.
#[inline(always)]
pub unsafe fn tile<V: Vector, const T: usize, const B: usize, const STEP: usize>(
    s: &Source<V::Element>,
    mut weights: *const V::Element,
    bias: *const V::Element,
    epilogue: &Epilogue,
    in_registers: bool,
    to: &Target<V::Element, B>,
) {
    // SAFETY: the caller's.
    unsafe {
        let taps = s.kernel[0] * s.kernel[1];
        let mut acc =
            if V::LONGEST_SUM == usize::MAX || s.inputs.len() * taps * V::LANES <= V::LONGEST_SUM {
                accumulate::<V, T, B, STEP>(s, s.inputs, &mut weights)
            } else {
                // In parts, whose accumulators are not alive beyond them: so they stay in registers.
                let blocks = (V::LONGEST_SUM / (taps * V::LANES)).max(1);
                let mut sums = [[V::Sums::default(); B]; T];
                for part in s.inputs.chunks(blocks) {
                    let acc = accumulate::<V, T, B, STEP>(s, part, &mut weights);
                    for (sums, acc) in sums.iter_mut().zip(acc) {
                        for (sums, acc) in sums.iter_mut().zip(acc) {
                            acc.add_to(sums);
                        }
                    }
                }
                sums.map(|sums| sums.map(|sums| V::from_sums(&sums, 1.)))
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
        finish::<V, T, B>(acc, epilogue, in_registers, to);
    }
}

/// Sums up the products of some input blocks. `weights` goes on to those of the next block.
#[inline(always)]
unsafe fn accumulate<V: Vector, const T: usize, const B: usize, const STEP: usize>(
    s: &Source<V::Element>,
    inputs: &[InBlock],
    weights: &mut *const V::Element,
) -> Tile<V, T, B> {
    // SAFETY: the caller's.
    unsafe {
        let step = if STEP == 0 { s.advance } else { STEP };
        let mut w = *weights;
        let mut acc = [[V::zero(); B]; T];
        if V::PAIRS && STEP != PLANES && s.kernel == [1, 1] {
            for block in inputs {
                let x = s.base.offset(block.offset as isize + s.shift);
                w = V::multiply_add(&mut acc, x, step, block.lanes, w);
            }
        } else {
            for block in inputs {
                // planes have one lane, which spares them a loop
                let lanes = if STEP == PLANES { 1 } else { block.lanes };
                let first = s.base.offset(block.offset as isize + s.shift);
                for ky in 0..s.kernel[0] {
                    let mut x = first.add(ky * s.tap[0]);
                    for _ in 0..s.kernel[1] {
                        w = V::multiply_add(&mut acc, x, step, lanes, w);
                        x = x.add(s.tap[1]);
                    }
                }
            }
        }
        *weights = w;
        acc
    }
}

impl Dense {
    /// Multiply-adds of one run.
    pub fn work(&self) -> usize {
        self.size[0] * self.size[1] * self.weights.len()
    }
}

/// Computes part `part` of `parts`.
///
/// # Safety
/// The processor has V's instruction set, which `tiles` belong to; the layer was bound for the context's arena. No two
/// parts that run at the same time are the same.
#[inline(always)]
pub unsafe fn run<V: Vector>(
    layer: &Dense,
    tiles: &DenseTiles<V::Element>,
    context: &Context,
    part: usize,
    parts: usize,
) {
    let tiles = tiles.select(V::LANES, layer.advance[1]);
    let most = tiles.two.len();
    let [rows, columns] = layer.size;
    let row = RowTiles::new(columns, most);
    let range = split(rows * row.count, part, parts);
    let groups = layer.weights.groups();
    let base = context.arena::<V>();
    // SAFETY: the caller's.
    unsafe {
        if layer.groups_outside {
            for group in groups.chunks(1) {
                units::<V>(layer, tiles, base, row, range, group);
            }
        } else {
            units::<V>(layer, tiles, base, row, range, groups);
        }
    }
}

/// Computes some groups of output channels for a range of tiles.
#[inline(always)]
unsafe fn units<V: Vector>(
    layer: &Dense,
    tiles: Tiles<V::Element>,
    base: *mut V::Element,
    row: RowTiles,
    (from, to): (usize, usize),
    groups: &[Group],
) {
    let in_registers = layer.epilogue.in_registers();
    let (mut y, mut i) = (from / row.count, from % row.count);
    for _ in from..to {
        let (x, t) = row.get(i);
        // SAFETY: the tile lies within the output.
        unsafe { unit::<V>(layer, tiles, base, [y, x], t, in_registers, groups) };
        i += 1;
        if i == row.count {
            (y, i) = (y + 1, 0);
        }
    }
}

/// Computes some groups of output channels of `t` pixels from (y, x) on.
#[inline(always)]
unsafe fn unit<V: Vector>(
    layer: &Dense,
    tiles: Tiles<V::Element>,
    base: *mut V::Element,
    [y, x]: [usize; 2],
    t: usize,
    in_registers: bool,
    groups: &[Group],
) {
    let shift = (y * layer.advance[0] + x * layer.advance[1]) as isize - layer.back;
    let source = Source {
        base: base.cast_const(),
        shift,
        inputs: &layer.inputs,
        kernel: layer.kernel,
        tap: layer.tap,
        advance: layer.advance[1],
    };
    let out = y * layer.out_step[0] + x * layer.out_step[1];
    // SAFETY: offsets lie within the arena, groups within the packed weights.
    let out_at = |b: usize| unsafe { base.add(layer.outputs[b].offset + out) };
    let residual_at = |b: usize| match layer.outputs[b].residual {
        // SAFETY: as above.
        Some((offset, row)) => unsafe { base.add(offset + y * row + x * V::LANES) }.cast_const(),
        None => std::ptr::null(),
    };
    let step = layer.out_step[1];
    for group in groups {
        let b = group.first_block;
        // SAFETY: as above.
        unsafe {
            let weights = layer.weights.weights::<V::Element>().add(group.offset);
            let bias = layer.weights.bias::<V::Element>().add(b * V::LANES);
            if group.blocks == 2 {
                let to = Target {
                    out: [out_at(b), out_at(b + 1)],
                    step,
                    residual: [residual_at(b), residual_at(b + 1)],
                };
                tiles.two[t - 1](&source, weights, bias, &layer.epilogue, in_registers, &to);
            } else {
                let to = Target {
                    out: [out_at(b)],
                    step,
                    residual: [residual_at(b)],
                };
                tiles.one[t - 1](&source, weights, bias, &layer.epilogue, in_registers, &to);
            }
        }
    }
}
