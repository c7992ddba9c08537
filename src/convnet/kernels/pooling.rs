//! Max and average pooling of any window, rows first, then columns; bound by loads.

use super::vector::Vector;
use super::{Context, Plane, units};
use crate::convnet::graph::{Pool, Window};

/// A pooling, bound to its places in the arena.
#[derive(Clone, Debug)]
pub struct Pooling {
    /// Input and output of each block.
    pub blocks: Vec<(Plane, Plane)>,
    pub pool: Pool,
    /// For each output row and column: the first input position inside and the number of taps inside.
    pub rows: Vec<(usize, usize)>,
    pub columns: Vec<(usize, usize)>,
    /// Input positions from one tap to the next.
    pub dilation: [usize; 2],
    /// Taps of a whole window.
    pub taps: usize,
    /// Columns of the input.
    pub width: usize,
}

impl Pooling {
    /// Values of scratch for one thread: one row of the input.
    pub fn scratch(&self, lanes: usize) -> usize {
        self.width * lanes
    }

    /// Output rows and columns.
    pub fn size(&self) -> [usize; 2] {
        [self.rows.len(), self.columns.len()]
    }
}

/// Lists, for `to` output positions on one axis of an input of length `from`, the first input position inside and the
/// number of taps inside.
pub fn taps(window: &Window, axis: usize, from: usize, to: usize) -> Vec<(usize, usize)> {
    let pad = [window.pads.top, window.pads.left][axis];
    let (kernel, dilation) = (window.kernel[axis], window.dilation[axis]);
    let inside = |i: usize| {
        let start = i * window.stride[axis];
        let skipped = pad.saturating_sub(start).div_ceil(dilation).min(kernel);
        let first = (start + skipped * dilation).saturating_sub(pad);
        let room = from.saturating_sub(first).div_ceil(dilation);
        (first, (kernel - skipped).min(room))
    };
    (0..to).map(inside).collect()
}

/// Computes part `part` of `parts`.
///
/// # Safety
/// The processor has V's instruction set; the step was bound for the context's arena and its scratch.
#[inline(always)]
pub unsafe fn run<V: Vector>(p: &Pooling, context: &Context, part: usize, parts: usize) {
    for (b, y) in units(p.blocks.len(), p.rows.len(), part, parts) {
        let (input, output) = p.blocks[b];
        // SAFETY: the caller's.
        unsafe {
            let out = context.arena::<V>().add(output.offset + y * output.row);
            match p.pool {
                Pool::Max => {
                    line::<V, true>(p, context, input, y);
                    columns::<V, true>(p, context.scratch_of::<V>(), out, |_| 1.);
                }
                Pool::Average { count_padding } => {
                    let n = line::<V, false>(p, context, input, y);
                    let factor = |columns: usize| match count_padding {
                        true => 1. / p.taps as f32,
                        false => 1. / (n * columns) as f32,
                    };
                    columns::<V, false>(p, context.scratch_of::<V>(), out, factor);
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn join<V: Vector, const MAX: bool>(a: V, b: V) -> V {
    // SAFETY: the caller's.
    unsafe { if MAX { b.max(a) } else { a.add(b) } }
}

/// Joins the input rows of output row `y` into the scratch, row after row; returns their number.
#[inline(always)]
unsafe fn line<V: Vector, const MAX: bool>(
    p: &Pooling,
    context: &Context,
    input: Plane,
    y: usize,
) -> usize {
    let (first, rows) = p.rows[y];
    let (scratch, n) = (context.scratch_of::<V>(), p.width * V::LANES);
    // SAFETY: every window has a row inside, and `taps` keeps rows inside; the scratch holds one input row.
    unsafe {
        let start = context.arena::<V>().add(input.offset + first * input.row);
        let row = |i: usize| start.add(i * p.dilation[0] * input.row);
        let second = row(rows.min(2) - 1);
        for x in (0..n).step_by(V::LANES) {
            let v = V::load(start.add(x));
            let v = if rows > 1 {
                join::<V, MAX>(v, V::load(second.add(x)))
            } else {
                v
            };
            v.store(scratch.add(x));
        }
        for i in 2..rows {
            let row = row(i);
            for x in (0..n).step_by(V::LANES) {
                let v = V::load(scratch.add(x));
                join::<V, MAX>(v, V::load(row.add(x))).store(scratch.add(x));
            }
        }
    }
    rows
}

/// Joins the columns of the scratch into an output row. `factor` of the number of columns multiplies sums.
#[inline(always)]
unsafe fn columns<V: Vector, const MAX: bool>(
    p: &Pooling,
    line: *const V::Element,
    out: *mut V::Element,
    factor: impl Fn(usize) -> f32,
) {
    let step = p.dilation[1] * V::LANES;
    for (x, &(first, columns)) in p.columns.iter().enumerate() {
        // SAFETY: every window has a column inside, and `taps` keeps columns inside.
        unsafe {
            let at = line.add(first * V::LANES);
            let mut v = match columns {
                2 => window::<V, MAX, 2>(at, step),
                3 => window::<V, MAX, 3>(at, step),
                5 => window::<V, MAX, 5>(at, step),
                _ => {
                    let mut v = V::load(at);
                    for i in 1..columns {
                        v = join::<V, MAX>(v, V::load(at.add(i * step)));
                    }
                    v
                }
            };
            if !MAX {
                v = v.mul(V::splat(factor(columns)));
            }
            v.store(out.add(x * V::LANES));
        }
    }
}

/// Joins K columns.
#[inline(always)]
unsafe fn window<V: Vector, const MAX: bool, const K: usize>(
    at: *const V::Element,
    step: usize,
) -> V {
    // SAFETY: the caller's.
    unsafe {
        let mut v = V::load(at);
        for i in 1..K {
            v = join::<V, MAX>(v, V::load(at.add(i * step)));
        }
        v
    }
}
