//! Dense convolution in blocks of channels: any kernel, stride and dilation; 1x1 is the same kernel with one tap.
//!
//! Register tile: T output pixels by B blocks of output channels. For each input channel, B weight registers are loaded
//! and each pixel's value is broadcast: T·B fused multiply-adds for B + T loads. Bound by the multiply-adds from 32
//! channels on. Bias and epilogue follow on the accumulators, before the only store.
//!
//! Input blocks may lie anywhere and use any range of their lanes, so that concat, slice and split cost nothing. A plane
//! of a planar image is a block of one lane.

mod tile;

use super::epilogue::{Epilogue, Target};
use super::pack::{Group, Packed};
use super::vector::Vector;
use super::{Context, RowTiles, split};
use std::sync::Arc;
pub use tile::tiles;

/// Channels that a layer reads from one block.
#[derive(Clone, Copy, Debug)]
pub struct InBlock {
    /// Floats from the arena's start to the first used lane of pixel (0, 0).
    pub offset: usize,
    /// Number of lanes used.
    pub lanes: usize,
}

/// Neighbouring blocks, the same distance apart, of which a layer reads the same lanes.
#[derive(Clone, Copy, Debug)]
pub struct InBlocks {
    pub first: InBlock,
    pub count: usize,
    /// Floats from one block to the next.
    pub pitch: usize,
}

impl InBlocks {
    /// Joins blocks, which keep their order.
    pub fn join(blocks: impl IntoIterator<Item = InBlock>) -> Vec<InBlocks> {
        let mut all: Vec<InBlocks> = Vec::new();
        for block in blocks {
            if let Some(last) = all.last_mut().filter(|l| l.first.lanes == block.lanes) {
                let end = last.first.offset + (last.count - 1) * last.pitch;
                let pitch = block.offset.checked_sub(end).filter(|&p| p > 0);
                if pitch.is_some_and(|pitch| last.count == 1 || pitch == last.pitch) {
                    last.pitch = block.offset - end;
                    last.count += 1;
                    continue;
                }
            }
            all.push(InBlocks {
                first: block,
                count: 1,
                pitch: 0,
            });
        }
        all
    }
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
    pub inputs: Vec<InBlocks>,
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
    pub inputs: &'a [InBlocks],
    pub kernel: [usize; 2],
    pub tap: [usize; 2],
    /// Floats from one pixel of the tile to the next, where the tile does not know it.
    pub advance: usize,
}

/// Neighbouring register tiles; the last argument is their number.
pub type TileFn<E, const B: usize> =
    unsafe fn(&Source<E>, *const E, *const E, &Epilogue, bool, &Target<E, B>, usize);

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

impl Dense {
    /// Multiply-adds of one run.
    pub fn work(&self) -> usize {
        self.size[0] * self.size[1] * self.weights.len()
    }

    /// Number of tiles of `width` pixels whose input fits the level-1 cache beside the weights of a group.
    fn tiles_at_once<E>(&self, width: usize) -> usize {
        const BYTES: usize = 16 << 10;
        let channels: usize = self.inputs.iter().map(|b| b.count * b.first.lanes).sum();
        let tile = width * self.kernel[0] * channels * size_of::<E>();
        (BYTES / tile.max(1)).max(1)
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
///
/// Several tiles take their turn with one group's weights, which stay in the level-1 cache meanwhile, as do the pixels.
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
    let few = layer.tiles_at_once::<V::Element>(tiles.two.len());
    let (mut y, mut i, mut left) = (from / row.count, from % row.count, to - from);
    while left > 0 {
        let n = left.min(few).min(row.count - i);
        for (x, t, count) in row.runs(i, i + n) {
            let t = (t, count);
            // SAFETY: the tiles lie within the output.
            unsafe { unit::<V>(layer, tiles, base, [y, x], t, in_registers, groups) };
        }
        (i, left) = (i + n, left - n);
        if i == row.count {
            (y, i) = (y + 1, 0);
        }
    }
}

/// Computes some groups of output channels of `count` tiles of `t` pixels from (y, x) on.
#[inline(always)]
unsafe fn unit<V: Vector>(
    layer: &Dense,
    tiles: Tiles<V::Element>,
    base: *mut V::Element,
    [y, x]: [usize; 2],
    (t, count): (usize, usize),
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
    let (step, epilogue) = (layer.out_step[1], &layer.epilogue);
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
                let tile = tiles.two[t - 1];
                tile(&source, weights, bias, epilogue, in_registers, &to, count);
            } else {
                let to = Target {
                    out: [out_at(b)],
                    step,
                    residual: [residual_at(b)],
                };
                let tile = tiles.one[t - 1];
                tile(&source, weights, bias, epilogue, in_registers, &to, count);
            }
        }
    }
}
