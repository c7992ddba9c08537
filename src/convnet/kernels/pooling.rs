//! Max and average pooling of any window, rows first, then columns; bound by loads.

use super::vector::Vector;
use super::{Context, Plane, split};
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
    /// Floats of scratch for one thread: one row of the input.
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
    let rows = p.rows.len();
    let (from, to) = split(p.blocks.len() * rows, part, parts);
    for unit in from..to {
        let (input, output) = p.blocks[unit / rows];
        // SAFETY: the caller's.
        unsafe { row::<V>(p, context, input, output, unit % rows) };
    }
}

#[inline(always)]
unsafe fn row<V: Vector>(p: &Pooling, context: &Context, input: Plane, output: Plane, y: usize) {
    let (base, line) = (context.base.0, context.scratch);
    let (first, rows) = p.rows[y];
    let [step_y, step_x] = p.dilation;
    let max = p.pool == Pool::Max;
    // SAFETY: every window has a tap inside, and `taps` keeps rows and columns inside; the scratch holds one input row.
    unsafe {
        let join = |a: V, b: V| if max { b.max(a) } else { a.add(b) };
        let start = base.add(input.offset + first * input.row);
        for x in 0..p.width {
            let mut v = V::load(start.add(x * V::LANES));
            for i in 1..rows {
                v = join(v, V::load(start.add(i * step_y * input.row + x * V::LANES)));
            }
            v.store(line.add(x * V::LANES));
        }
        for (x, &(first, columns)) in p.columns.iter().enumerate() {
            let mut v = V::load(line.add(first * V::LANES));
            for i in 1..columns {
                v = join(v, V::load(line.add((first + i * step_x) * V::LANES)));
            }
            if let Pool::Average { count_padding } = p.pool {
                let n = if count_padding {
                    p.taps
                } else {
                    rows * columns
                };
                v = v.mul(V::splat(1. / n as f32));
            }
            v.store(base.add(output.offset + y * output.row + x * V::LANES));
        }
    }
}
