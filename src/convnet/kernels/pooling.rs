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
    pub window: Window,
    /// Rows and columns of the input and of the output.
    pub from: [usize; 2],
    pub to: [usize; 2],
}

impl Pooling {
    /// Floats of scratch for one thread: one row of the input.
    pub fn scratch(&self, lanes: usize) -> usize {
        self.from[1] * lanes
    }

    /// Input positions of the taps of output position `i` that lie inside, and the step between them.
    fn taps(&self, axis: usize, i: usize) -> (usize, usize, usize) {
        let w = &self.window;
        let pad = [w.pads.top, w.pads.left][axis];
        let dilation = w.dilation[axis];
        let start = i * w.stride[axis];
        let skipped = pad.saturating_sub(start).div_ceil(dilation);
        let first = start + skipped * dilation - pad;
        let room = self.from[axis].saturating_sub(first).div_ceil(dilation);
        (
            first,
            (w.kernel[axis] - skipped.min(w.kernel[axis])).min(room),
            dilation,
        )
    }
}

/// Computes part `part` of `parts`.
///
/// # Safety
/// The processor has V's instruction set; the step was bound for the context's arena and its scratch.
#[inline(always)]
pub unsafe fn run<V: Vector>(p: &Pooling, context: &Context, part: usize, parts: usize) {
    let (from, to) = split(p.blocks.len() * p.to[0], part, parts);
    for unit in from..to {
        let (input, output) = p.blocks[unit / p.to[0]];
        // SAFETY: the caller's.
        unsafe { row::<V>(p, context, input, output, unit % p.to[0]) };
    }
}

#[inline(always)]
unsafe fn row<V: Vector>(p: &Pooling, context: &Context, input: Plane, output: Plane, y: usize) {
    let (base, line) = (context.base.0, context.scratch);
    let (first, rows, step) = p.taps(0, y);
    let max = p.pool == Pool::Max;
    // SAFETY: `taps` keeps rows and columns inside; the scratch holds one input row.
    unsafe {
        let join = |a: V, b: V| if max { b.max(a) } else { a.add(b) };
        let start = base.add(input.offset + first * input.row);
        for x in 0..p.from[1] {
            let mut v = V::load(start.add(x * V::LANES));
            for i in 1..rows {
                v = join(v, V::load(start.add(i * step * input.row + x * V::LANES)));
            }
            v.store(line.add(x * V::LANES));
        }
        let all = p.window.kernel[0] * p.window.kernel[1];
        for x in 0..p.to[1] {
            let (first, columns, step) = p.taps(1, x);
            let mut v = V::load(line.add(first * V::LANES));
            for i in 1..columns {
                v = join(v, V::load(line.add((first + i * step) * V::LANES)));
            }
            if let Pool::Average { count_padding } = p.pool {
                let n = if count_padding { all } else { rows * columns };
                v = v.mul(V::splat(1. / n as f32));
            }
            v.store(base.add(output.offset + y * output.row + x * V::LANES));
        }
    }
}
