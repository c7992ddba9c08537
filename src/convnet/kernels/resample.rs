//! Moves of pixels within their channels: resize, crop, padding, reshape. Bound by loads and stores.

use super::vector::Vector;
use super::{Context, Plane, units};
use crate::convnet::graph::Tap;

/// Where output pixels come from.
#[derive(Clone, Debug)]
pub enum Pixels {
    /// Row and column on their own; `None` gives the constant.
    Separate {
        rows: Vec<Option<usize>>,
        columns: Vec<Option<usize>>,
        constant: f32,
    },
    /// The same order of pixels in rows of this length.
    Reshape { columns: usize },
    /// Linear interpolation.
    Linear { rows: Vec<Tap>, columns: Vec<Tap> },
}

/// A move of pixels, bound to its places in the arena.
#[derive(Clone, Debug)]
pub struct Resample {
    /// Input and output of each block.
    pub blocks: Vec<(Plane, Plane)>,
    /// Output rows and columns.
    pub size: [usize; 2],
    pub pixels: Pixels,
}

/// Computes part `part` of `parts`.
///
/// # Safety
/// The processor has V's instruction set; the step was bound for the context's arena.
#[inline(always)]
pub unsafe fn run<V: Vector>(r: &Resample, context: &Context, part: usize, parts: usize) {
    let base = context.arena::<V>();
    let [rows, columns] = r.size;
    for (b, y) in units(r.blocks.len(), rows, part, parts) {
        let (input, output) = r.blocks[b];
        // SAFETY: the positions lie within the input, as the plan computed them.
        unsafe {
            let x = base.add(input.offset);
            let out = base.add(output.offset + y * output.row);
            match &r.pixels {
                Pixels::Separate {
                    rows,
                    columns,
                    constant,
                } => {
                    let constant = V::splat(*constant);
                    for (i, column) in columns.iter().enumerate() {
                        let v = match (rows[y], column) {
                            (Some(y), Some(column)) => {
                                V::load(x.add(y * input.row + column * V::LANES))
                            }
                            _ => constant,
                        };
                        v.store(out.add(i * V::LANES));
                    }
                }
                Pixels::Reshape { columns: from } => {
                    for i in 0..columns {
                        let pixel = y * columns + i;
                        let at = pixel / from * input.row + pixel % from * V::LANES;
                        V::load(x.add(at)).store(out.add(i * V::LANES));
                    }
                }
                Pixels::Linear { rows, columns } => {
                    linear::<V>(x, input.row, rows[y], columns, out)
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn linear<V: Vector>(
    x: *const V::Element,
    row: usize,
    (y0, y1, fy): Tap,
    columns: &[Tap],
    out: *mut V::Element,
) {
    // SAFETY: the caller's.
    unsafe {
        let (upper, lower) = (x.add(y0 * row), x.add(y1 * row));
        let fy = V::splat(fy);
        let mix = |a: V, b: V, f: V| b.sub(a).fma(f, a);
        let column = |i: usize| {
            let at = i * V::LANES;
            mix(V::load(upper.add(at)), V::load(lower.add(at)), fy)
        };
        for (i, &(x0, x1, fx)) in columns.iter().enumerate() {
            mix(column(x0), column(x1), V::splat(fx)).store(out.add(i * V::LANES));
        }
    }
}
