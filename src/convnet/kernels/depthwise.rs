//! Depthwise convolution: one block of channels a register, T output pixels at once.
//!
//! At stride 1 a row's pixels are loaded once and serve all taps of the row, so that loads stay below the multiply-adds,
//! which bound it; so they do at stride 2 where multiply-adds cannot read memory. Other kernels walk a list of taps and are
//! bound by their loads.

use super::epilogue::{Epilogue, Target, Tile, store_tile};
use super::pack::Packed;
use super::vector::Vector;
use super::{Context, RowTiles, units};
use std::hint::black_box;
use std::sync::Arc;

/// A block of the layer: where it is read and written.
#[derive(Clone, Copy, Debug)]
pub struct DepthwiseBlock {
    /// Floats from the arena's start to the first tap of output pixel (0, 0), which may lie in the border.
    pub input: usize,
    /// Floats from one input row to the next.
    pub row: usize,
    /// Floats from the arena's start to output pixel (0, 0).
    pub output: usize,
    /// Pixel (0, 0) of the residual's block, and floats from one of its rows to the next.
    pub residual: Option<(usize, usize)>,
}

/// A layer, bound to its places in the arena. Pairs read `[down, right]`.
#[derive(Clone, Debug)]
pub struct Depthwise {
    pub blocks: Vec<DepthwiseBlock>,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Floats from one output pixel to the next.
    pub out_step: [usize; 2],
    /// Output rows and columns.
    pub size: [usize; 2],
    /// One group per block; rows are taps.
    pub weights: Arc<Packed>,
    pub epilogue: Epilogue,
}

/// Input of a tile.
#[derive(Clone, Copy)]
pub struct Source<E> {
    pub x: *const E,
    pub row: usize,
    pub kernel: [usize; 2],
    /// Pixels from one output pixel's input to the next one's.
    pub stride: usize,
    pub dilation: [usize; 2],
    /// Floats from one tap's weights to the next's.
    pub weight_step: usize,
}

/// Neighbouring register tiles; the last argument is their number.
pub type TileFn<E> =
    unsafe fn(&Source<E>, *const E, *const E, &Epilogue, bool, &Target<E, 1>, usize);

/// Tiles by pixels less one.
pub struct DepthwiseTiles<E: 'static> {
    /// 3x3 of stride 1 and 2, 5x5 of stride 1 and 2, without dilation.
    pub fixed: [&'static [TileFn<E>]; 4],
    pub any: &'static [TileFn<E>],
}

/// Computes `count` neighbouring tiles of T pixels of a KxK kernel with stride S.
///
/// # Safety
/// The processor has V's instruction set, and all that the arguments describe is valid memory.
#[inline(always)]
pub unsafe fn tiles<V: Vector, const T: usize, const K: usize, const S: usize>(
    s: &Source<V::Element>,
    weights: *const V::Element,
    bias: *const V::Element,
    epilogue: &Epilogue,
    in_registers: bool,
    to: &Target<V::Element, 1>,
    count: usize,
) {
    let mut x = s.x;
    // SAFETY: the caller's.
    unsafe {
        for i in 0..count {
            let acc = tile::<V, T, K, S>(x, s, weights, bias);
            // Read anew for each tile: kept from tile to tile, its values would push accumulators out of registers.
            let epilogue = black_box(epilogue);
            store_tile::<V, T, 1>(acc, epilogue, in_registers, to, i * T);
            x = x.add(T * S * V::LANES);
        }
        if !in_registers {
            to.finish_in_memory::<V>(count * T, epilogue);
        }
    }
}

/// Computes T pixels from `x` on.
#[inline(always)]
unsafe fn tile<V: Vector, const T: usize, const K: usize, const S: usize>(
    x: *const V::Element,
    s: &Source<V::Element>,
    weights: *const V::Element,
    bias: *const V::Element,
) -> Tile<V, T, 1> {
    // SAFETY: the caller's.
    unsafe {
        let c = V::LANES;
        let mut acc = [[V::load(bias)]; T];
        // Few sums with many taps would wait for each other: every other column of taps gets sums of its own.
        let few = V::PAIRS && T <= 6 && K > 3;
        let mut others = [V::zero(); T];
        // The rows of a large kernel stay a loop: unrolled, they make the compiler load pixels early and keep them on
        // the stack.
        let rows = if K > 3 { s.kernel[0] } else { K };
        for ky in 0..rows {
            let x = x.add(ky * s.row);
            let w = weights.add(ky * K * s.weight_step);
            let span = (T - 1) * S + K;
            if (S == 1 || !V::MEMORY_OPERANDS) && T + span + 1 < V::REGISTERS {
                // 24 covers the span of every tile that fits the registers
                let mut pixels = [V::zero(); 24];
                for (i, pixel) in pixels.iter_mut().enumerate().take(span) {
                    *pixel = V::load(x.add(i * c));
                }
                for kx in 0..K {
                    let w = V::load(w.add(kx * s.weight_step));
                    for (t, (acc, other)) in acc.iter_mut().zip(&mut others).enumerate() {
                        let sum = if few && kx % 2 == 1 {
                            other
                        } else {
                            &mut acc[0]
                        };
                        *sum = pixels[t * S + kx].fma(w, *sum);
                    }
                }
            } else {
                for kx in 0..K {
                    let w = V::load(w.add(kx * s.weight_step));
                    for (t, acc) in acc.iter_mut().enumerate() {
                        acc[0] = V::load(x.add((t * S + kx) * c)).fma(w, acc[0]);
                    }
                }
            }
        }
        if few {
            for (acc, other) in acc.iter_mut().zip(others) {
                acc[0] = acc[0].add(other);
            }
        }
        acc
    }
}

/// Computes `count` neighbouring tiles of T pixels of any kernel, stride and dilation.
///
/// # Safety
/// As for [`tiles`].
#[inline(always)]
pub unsafe fn tiles_any<V: Vector, const T: usize>(
    s: &Source<V::Element>,
    weights: *const V::Element,
    bias: *const V::Element,
    epilogue: &Epilogue,
    in_registers: bool,
    to: &Target<V::Element, 1>,
    count: usize,
) {
    let c = V::LANES;
    let mut start = s.x;
    // SAFETY: the caller's.
    unsafe {
        for i in 0..count {
            let mut acc = [[V::load(bias)]; T];
            let mut weights = weights;
            for ky in 0..s.kernel[0] {
                for kx in 0..s.kernel[1] {
                    let x = start.add(ky * s.dilation[0] * s.row + kx * s.dilation[1] * c);
                    let w = V::load(weights);
                    weights = weights.add(s.weight_step);
                    for (t, acc) in acc.iter_mut().enumerate() {
                        acc[0] = V::load(x.add(t * s.stride * c)).fma(w, acc[0]);
                    }
                }
            }
            // Read anew for each tile: kept from tile to tile, its values would push accumulators out of registers.
            let epilogue = black_box(epilogue);
            store_tile::<V, T, 1>(acc, epilogue, in_registers, to, i * T);
            start = start.add(T * s.stride * c);
        }
        if !in_registers {
            to.finish_in_memory::<V>(count * T, epilogue);
        }
    }
}

impl Depthwise {
    /// Multiply-adds of one run.
    pub fn work(&self) -> usize {
        self.size[0] * self.size[1] * self.weights.len()
    }

    fn select<E>(&self, tiles: &DepthwiseTiles<E>) -> &'static [TileFn<E>] {
        let square = self.kernel[0] == self.kernel[1] && self.dilation == [1, 1];
        match (self.kernel[1], self.stride[1]) {
            (3, s @ (1 | 2)) if square => tiles.fixed[s - 1],
            (5, s @ (1 | 2)) if square => tiles.fixed[1 + s],
            _ => tiles.any,
        }
    }
}

/// Computes part `part` of `parts`: rows of all blocks.
///
/// # Safety
/// The processor has V's instruction set, which `tiles` belong to; the layer was bound for the context's arena. No two
/// parts that run at the same time are the same.
#[inline(always)]
pub unsafe fn run<V: Vector>(
    layer: &Depthwise,
    tiles: &DepthwiseTiles<V::Element>,
    context: &Context,
    part: usize,
    parts: usize,
) {
    let tiles = layer.select(tiles);
    let base = context.arena::<V>();
    let [rows, columns] = layer.size;
    let row = RowTiles::new(columns, tiles.len());
    let in_registers = layer.epilogue.in_registers();
    for (b, y) in units(layer.blocks.len(), rows, part, parts) {
        let block = &layer.blocks[b];
        let (group, step) = layer.weights.depthwise(b, V::LANES);
        for (x, t, count) in row.runs(0, row.count) {
            // SAFETY: the offsets were computed for this arena.
            unsafe {
                let start = block.input + y * layer.stride[0] * block.row;
                let source = Source {
                    x: base.add(start + x * layer.stride[1] * V::LANES),
                    row: block.row,
                    kernel: layer.kernel,
                    stride: layer.stride[1],
                    dilation: layer.dilation,
                    weight_step: step,
                };
                let residual = block.residual.map_or(std::ptr::null(), |(offset, row)| {
                    base.add(offset + y * row + x * V::LANES).cast_const()
                });
                let out = block.output + y * layer.out_step[0] + x * layer.out_step[1];
                let target = Target {
                    out: [base.add(out)],
                    step: layer.out_step[1],
                    residual: [residual],
                };
                let weights = layer.weights.weights::<V::Element>().add(group);
                let bias = layer.weights.bias::<V::Element>().add(b * V::LANES);
                let tile = tiles[t - 1];
                tile(
                    &source,
                    weights,
                    bias,
                    &layer.epilogue,
                    in_registers,
                    &target,
                    count,
                );
            }
        }
    }
}
