//! Dense convolution in blocks of channels: any kernel, stride and dilation; 1x1 is the same kernel with one tap.
//!
//! Register tile: T output pixels by B blocks of output channels. For each input channel, B weight registers are loaded
//! and each pixel's value is broadcast: T·B fused multiply-adds for B + T loads. Bound by the multiply-adds from 32
//! channels on. Bias and epilogue follow on the accumulators, before the only store.
//!
//! Input blocks may lie anywhere and use any range of their lanes, so that concat, slice and split cost nothing. A plane
//! of a planar image is a block of one lane.

use super::epilogue::{Epilogue, Target, Tile, store_tile};
use super::pack::{Group, Packed};
use super::vector::Vector;
use super::{Base, RowTiles, split};
use std::hint::black_box;
use std::sync::Arc;

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
pub struct Source<'a> {
    pub base: *const f32,
    /// Floats from a block's pixel (0, 0) to the first tap of the tile's first pixel; may be negative.
    pub shift: isize,
    pub inputs: &'a [InBlocks],
    pub kernel: [usize; 2],
    pub tap: [usize; 2],
    /// Floats from one pixel of the tile to the next, where the tile does not know it.
    pub advance: usize,
}

/// Neighbouring register tiles; the last argument is their number.
pub type TileFn<const B: usize> =
    unsafe fn(&Source, *const f32, *const f32, &Epilogue, bool, &Target<B>, usize);

/// Tiles by pixels less one.
#[derive(Clone, Copy)]
pub struct Tiles {
    pub one: &'static [TileFn<1>],
    pub two: &'static [TileFn<2>],
}

/// Floats from one pixel to the next of planes read with stride 2.
pub const PLANES: usize = 2;

/// Tiles by the floats from one pixel to the next.
pub struct DenseTiles {
    /// Planes with stride 2, which is how most networks begin.
    pub planes: Tiles,
    /// Blocks with stride 1 and 2.
    pub blocks: [Tiles; 2],
    /// Any distance; narrower tiles.
    pub any: Tiles,
}

impl DenseTiles {
    /// Largest number of pixels in a tile.
    pub fn width(&self) -> usize {
        self.blocks[0].two.len()
    }

    /// Returns the tiles for a layer whose pixels are `advance` floats apart.
    fn select(&self, lanes: usize, advance: usize) -> Tiles {
        match advance {
            PLANES => self.planes,
            _ if advance == lanes => self.blocks[0],
            _ if advance == 2 * lanes => self.blocks[1],
            _ => self.any,
        }
    }
}

/// Computes `count` neighbouring tiles of T pixels and B blocks. `STEP` is the distance of pixels in floats, 0 if only known
/// at run time.
///
/// # Safety
/// The processor has V's instruction set, and all that `s`, `weights` and `to` describe is valid memory.
#[inline(always)]
pub unsafe fn tiles<V: Vector, const T: usize, const B: usize, const STEP: usize>(
    s: &Source,
    weights: *const f32,
    bias: *const f32,
    epilogue: &Epilogue,
    in_registers: bool,
    to: &Target<B>,
    count: usize,
) {
    let step = if STEP == 0 { s.advance } else { STEP };
    let mut base = s.base.wrapping_offset(s.shift);
    // SAFETY: the caller's.
    unsafe {
        for i in 0..count {
            let acc = tile::<V, T, B, STEP>(base, step, s, weights, bias);
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

/// Computes one tile; its first pixel's first tap lies a block's offset behind `base`.
#[inline(always)]
unsafe fn tile<V: Vector, const T: usize, const B: usize, const STEP: usize>(
    base: *const f32,
    step: usize,
    s: &Source,
    mut weights: *const f32,
    bias: *const f32,
) -> Tile<V, T, B> {
    // SAFETY: the caller's.
    unsafe {
        let mut acc = [[V::zero(); B]; T];
        if V::PAIRS && STEP != PLANES && s.kernel == [1, 1] {
            for blocks in s.inputs {
                let mut x = base.wrapping_add(blocks.first.offset);
                // whole blocks on a way of their own, without a test for each
                if blocks.first.lanes == V::LANES {
                    for _ in 0..blocks.count {
                        weights = V::multiply_add(&mut acc, x, step, V::LANES, weights);
                        x = x.wrapping_add(blocks.pitch);
                    }
                } else {
                    for _ in 0..blocks.count {
                        weights = V::multiply_add(&mut acc, x, step, blocks.first.lanes, weights);
                        x = x.wrapping_add(blocks.pitch);
                    }
                }
            }
        } else {
            for blocks in s.inputs {
                // planes have one lane, which spares them a loop
                let lanes = if STEP == PLANES {
                    1
                } else {
                    blocks.first.lanes
                };
                let mut first = base.wrapping_add(blocks.first.offset);
                for _ in 0..blocks.count {
                    for ky in 0..s.kernel[0] {
                        let mut x = first.add(ky * s.tap[0]);
                        for _ in 0..s.kernel[1] {
                            weights = V::multiply_add(&mut acc, x, step, lanes, weights);
                            x = x.add(s.tap[1]);
                        }
                    }
                    first = first.wrapping_add(blocks.pitch);
                }
            }
        }
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

impl Dense {
    /// Multiply-adds of one run.
    pub fn work(&self) -> usize {
        self.size[0] * self.size[1] * self.weights.len()
    }

    /// Computes part `part` of `parts`.
    ///
    /// # Safety
    /// The processor has the instruction set of `tiles`, whose block has `lanes` lanes, and the layer was bound for
    /// the arena at `base`. No two parts that run at the same time are the same.
    pub unsafe fn run(
        &self,
        tiles: &DenseTiles,
        lanes: usize,
        base: Base,
        part: usize,
        parts: usize,
    ) {
        let tiles = tiles.select(lanes, self.advance[1]);
        let most = tiles.two.len();
        let [rows, columns] = self.size;
        let row = RowTiles::new(columns, most);
        let range = split(rows * row.count, part, parts);
        let groups = self.weights.groups();
        // SAFETY: the caller's.
        unsafe {
            if self.groups_outside {
                for group in groups.chunks(1) {
                    self.units(tiles, lanes, base, row, range, group);
                }
            } else {
                self.units(tiles, lanes, base, row, range, groups);
            }
        }
    }

    /// Computes some groups of output channels for a range of tiles.
    ///
    /// Several tiles take their turn with one group's weights, which stay in the level-1 cache meanwhile, as do the pixels.
    unsafe fn units(
        &self,
        tiles: Tiles,
        lanes: usize,
        base: Base,
        row: RowTiles,
        (from, to): (usize, usize),
        groups: &[Group],
    ) {
        let in_registers = self.epilogue.in_registers();
        let few = self.tiles_at_once(tiles.two.len());
        let (mut y, mut i, mut left) = (from / row.count, from % row.count, to - from);
        while left > 0 {
            let n = left.min(few).min(row.count - i);
            for (x, t, count) in row.runs(i, i + n) {
                // SAFETY: the tiles lie within the output.
                unsafe { self.unit(tiles, lanes, base, [y, x], (t, count), in_registers, groups) };
            }
            (i, left) = (i + n, left - n);
            if i == row.count {
                (y, i) = (y + 1, 0);
            }
        }
    }

    /// Number of tiles of `width` pixels whose input fits the level-1 cache beside the weights of a group.
    fn tiles_at_once(&self, width: usize) -> usize {
        const BYTES: usize = 16 << 10;
        let channels: usize = self.inputs.iter().map(|b| b.count * b.first.lanes).sum();
        let tile = width * self.kernel[0] * channels * size_of::<f32>();
        (BYTES / tile.max(1)).max(1)
    }

    /// Computes some groups of output channels of `count` tiles of `t` pixels from (y, x) on.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // one call in the innermost loop but one
    unsafe fn unit(
        &self,
        tiles: Tiles,
        lanes: usize,
        base: Base,
        [y, x]: [usize; 2],
        (t, count): (usize, usize),
        in_registers: bool,
        groups: &[Group],
    ) {
        let shift = (y * self.advance[0] + x * self.advance[1]) as isize - self.back;
        let source = Source {
            base: base.0,
            shift,
            inputs: &self.inputs,
            kernel: self.kernel,
            tap: self.tap,
            advance: self.advance[1],
        };
        let out = y * self.out_step[0] + x * self.out_step[1];
        // SAFETY: offsets lie within the arena, groups within the packed weights.
        let out_at = |b: usize| unsafe { base.0.add(self.outputs[b].offset + out) };
        let residual_at = |b: usize| match self.outputs[b].residual {
            // SAFETY: as above.
            Some((offset, row)) => unsafe { base.0.add(offset + y * row + x * lanes) }.cast_const(),
            None => std::ptr::null(),
        };
        let (step, epilogue) = (self.out_step[1], &self.epilogue);
        for group in groups {
            let b = group.first_block;
            // SAFETY: as above.
            unsafe {
                let weights = self.weights.weights().add(group.offset);
                let bias = self.weights.bias().add(b * lanes);
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
}
