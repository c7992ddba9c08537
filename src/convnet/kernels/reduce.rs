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
    for y in from..to {
        for x in 0..o.size[1] {
            let mut value = match o.reduce {
                Reduce::Max => f32::NEG_INFINITY,
                _ => 0.,
            };
            for (block, row) in &o.blocks {
                for lane in 0..block.lanes {
                    // SAFETY: the offsets were computed for this arena.
                    let v = unsafe { *base.add(block.offset + y * row + x * V::LANES + lane) };
                    let v = v.to_f32();
                    value = match o.reduce {
                        Reduce::Max => value.max(v),
                        _ => value + v,
                    };
                }
            }
            if o.reduce == Reduce::Mean {
                value /= channels as f32;
            }
            // SAFETY: as above.
            unsafe {
                let out = base.add(o.output.offset + y * o.output.row + x * V::LANES);
                V::splat(value).store(out);
            }
        }
    }
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
    /// Floats of scratch for one thread: a group, in whole registers.
    pub fn scratch(&self, lanes: usize) -> usize {
        self.group.next_multiple_of(lanes)
    }
}

/// Computes part `part` of `parts`.
///
/// # Safety
/// As for [`global`]; the context's scratch holds a group.
#[inline(always)]
pub unsafe fn softmax<V: Vector>(s: &Softmax, context: &Context, part: usize, parts: usize) {
    let base = context.arena::<V>();
    let registers = s.group.div_ceil(V::Wide::LANES);
    let (from, to) = split(s.size[0], part, parts);
    for y in from..to {
        for x in 0..s.size[1] {
            for group in s.channels.chunks_exact(s.group) {
                // SAFETY: the scratch holds `registers` registers; offsets were computed for this arena.
                unsafe {
                    let values = registers * V::Wide::LANES;
                    let scratch = std::slice::from_raw_parts_mut(context.scratch, values);
                    let mut max = f32::NEG_INFINITY;
                    for (value, &(input, row, _)) in scratch.iter_mut().zip(group) {
                        *value = (*base.add(input + y * row + x * V::LANES)).to_f32();
                        max = max.max(*value);
                    }
                    for value in scratch.iter_mut() {
                        *value -= max;
                    }
                    apply::<V::Wide>(context.scratch, registers, Activation::Exp);
                    let sum: f32 = scratch[..s.group].iter().sum();
                    for (value, &(_, _, output)) in scratch.iter().zip(group) {
                        let at = base.add(output + y * s.out_row + x * V::LANES);
                        *at = Number::from_f32(value / sum);
                    }
                }
            }
        }
    }
}
