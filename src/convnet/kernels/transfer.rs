//! Inputs into the arena, outputs out of it, and the zero borders of buffers. Bound by memory.

use super::element::{Element, Number};
use super::vector::Vector;
use super::{Context, split, units};
use crate::convnet::graph::{Input, InputFormat, Layout, Shape};

/// Copies an input into planes.
#[derive(Clone, Debug)]
pub struct Load {
    /// Which input of the run.
    pub input: usize,
    pub shape: Shape,
    pub format: InputFormat,
    /// Least and largest value; what lies beyond becomes these.
    pub limits: Option<[f32; 2]>,
    /// Floats from the arena's start to pixel (0, 0) of the first plane, between rows, and between planes.
    pub offset: usize,
    pub row: usize,
    pub plane: usize,
}

/// Loads part `part` of `parts`.
///
/// # Safety
/// The step was bound for the context's arena; the input has the shape's length and the format's type.
#[inline(always)]
pub unsafe fn load<V: Vector>(l: &Load, context: &Context, part: usize, parts: usize) {
    let Shape { c, h, w } = l.shape;
    for (channel, y) in units(c, h, part, parts) {
        // SAFETY: the row lies within the arena, and nobody else writes it.
        unsafe {
            let start = l.offset + channel * l.plane + y * l.row;
            let out = context.arena::<V>().add(start);
            if V::Element::ELEMENT == Element::F32 {
                let out = std::slice::from_raw_parts_mut(out.cast::<f32>(), w);
                fill(l, &context.inputs[l.input], [channel, y, 0], out);
                continue;
            }
            for x in (0..w).step_by(PIECE) {
                let mut piece = [0f32; PIECE];
                let n = PIECE.min(w - x);
                let place = [channel, y, x];
                fill(l, &context.inputs[l.input], place, &mut piece[..n]);
                let whole = n - n % V::LANES;
                for i in (0..whole).step_by(V::LANES) {
                    V::narrow(piece.as_ptr().add(i)).store(out.add(x + i));
                }
                for (i, &value) in piece[whole..n].iter().enumerate() {
                    *out.add(x + whole + i) = Number::from_f32(value);
                }
            }
        }
    }
}

/// Values that are converted together.
const PIECE: usize = 256;

/// Reads values of an input from channel, row and column on.
#[inline(always)]
fn fill(l: &Load, input: &Input, [channel, y, x]: [usize; 3], out: &mut [f32]) {
    let Shape { c, h, w } = l.shape;
    let pixels = (y * w + x) * c..(y * w + x + out.len()) * c;
    match (&l.format, input) {
        (InputFormat::Planar, Input::F32(values)) => {
            let start = (channel * h + y) * w + x;
            out.copy_from_slice(&values[start..start + out.len()])
        }
        (InputFormat::Interleaved, Input::F32(values)) => {
            let row = &values[pixels];
            for (out, pixel) in out.iter_mut().zip(row.chunks_exact(c)) {
                *out = pixel[channel];
            }
        }
        (InputFormat::Pixels { scale, bias, order }, Input::U8(values)) => {
            let byte = order.iter().position(|&o| usize::from(o) == channel);
            let byte = byte.unwrap_or(channel);
            let (scale, bias) = (scale[channel], bias[channel]);
            let row = &values[pixels];
            for (out, pixel) in out.iter_mut().zip(row.chunks_exact(c)) {
                *out = f32::from(pixel[byte]) * scale + bias;
            }
        }
        _ => unreachable!("inputs were checked before the run"),
    }
    if let Some([min, max]) = l.limits {
        for x in out {
            // NaN is neither below nor above
            *x = match *x {
                x if x < min => min,
                x if x > max => max,
                x => x,
            };
        }
    }
}

/// Zeroes the border of a buffer whose memory had another use before.
#[derive(Clone, Debug)]
pub struct Border {
    /// Floats from the arena's start to the first plane, border included.
    pub offset: usize,
    pub planes: usize,
    /// Floats of one pixel: lanes of a block, or 1.
    pub pixel: usize,
    /// Pixels above, left, below, right.
    pub pads: [usize; 4],
    /// Rows and columns inside.
    pub size: [usize; 2],
}

/// Zeroes part `part` of `parts`.
///
/// # Safety
/// The step was bound for the context's arena.
#[inline(always)]
pub unsafe fn border<V: Vector>(b: &Border, context: &Context, part: usize, parts: usize) {
    let [top, left, bottom, right] = b.pads;
    let [h, w] = b.size;
    let row = (left + w + right) * b.pixel;
    let plane = (top + h + bottom) * row;
    let (from, to) = split(b.planes, part, parts);
    for i in from..to {
        // SAFETY: the ranges lie within the buffer.
        unsafe {
            let start = context.arena::<V>().add(b.offset + i * plane);
            let zero = |at: usize, n: usize| std::ptr::write_bytes(start.add(at), 0, n);
            zero(0, top * row + left * b.pixel);
            // from the right border of one row to the left border of the next
            for y in top..top + h - 1 {
                zero(y * row + (left + w) * b.pixel, (right + left) * b.pixel);
            }
            let last = (top + h - 1) * row + (left + w) * b.pixel;
            zero(last, plane - last);
        }
    }
}

/// Channels of one block that go to consecutive channels of an output.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Floats from the arena's start to the first lane of pixel (0, 0), and from one row to the next.
    pub offset: usize,
    pub row: usize,
    /// Floats from one pixel to the next: lanes of a block, or 1 for a plane.
    pub pixel: usize,
    /// First channel of the output, and number of channels.
    pub channel: usize,
    pub count: usize,
}

/// Copies a tensor into an output of the run.
#[derive(Clone, Debug)]
pub struct Store {
    /// Which output of the run.
    pub output: usize,
    pub layout: Layout,
    pub runs: Vec<Run>,
    pub channels: usize,
    /// Rows and columns.
    pub size: [usize; 2],
    /// Number of the tensor's first pixel within the output, and pixels of the whole output.
    pub first: usize,
    pub pixels: usize,
}

/// Stores part `part` of `parts`.
///
/// # Safety
/// The step was bound for the context's arena; the outputs have their full length.
#[inline(always)]
pub unsafe fn store<V: Vector>(s: &Store, context: &Context, part: usize, parts: usize) {
    let base = context.arena::<V>().cast_const();
    let out = context.outputs[s.output];
    let [rows, columns] = s.size;
    let (from, to) = split(rows, part, parts);
    for y in from..to {
        let first = s.first + y * columns;
        for run in &s.runs {
            // SAFETY: the run lies within the arena, the pixels within the output.
            unsafe {
                let x = base.add(run.offset + y * run.row);
                match s.layout {
                    Layout::Rows => {
                        for i in 0..columns {
                            let to = out.0.add((first + i) * s.channels + run.channel);
                            if run.pixel == V::LANES {
                                // the last lanes may lie behind the block: one more register is always readable
                                V::load(x.add(i * V::LANES)).store_part(to, run.count);
                            } else {
                                *to = (*x.add(i * run.pixel)).to_f32();
                            }
                        }
                    }
                    Layout::Planar => {
                        for lane in 0..run.count {
                            let to = out.0.add((run.channel + lane) * s.pixels + first);
                            for i in 0..columns {
                                *to.add(i) = (*x.add(i * run.pixel + lane)).to_f32();
                            }
                        }
                    }
                }
            }
        }
    }
}
