//! Functions of one or two tensors, block by block; bound by loads and stores.

use super::epilogue::Epilogue;
use super::pack::Aligned;
use super::vector::Vector;
use super::{Context, Plane, units};
use crate::convnet::graph::Binary;

/// Second operand of a [`Function::Binary`].
#[derive(Clone, Copy, Debug)]
pub struct Operand {
    /// Floats from the arena's start to pixel (0, 0).
    pub offset: usize,
    /// Floats from one pixel to the next, down and right; 0 where one pixel serves all.
    pub step: [usize; 2],
    /// True if the pixel's first lane serves all lanes.
    pub one_lane: bool,
}

#[derive(Debug)]
pub enum Function {
    Copy,
    Binary(Binary, Vec<Operand>),
    /// Scales of all blocks, then biases of all blocks.
    Affine(Aligned),
    /// Slopes of all blocks.
    PRelu(Aligned),
}

/// A function, bound to its places in the arena.
#[derive(Debug)]
pub struct Elementwise {
    /// Input and output of each block.
    pub blocks: Vec<(Plane, Plane)>,
    pub size: [usize; 2],
    pub function: Function,
    pub epilogue: Epilogue,
}

/// Computes part `part` of `parts`.
///
/// # Safety
/// The processor has V's instruction set; the step was bound for the context's arena.
#[inline(always)]
pub unsafe fn run<V: Vector>(e: &Elementwise, context: &Context, part: usize, parts: usize) {
    let base = context.arena::<V>();
    let [rows, columns] = e.size;
    for (b, y) in units(e.blocks.len(), rows, part, parts) {
        let (input, output) = e.blocks[b];
        // SAFETY: the caller's.
        unsafe {
            let x = base.add(input.offset + y * input.row);
            let out = base.add(output.offset + y * output.row);
            match &e.function {
                Function::Copy => each::<V>(x, out, columns, |v, _| v),
                Function::Binary(binary, operands) => {
                    let operand = &operands[b];
                    let second = base.add(operand.offset + y * operand.step[0]);
                    row::<V>(*binary, x, second, operand, out, columns);
                }
                Function::Affine(values) => {
                    let at = values.values::<V::Element>().add(b * V::LANES);
                    let scale = V::load(at);
                    let bias = V::load(at.add(e.blocks.len() * V::LANES));
                    each::<V>(x, out, columns, |v, _| v.fma(scale, bias));
                }
                Function::PRelu(slopes) => {
                    let slope = V::load(slopes.values::<V::Element>().add(b * V::LANES));
                    each::<V>(x, out, columns, |v, _| v.if_negative(v.mul(slope), v));
                }
            }
            V::finish_in_memory(out, V::LANES, std::ptr::null(), columns, &e.epilogue);
        }
    }
}

#[inline(always)]
unsafe fn each<V: Vector>(
    x: *const V::Element,
    out: *mut V::Element,
    n: usize,
    f: impl Fn(V, usize) -> V,
) {
    for i in 0..n {
        // SAFETY: the caller's rows are n pixels long.
        unsafe { f(V::load(x.add(i * V::LANES)), i).store(out.add(i * V::LANES)) }
    }
}

#[inline(always)]
unsafe fn row<V: Vector>(
    binary: Binary,
    x: *const V::Element,
    second: *const V::Element,
    operand: &Operand,
    out: *mut V::Element,
    n: usize,
) {
    let (step, one_lane) = (operand.step[1], operand.one_lane);
    /// Chooses the operation once per row.
    macro_rules! with {
        ($($name:ident => |$a:ident, $b:ident| $f:expr),*) => { match binary { $(Binary::$name => {
            if one_lane {
                each::<V>(x, out, n, |$a, i| { let $b = V::splat_at(second.add(i * step)); $f })
            } else {
                each::<V>(x, out, n, |$a, i| { let $b = V::load(second.add(i * step)); $f })
            }
        })* } };
    }
    // SAFETY: the caller's.
    unsafe {
        with!(
            Add => |a, b| a.add(b),
            Sub => |a, b| a.sub(b),
            Mul => |a, b| a.mul(b),
            Div => |a, b| a.div(b),
            Max => |a, b| a.max(b),
            Min => |a, b| a.min(b)
        );
    }
}
