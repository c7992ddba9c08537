//! Winograd convolution F(M×M, 3×3), M = 2 or 4, of stride 1.
//!
//! A chunk of tiles is transformed, multiplied by (M + 2)² small matrices, and transformed back with the epilogue. The
//! chunk is as large as lets both transformed sides stay in L2 beside the weights. F(4,3) does 2.25 multiply-adds per
//! output and channel instead of 9, at an error of about 3e-5 of the spread of the outputs.
//!
//! The products use the register tiles of `dense`, whose accumulators stay in registers, and are bound by multiply-adds.
//! Both transforms are bound by loads and stores: the 36 values of a tile do not fit the registers and pass through L1.
//! F(4,3) on 64 channels of 20x20, transforms included, reached 67 % of the peak of the products with AVX-512 and 64 %
//! with AVX2, on a shared processor where the direct kernel reached 54 and 47 % of it.
//!
//! An infinite or NaN input makes all outputs of its tiles NaN, where the direct kernel spoils the 3x3 pixels around it.

mod transforms;

use std::sync::Arc;

use super::dense::{InBlocks, OutBlock, Source, Tiles};
use super::epilogue::{Epilogue, Target, store_tile};
use super::pack::Packed;
use super::vector::Vector;
use super::{Context, Kernels, Plane, RowTiles, split};
pub use transforms::filter;
use transforms::{backward, forward};

/// A layer, bound to its places in the arena.
#[derive(Clone, Debug)]
pub struct Winograd {
    /// 2 or 4: output rows and columns of a tile.
    pub m: usize,
    /// Input blocks; `offset` is the first tap of output pixel (0, 0).
    pub blocks: Vec<Plane>,
    /// Lanes that the products read from the transformed blocks.
    pub inputs: Vec<InBlocks>,
    pub outputs: Vec<OutBlock>,
    pub out_row: usize,
    /// Output rows and columns.
    pub size: [usize; 2],
    /// One set for each of the (m + 2)² products.
    pub weights: Arc<Packed>,
    pub epilogue: Epilogue,
    /// Tiles transformed together.
    pub chunk: usize,
}

/// Floats from one transformed block to the next: odd in registers, so that they do not fall on the same cache sets.
fn pitch(chunk: usize, lanes: usize) -> usize {
    (chunk | 1) * lanes
}

/// Returns the number of tiles to transform together, for a level-2 cache of `cache` bytes and `weights` bytes of weights.
pub fn chunk_for(
    cache: usize,
    m: usize,
    kernels: &Kernels,
    in_out: usize,
    weights: usize,
) -> usize {
    let tile = (m + 2) * (m + 2) * kernels.lanes * in_out * kernels.element.size();
    let left = (cache / 8 * 7).saturating_sub(weights);
    // whole register tiles; weights that do not fit pass once for each chunk, which should not be too small then
    (left / tile).clamp(14, 56).next_multiple_of(kernels.width)
}

impl Winograd {
    /// Floats from one transformed block to the next.
    pub fn pitch(&self, lanes: usize) -> usize {
        pitch(self.chunk, lanes)
    }

    /// Offsets of a transformed block within the scratch.
    pub fn block_offset(chunk: usize, lanes: usize, block: usize) -> usize {
        block * pitch(chunk, lanes)
    }

    /// Values of scratch for one thread.
    pub fn scratch(&self, lanes: usize) -> usize {
        let n = self.m + 2;
        n * n * (self.blocks.len() + self.outputs.len()) * self.pitch(lanes)
    }

    /// Multiply-adds of one run.
    pub fn work(&self) -> usize {
        self.size[0].div_ceil(self.m) * self.size[1].div_ceil(self.m) * self.weights.len()
    }
}

/// Computes part `part` of `parts`: whole tiles.
///
/// # Safety
/// The processor has V's instruction set, which `tiles` belong to; the step was bound for the context's arena, and the
/// scratch has the size that [`Winograd::scratch`] names.
#[inline(always)]
pub unsafe fn run<V: Vector, const M: usize, const N: usize>(
    w: &Winograd,
    tiles: Tiles<V::Element>,
    context: &Context,
    part: usize,
    parts: usize,
) {
    let total = w.size[0].div_ceil(M) * w.size[1].div_ceil(M);
    // a small map is one chunk, which several threads share all the same
    let (from, to) = split(total, part, parts);
    let chunks = (to - from).div_ceil(w.chunk);
    for i in 0..chunks {
        let (first, end) = split(to - from, i, chunks);
        // SAFETY: the caller's.
        unsafe {
            transform::<V, M, N>(w, context, from + first, end - first);
            multiply::<V, N>(w, tiles, context, end - first);
            restore::<V, M, N>(w, context, from + first, end - first);
        }
    }
}

/// Brings `n` tiles from tile `first` on into the scratch.
///
/// Blocks are outside and tiles inside: neighbouring tiles are read in order, which the prefetchers follow.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // rows and columns of a matrix
unsafe fn transform<V: Vector, const M: usize, const N: usize>(
    w: &Winograd,
    context: &Context,
    first: usize,
    n: usize,
) {
    let (c, pitch, across) = (V::LANES, w.pitch(V::LANES), w.size[1].div_ceil(M));
    for (b, block) in w.blocks.iter().enumerate() {
        for t in 0..n {
            let (y, x) = ((first + t) / across * M, (first + t) % across * M);
            // SAFETY: borders are wide enough for whole tiles.
            unsafe {
                let at = context
                    .arena::<V>()
                    .add(block.offset + y * block.row + x * c);
                let mut a = [[V::zero(); N]; N];
                for column in 0..N {
                    let mut d = [V::zero(); N];
                    for (row, d) in d.iter_mut().enumerate() {
                        *d = V::load(at.add(row * block.row + column * c));
                    }
                    let o = forward::<V, N>(&d);
                    for row in 0..N {
                        a[row][column] = o[row];
                    }
                }
                for (row, a) in a.iter().enumerate() {
                    let o = forward::<V, N>(a);
                    for (column, o) in o.iter().enumerate() {
                        let xi = row * N + column;
                        o.store(
                            context
                                .scratch_of::<V>()
                                .add((xi * w.blocks.len() + b) * pitch + t * c),
                        );
                    }
                }
            }
        }
    }
}

/// Multiplies `n` transformed tiles by the weights.
#[inline(always)]
unsafe fn multiply<V: Vector, const N: usize>(
    w: &Winograd,
    tiles: Tiles<V::Element>,
    context: &Context,
    n: usize,
) {
    let (c, pitch, most) = (V::LANES, w.pitch(V::LANES), tiles.two.len());
    let (ins, outs) = (w.blocks.len(), w.outputs.len());
    let epilogue = Epilogue::default();
    // SAFETY: the products lie behind the transformed input in the scratch.
    let products = unsafe { context.scratch_of::<V>().add(N * N * ins * pitch) };
    let row = RowTiles::new(n, most);
    for xi in 0..N * N {
        for group in w.weights.groups() {
            for (t, width, count) in row.runs(0, row.count) {
                let source = Source {
                    base: context.scratch_of::<V>(),
                    shift: (xi * ins * pitch + t * c) as isize,
                    inputs: &w.inputs,
                    kernel: [1, 1],
                    tap: [0, 0],
                    advance: c,
                };
                // SAFETY: as above; weights hold N · N sets.
                unsafe {
                    let weights = w
                        .weights
                        .weights::<V::Element>()
                        .add(xi * w.weights.set() + group.offset);
                    let out = |b: usize| products.add((xi * outs + b) * pitch + t * c);
                    let b = group.first_block;
                    // product (1, 1) counts once in every output: it carries the bias
                    let bias = match xi == N + 1 {
                        true => w.weights.bias::<V::Element>().add(b * c),
                        false => std::ptr::null(),
                    };
                    if group.blocks == 2 {
                        let to = Target {
                            out: [out(b), out(b + 1)],
                            step: c,
                            residual: [std::ptr::null(); 2],
                        };
                        tiles.two[width - 1](&source, weights, bias, &epilogue, true, &to, count);
                    } else {
                        let to = Target {
                            out: [out(b)],
                            step: c,
                            residual: [std::ptr::null()],
                        };
                        tiles.one[width - 1](&source, weights, bias, &epilogue, true, &to, count);
                    }
                }
            }
        }
    }
}

/// Brings `n` products back into the output.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // rows and columns of a matrix
unsafe fn restore<V: Vector, const M: usize, const N: usize>(
    w: &Winograd,
    context: &Context,
    first: usize,
    n: usize,
) {
    let (c, pitch, across) = (V::LANES, w.pitch(V::LANES), w.size[1].div_ceil(M));
    let outs = w.outputs.len();
    // SAFETY: offsets lie within the arena and the scratch.
    unsafe {
        let products = context
            .scratch_of::<V>()
            .add(N * N * w.blocks.len() * pitch);
        for (b, block) in w.outputs.iter().enumerate() {
            let mut t = 0;
            while t < n {
                let (y, x) = ((first + t) / across * M, (first + t) % across * M);
                let neighbours = (n - t).min(across - (first + t) % across);
                let residual = match block.residual {
                    Some((offset, row)) => (
                        context
                            .arena::<V>()
                            .add(offset + y * row + x * c)
                            .cast_const(),
                        row,
                    ),
                    None => (std::ptr::null(), 0),
                };
                let strip = Strip {
                    out: context
                        .arena::<V>()
                        .add(block.offset + y * w.out_row + x * c),
                    row: w.out_row,
                    residual,
                    size: [M.min(w.size[0] - y), (neighbours * M).min(w.size[1] - x)],
                };
                let from = products.add(b * pitch + t * c);
                restore_strip::<V, M, N>(from, outs * pitch, neighbours, &w.epilogue, &strip);
                t += neighbours;
            }
        }
    }
}

/// Neighbouring tiles of one row of tiles in one block of the output.
struct Strip<E> {
    /// First pixel, and floats from one row to the next.
    out: *mut E,
    row: usize,
    /// The same of the residual; null if there is none.
    residual: (*const E, usize),
    /// Rows and columns that lie within the output.
    size: [usize; 2],
}

/// Brings `n` neighbouring tiles back. Costly activations run on the whole strip, which is still in L1.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // rows and columns of a matrix
unsafe fn restore_strip<V: Vector, const M: usize, const N: usize>(
    products: *const V::Element,
    position: usize,
    n: usize,
    epilogue: &Epilogue,
    strip: &Strip<V::Element>,
) {
    let none = Epilogue::default();
    let in_registers = epilogue.in_registers();
    let (now, residual) = match in_registers {
        true => (epilogue, strip.residual.0),
        false => (&none, std::ptr::null()),
    };
    // SAFETY: the caller's; rows and columns behind the output's edge are not stored.
    unsafe {
        for t in 0..n {
            let mut a = [[V::zero(); N]; M];
            for column in 0..N {
                let mut d = [V::zero(); N];
                for (row, d) in d.iter_mut().enumerate() {
                    *d = V::load(products.add((row * N + column) * position + t * V::LANES));
                }
                let o = backward::<V, N, M>(&d);
                for row in 0..M {
                    a[row][column] = o[row];
                }
            }
            for (row, a) in a.iter().enumerate() {
                if row >= strip.size[0] {
                    break;
                }
                let o = backward::<V, N, M>(a);
                let at = |column: usize| Target {
                    out: [strip.out.add(row * strip.row + (t * M + column) * V::LANES)],
                    step: V::LANES,
                    residual: [match residual.is_null() {
                        true => residual,
                        false => residual.add(row * strip.residual.1 + (t * M + column) * V::LANES),
                    }],
                };
                if (t + 1) * M <= strip.size[1] {
                    store_tile::<V, M, 1>(o.map(|v| [v]), now, true, &at(0), 0);
                    continue;
                }
                for (column, v) in o.into_iter().enumerate() {
                    if t * M + column < strip.size[1] {
                        store_tile::<V, 1, 1>([[v]], now, true, &at(column), 0);
                    }
                }
            }
        }
        for row in (0..strip.size[0]).filter(|_| !in_registers) {
            let residual = match strip.residual.0.is_null() {
                true => std::ptr::null(),
                false => strip.residual.0.add(row * strip.residual.1),
            };
            let out = strip.out.add(row * strip.row);
            V::finish_in_memory(out, V::LANES, residual, strip.size[1], epilogue);
        }
    }
}

#[cfg(test)]
mod tests;
