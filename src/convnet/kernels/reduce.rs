//! Reductions over pixels and over channels, and softmax. Bound by loads; softmax by the exponential.

use super::activate::apply;
use super::dense::InBlock;
use super::element::Number;
use super::vector::Vector;
use super::{Context, Plane, split};
use crate::convnet::graph::{Activation, Reduce};

/// Reduction of each channel to one pixel.
#[derive(Clone, Debug)]
pub struct Global {
    /// Input of each block and offset of its one output pixel.
    pub blocks: Vec<(Plane, usize)>,
    /// Rows and columns of the input.
    pub size: [usize; 2],
    pub reduce: Reduce,
}

/// Computes part `part` of `parts`.
///
/// # Safety
/// The processor has V's instruction set; the step was bound for the context's arena.
#[inline(always)]
pub unsafe fn global<V: Vector>(g: &Global, context: &Context, part: usize, parts: usize) {
    let base = context.arena::<V>();
    let [rows, columns] = g.size;
    let (from, to) = split(g.blocks.len(), part, parts);
    for &(input, output) in &g.blocks[from..to] {
        // SAFETY: the caller's.
        unsafe {
            let start = base.add(input.offset);
            let max = g.reduce == Reduce::Max;
            let join = |a: V, b: V| if max { b.max(a) } else { a.add(b) };
            let first = V::splat(if max { f32::NEG_INFINITY } else { 0. });
            // four sums, so that additions do not wait for each other and errors stay small
            let mut acc = [first; 4];
            let mut sums = V::Sums::default();
            for y in 0..rows {
                let row = start.add(y * input.row);
                for x in 0..columns {
                    acc[x % 4] = join(acc[x % 4], V::load(row.add(x * V::LANES)));
                    if !max && V::LONGEST_SUM < usize::MAX && x % V::LONGEST_SUM == 3 {
                        empty(&mut acc, &mut sums);
                    }
                }
            }
            let factor = match g.reduce {
                Reduce::Mean => 1. / (rows * columns) as f32,
                _ => 1.,
            };
            let v = if max || V::LONGEST_SUM == usize::MAX {
                let v = join(join(acc[0], acc[1]), join(acc[2], acc[3]));
                if g.reduce == Reduce::Mean {
                    v.mul(V::splat(factor))
                } else {
                    v
                }
            } else {
                empty(&mut acc, &mut sums);
                V::from_sums(&sums, factor)
            };
            v.store(base.add(output));
        }
    }
}

/// Adds accumulators to sums in f32 and empties them.
#[inline(always)]
unsafe fn empty<V: Vector>(acc: &mut [V; 4], sums: &mut V::Sums) {
    for acc in acc {
        // SAFETY: the caller's.
        unsafe {
            acc.add_to(sums);
            *acc = V::zero();
        }
    }
}

/// Reduction of each pixel to one channel.
#[derive(Clone, Debug)]
pub struct OverChannels {
    /// Blocks of the input, and floats from one row to the next of each.
    pub blocks: Vec<(InBlock, usize)>,
    pub output: Plane,
    pub size: [usize; 2],
    pub reduce: Reduce,
}

/// Computes part `part` of `parts`.
///
/// # Safety
/// As for [`global`].
#[inline(always)]
pub unsafe fn over_channels<V: Vector>(
    o: &OverChannels,
    context: &Context,
    part: usize,
    parts: usize,
) {
    let base = context.arena::<V>();
    let channels: usize = o.blocks.iter().map(|b| b.0.lanes).sum();
    let (from, to) = split(o.size[0], part, parts);
    let max = o.reduce == Reduce::Max;
    let first = if max { f32::NEG_INFINITY } else { 0. };
    let join = |a: f32, b: f32| if max { a.max(b) } else { a + b };
    for y in from..to {
        for x in 0..o.size[1] {
            let pixel = y * o.output.row + x * V::LANES;
            // SAFETY: the offsets were computed for this arena.
            unsafe {
                // whole registers first, then the lanes of the others
                let mut lanes = V::splat(first);
                let mut value = first;
                for (block, row) in &o.blocks {
                    let at = base.add(block.offset + y * row + x * V::LANES);
                    if block.lanes == V::LANES {
                        let v = V::load(at);
                        lanes = if max { v.max(lanes) } else { lanes.add(v) };
                    } else {
                        let some = std::slice::from_raw_parts(at, block.lanes);
                        value = some.iter().fold(value, |a, b| join(a, b.to_f32()));
                    }
                }
                value = join(value, fold(lanes, join));
                if o.reduce == Reduce::Mean {
                    value /= channels as f32;
                }
                V::splat(value).store(base.add(o.output.offset + pixel));
            }
        }
    }
}

/// Joins the lanes of a register, halves with halves.
#[inline(always)]
pub unsafe fn fold<V: Vector>(v: V, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.; 64];
    // SAFETY: no register has more lanes.
    unsafe { v.widen(lanes.as_mut_ptr()) };
    let mut count = V::LANES;
    while count > 1 {
        count /= 2;
        let (low, high) = lanes.split_at_mut(count);
        for (a, b) in low.iter_mut().zip(high) {
            *a = join(*a, *b);
        }
    }
    lanes[0]
}

/// Softmax over groups of channels.
#[derive(Clone, Debug)]
pub struct Softmax {
    /// For each channel: the offset of its pixel (0, 0) in the input, the input's row, and its offset in the output.
    pub channels: Vec<(usize, usize, usize)>,
    pub out_row: usize,
    pub size: [usize; 2],
    pub group: usize,
}

impl Softmax {
    /// Floats of scratch for one thread: a group, a register of pixels for each channel.
    pub fn scratch(&self, lanes: usize) -> usize {
        self.group * lanes
    }
}

/// Computes part `part` of `parts`: neighbouring pixels in the lanes of a register, so that neither the maximum nor the sum
/// goes across lanes.
///
/// # Safety
/// As for [`global`]; the context's scratch holds a group.
#[inline(always)]
pub unsafe fn softmax<V: Vector>(s: &Softmax, context: &Context, part: usize, parts: usize) {
    let base = context.arena::<V>();
    let width = V::Wide::LANES;
    let [rows, columns] = s.size;
    let (from, to) = split(rows * columns.div_ceil(width), part, parts);
    for unit in from..to {
        let (y, x) = (unit % rows, unit / rows * width);
        let count = width.min(columns - x);
        for group in s.channels.chunks_exact(s.group) {
            // SAFETY: the scratch holds a register for each channel; offsets were computed for this arena.
            unsafe {
                let scratch = context.scratch;
                if count < width {
                    std::slice::from_raw_parts_mut(scratch, s.group * width).fill(0.);
                }
                for (c, &(input, row, _)) in group.iter().enumerate() {
                    let pixel = base.add(input + y * row + x * V::LANES);
                    let register = scratch.add(c * width);
                    for i in 0..count {
                        *register.add(i) = (*pixel.add(i * V::LANES)).to_f32();
                    }
                }
                normalise::<V::Wide>(scratch, s.group);
                for (c, &(_, _, output)) in group.iter().enumerate() {
                    let pixel = base.add(output + y * s.out_row + x * V::LANES);
                    let register = scratch.add(c * width);
                    for i in 0..count {
                        *pixel.add(i * V::LANES) = Number::from_f32(*register.add(i));
                    }
                }
            }
        }
    }
}

/// Computes the softmax of `n` registers, lane by lane.
#[inline(always)]
unsafe fn normalise<V: Vector<Element = f32>>(p: *mut f32, n: usize) {
    // SAFETY: the caller's `n` registers.
    unsafe {
        let mut highest = V::load(p);
        for i in 1..n {
            highest = V::load(p.add(i * V::LANES)).max(highest);
        }
        for i in 0..n {
            let at = p.add(i * V::LANES);
            V::load(at).sub(highest).store(at);
        }
        apply::<V>(p, n, Activation::Exp);
        let mut sum = V::zero();
        for i in 0..n {
            sum = sum.add(V::load(p.add(i * V::LANES)));
        }
        let factor = V::splat(1.).div(sum);
        for i in 0..n {
            let at = p.add(i * V::LANES);
            V::load(at).mul(factor).store(at);
        }
    }
}
