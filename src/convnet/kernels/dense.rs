//! Dense convolution in blocks of channels: any kernel, stride and dilation; 1x1 is the same kernel with one tap.
//!
//! Register tile: T output pixels by B blocks of output channels. For each input channel, B weight registers are loaded
//! and each pixel's value is broadcast: T·B fused multiply-adds for B + T loads. Bound by the multiply-adds from 32
//! channels on. Bias and epilogue follow on the accumulators, before the only store.
//!
//! Input blocks may lie anywhere and use any range of their lanes, so that concat, slice and split cost nothing. A plane
//! of a planar image is a block of one lane.

use super::epilogue::{Epilogue, Target, finish};
use super::pack::{Group, Packed};
use super::vector::Vector;
use super::{Base, RowTiles, split};
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
pub struct Source<'a> {
    pub base: *const f32,
    /// Floats from a block's pixel (0, 0) to the first tap of the tile's first pixel; may be negative.
    pub shift: isize,
    pub inputs: &'a [InBlock],
    pub kernel: [usize; 2],
    pub tap: [usize; 2],
    /// Floats from one pixel of the tile to the next, where the tile does not know it.
    pub advance: usize,
}

/// One register tile.
pub type TileFn<const B: usize> =
    unsafe fn(&Source, *const f32, *const f32, &Epilogue, bool, &Target<B>);

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

/// Computes a tile of T pixels and B blocks. `STEP` is the distance of pixels in floats, 0 if only known at run time.
///
/// # Safety
/// The processor has V's instruction set, and all that `s`, `weights` and `to` describe is valid memory.
#[inline(always)]
pub unsafe fn tile<V: Vector, const T: usize, const B: usize, const STEP: usize>(
    s: &Source,
    mut weights: *const f32,
    bias: *const f32,
    epilogue: &Epilogue,
    in_registers: bool,
    to: &Target<B>,
) {
    // SAFETY: the caller's.
    unsafe {
        let step = if STEP == 0 { s.advance } else { STEP };
        let mut acc = [[V::zero(); B]; T];
        if V::PAIRS && STEP != PLANES && s.kernel == [1, 1] {
            for block in s.inputs {
                let x = s.base.offset(block.offset as isize + s.shift);
                weights = V::multiply_add(&mut acc, x, step, block.lanes, weights);
            }
        } else {
            for block in s.inputs {
                // planes have one lane, which spares them a loop
                let lanes = if STEP == PLANES { 1 } else { block.lanes };
                let first = s.base.offset(block.offset as isize + s.shift);
                for ky in 0..s.kernel[0] {
                    let mut x = first.add(ky * s.tap[0]);
                    for _ in 0..s.kernel[1] {
                        weights = V::multiply_add(&mut acc, x, step, lanes, weights);
                        x = x.add(s.tap[1]);
                    }
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
        finish::<V, T, B>(acc, epilogue, in_registers, to);
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
        let (mut y, mut i) = (from / row.count, from % row.count);
        for _ in from..to {
            let (x, t) = row.get(i);
            // SAFETY: the tile lies within the output.
            unsafe { self.unit(tiles, lanes, base, [y, x], t, in_registers, groups) };
            i += 1;
            if i == row.count {
                (y, i) = (y + 1, 0);
            }
        }
    }

    /// Computes some groups of output channels of `t` pixels from (y, x) on.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // one call in the innermost loop but one
    unsafe fn unit(
        &self,
        tiles: Tiles,
        lanes: usize,
        base: Base,
        [y, x]: [usize; 2],
        t: usize,
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
        let step = self.out_step[1];
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
                    tiles.two[t - 1](&source, weights, bias, &self.epilogue, in_registers, &to);
                } else {
                    let to = Target {
                        out: [out_at(b)],
                        step,
                        residual: [residual_at(b)],
                    };
                    tiles.one[t - 1](&source, weights, bias, &self.epilogue, in_registers, &to);
                }
            }
        }
    }
}
