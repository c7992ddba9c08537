//! Winograd convolution F(M×M, 3×3), M = 2 or 4, of stride 1.
//!
//! A chunk of tiles is transformed, multiplied by (M + 2)² small matrices with the tiles of `dense`, and transformed
//! back with bias and epilogue. The chunk is as large as lets both transformed sides stay in L2 beside the weights;
//! both transforms are bound by loads and stores, the products by multiply-adds. F(4,3) does 2.25 multiply-adds per
//! output and channel instead of 9, at an error of about 3e-5 of the spread of the outputs.

use std::sync::Arc;

use super::dense::{InBlock, OutBlock, Source, Tiles};
use super::epilogue::{Epilogue, Target, finish};
use super::pack::Packed;
use super::vector::Vector;
use super::{Context, Plane, split};

/// A layer, bound to its places in the arena.
#[derive(Clone, Debug)]
pub struct Winograd {
    /// 2 or 4: output rows and columns of a tile.
    pub m: usize,
    /// Input blocks; `offset` is the first tap of output pixel (0, 0).
    pub blocks: Vec<Plane>,
    /// Lanes that the products read from the transformed blocks.
    pub inputs: Vec<InBlock>,
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

/// Returns the number of tiles to transform together, for a level-2 cache of `cache` bytes.
pub fn chunk_for(
    cache: usize,
    m: usize,
    lanes: usize,
    most: usize,
    in_out: usize,
    weights: usize,
) -> usize {
    let tile = (m + 2) * (m + 2) * lanes * in_out * size_of::<f32>();
    let left = (cache / 8 * 7).saturating_sub(weights * size_of::<f32>());
    // whole register tiles, one at least and four at most
    (left / tile / most).clamp(1, 4) * most
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

    /// Floats of scratch for one thread.
    pub fn scratch(&self, lanes: usize) -> usize {
        let n = self.m + 2;
        n * n * (self.blocks.len() + self.outputs.len()) * self.pitch(lanes)
    }

    /// Multiply-adds of one run.
    pub fn work(&self) -> usize {
        self.size[0].div_ceil(self.m) * self.size[1].div_ceil(self.m) * self.weights.len()
    }
}

/// Transforms a 3x3 filter, in double precision, for tiles of `N` rows and columns; `NN` is N · N. No filter gives zeros.
pub fn filter<const N: usize, const NN: usize>(taps: &[f32]) -> [f32; NN] {
    const F4: [[f64; 3]; 6] = [
        [0.25, 0., 0.],
        [-1. / 6., -1. / 6., -1. / 6.],
        [-1. / 6., 1. / 6., -1. / 6.],
        [1. / 24., 1. / 12., 1. / 6.],
        [1. / 24., -1. / 12., 1. / 6.],
        [0., 0., 1.],
    ];
    const F2: [[f64; 3]; 4] = [
        [1., 0., 0.],
        [0.5, 0.5, 0.5],
        [0.5, -0.5, 0.5],
        [0., 0., 1.],
    ];
    let mut out = [0.; NN];
    if taps.is_empty() {
        return out;
    }
    let g: &[[f64; 3]] = if N == 6 { &F4 } else { &F2 };
    for (a, row) in g.iter().enumerate() {
        let column = [0, 1, 2].map(|x| {
            let tap = |y: usize| row[y] * f64::from(taps[y * 3 + x]);
            tap(0) + tap(1) + tap(2)
        });
        for (b, g) in g.iter().enumerate() {
            out[a * N + b] = (g[0] * column[0] + g[1] * column[1] + g[2] * column[2]) as f32;
        }
    }
    out
}

/// Transforms one column or row of the input.
#[inline(always)]
unsafe fn forward<V: Vector, const N: usize>(d: &[V; N]) -> [V; N] {
    // SAFETY: the caller's.
    unsafe {
        let mut o = [V::zero(); N];
        if N == 6 {
            let (four, five, two) = (V::splat(4.), V::splat(5.), V::splat(2.));
            let a = d[2].fnma(four, d[4]);
            let b = d[1].fnma(four, d[3]);
            let c = d[4].sub(d[2]);
            let e = d[3].sub(d[1]).mul(two);
            o[0] = d[0].fma(four, d[2].fnma(five, d[4]));
            o[1] = a.add(b);
            o[2] = a.sub(b);
            o[3] = c.add(e);
            o[4] = c.sub(e);
            o[5] = d[1].fma(four, d[3].fnma(five, d[5]));
        } else {
            o[0] = d[0].sub(d[2]);
            o[1] = d[1].add(d[2]);
            o[2] = d[2].sub(d[1]);
            o[3] = d[1].sub(d[3]);
        }
        o
    }
}

/// Transforms one column or row of the products back.
#[inline(always)]
unsafe fn backward<V: Vector, const N: usize, const M: usize>(p: &[V; N]) -> [V; M] {
    // SAFETY: the caller's.
    unsafe {
        let mut o = [V::zero(); M];
        if N == 6 {
            let (s, d) = (p[1].add(p[2]), p[1].sub(p[2]));
            let (e, f) = (p[3].add(p[4]), p[3].sub(p[4]));
            o[0] = p[0].add(s).add(e);
            o[1] = f.fma(V::splat(2.), d);
            o[2] = e.fma(V::splat(4.), s);
            o[3] = f.fma(V::splat(8.), d.add(p[5]));
        } else {
            o[0] = p[0].add(p[1]).add(p[2]);
            o[1] = p[1].sub(p[2]).sub(p[3]);
        }
        o
    }
}

/// Computes part `part` of `parts`.
///
/// # Safety
/// The processor has V's instruction set, which `tiles` belong to; the step was bound for the context's arena, and the
/// scratch has the size that [`Winograd::scratch`] names.
#[inline(always)]
pub unsafe fn run<V: Vector, const M: usize, const N: usize>(
    w: &Winograd,
    tiles: Tiles,
    context: &Context,
    part: usize,
    parts: usize,
) {
    let total = w.size[0].div_ceil(M) * w.size[1].div_ceil(M);
    let chunks = total.div_ceil(w.chunk);
    let (from, to) = split(chunks, part, parts);
    for i in from..to {
        let (first, end) = split(total, i, chunks);
        // SAFETY: the caller's.
        unsafe {
            transform::<V, M, N>(w, context, first, end - first);
            multiply::<V, N>(w, tiles, context, end - first);
            restore::<V, M, N>(w, context, first, end - first);
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
                let at = context.base.0.add(block.offset + y * block.row + x * c);
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
                                .scratch
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
    tiles: Tiles,
    context: &Context,
    n: usize,
) {
    let (c, pitch, most) = (V::LANES, w.pitch(V::LANES), tiles.two.len());
    let (ins, outs) = (w.blocks.len(), w.outputs.len());
    let epilogue = Epilogue::default();
    let no_bias = std::ptr::null();
    // SAFETY: the products lie behind the transformed input in the scratch.
    let products = unsafe { context.scratch.add(N * N * ins * pitch) };
    let parts = n.div_ceil(most);
    for xi in 0..N * N {
        for group in w.weights.groups() {
            for i in 0..parts {
                let (t, end) = split(n, i, parts);
                let source = Source {
                    base: context.scratch,
                    shift: (xi * ins * pitch + t * c) as isize,
                    inputs: &w.inputs,
                    kernel: [1, 1],
                    tap: [0, 0],
                    advance: c,
                };
                // SAFETY: as above; weights hold N · N sets.
                unsafe {
                    let weights = w.weights.weights().add(xi * w.weights.set() + group.offset);
                    let out = |b: usize| products.add((xi * outs + b) * pitch + t * c);
                    let b = group.first_block;
                    if group.blocks == 2 {
                        let to = Target {
                            out: [out(b), out(b + 1)],
                            step: c,
                            residual: [std::ptr::null(); 2],
                        };
                        tiles.two[end - t - 1](&source, weights, no_bias, &epilogue, true, &to);
                    } else {
                        let to = Target {
                            out: [out(b)],
                            step: c,
                            residual: [std::ptr::null()],
                        };
                        tiles.one[end - t - 1](&source, weights, no_bias, &epilogue, true, &to);
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
    let in_registers = w.epilogue.in_registers();
    // SAFETY: offsets lie within the arena and the scratch; rows and columns behind the output's edge are not stored.
    unsafe {
        let products = context.scratch.add(N * N * w.blocks.len() * pitch);
        for (b, block) in w.outputs.iter().enumerate() {
            let bias = V::load(w.weights.bias().add(b * c));
            for t in 0..n {
                let (y, x) = ((first + t) / across * M, (first + t) % across * M);
                let mut a = [[V::zero(); N]; M];
                for column in 0..N {
                    let mut d = [V::zero(); N];
                    for (row, d) in d.iter_mut().enumerate() {
                        let xi = row * N + column;
                        *d = V::load(products.add((xi * outs + b) * pitch + t * c));
                    }
                    let o = backward::<V, N, M>(&d);
                    for row in 0..M {
                        a[row][column] = o[row];
                    }
                }
                for (row, a) in a.iter().enumerate().take(M.min(w.size[0] - y)) {
                    let o = backward::<V, N, M>(a).map(|v| [v.add(bias)]);
                    let out = context
                        .base
                        .0
                        .add(block.offset + (y + row) * w.out_row + x * c);
                    let residual = match block.residual {
                        Some((offset, step)) => context
                            .base
                            .0
                            .add(offset + (y + row) * step + x * c)
                            .cast_const(),
                        None => std::ptr::null(),
                    };
                    let columns = M.min(w.size[1] - x);
                    if columns == M {
                        let to = Target {
                            out: [out],
                            step: c,
                            residual: [residual],
                        };
                        finish::<V, M, 1>(o, &w.epilogue, in_registers, &to);
                    } else {
                        for (i, [v]) in o.iter().enumerate().take(columns) {
                            v.store(out.add(i * c));
                        }
                        V::finish_in_memory(out, c, residual, columns, &w.epilogue);
                    }
                }
            }
        }
    }
}
