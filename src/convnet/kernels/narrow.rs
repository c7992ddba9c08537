//! Dense convolution to very few output channels: registers hold input channels, which are summed at the end.
//!
//! The tile of `dense` would compute a whole block of outputs of which one or two are wanted. Eight pixels of one output
//! at once; bound by loads, one for each multiply-add.

use super::element::Number;
use super::epilogue::Epilogue;
use super::pack::Aligned;
use super::vector::Vector;
use super::{Context, Plane, split};

/// True if a layer of `inputs` input channels times taps gains by this kernel, with blocks of `lanes` channels.
pub fn pays(lanes: usize, inputs: usize, outputs: usize) -> bool {
    /// Registers of products from which it pays to sum their lanes.
    const LEAST_REGISTERS: usize = 16;
    // Of a block of 4 the tile of `dense` wastes less, but it loads as many weights as pixels here.
    let few = if lanes > 4 {
        lanes > 4 * outputs && outputs <= 2
    } else {
        outputs == 1
    };
    let least = LEAST_REGISTERS * if lanes > 4 { 16 } else { lanes };
    few && inputs >= least
}

/// A layer, bound to its places in the arena. Pairs read `[down, right]`.
#[derive(Debug)]
pub struct Narrow {
    /// Input blocks, all of whose lanes are used; `offset` is the first tap of output pixel (0, 0).
    pub blocks: Vec<Plane>,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub output: Plane,
    /// Output rows and columns.
    pub size: [usize; 2],
    /// `[output][block][tap][lane]`
    pub weights: Aligned,
    /// One value per output.
    pub bias: Vec<f32>,
    pub epilogue: Epilogue,
}

impl Narrow {
    /// Registers of multiply-adds of one run.
    pub fn work(&self) -> usize {
        self.size[0] * self.size[1] * self.weights.len()
    }
}

/// Pixels computed together.
const TILE: usize = 8;

/// Computes part `part` of `parts`.
///
/// # Safety
/// The processor has V's instruction set; the step was bound for the context's arena.
#[inline(always)]
pub unsafe fn run<V: Vector>(n: &Narrow, context: &Context, part: usize, parts: usize) {
    let [rows, columns] = n.size;
    let (from, to) = split(rows, part, parts);
    for y in from..to {
        // SAFETY: the caller's.
        unsafe {
            let out = context.arena::<V>().add(n.output.offset + y * n.output.row);
            for o in 0..n.bias.len() {
                let mut x = 0;
                while x + TILE <= columns {
                    tile::<V, TILE>(n, context, o, [y, x], out);
                    x += TILE;
                }
                while x < columns {
                    tile::<V, 1>(n, context, o, [y, x], out);
                    x += 1;
                }
            }
            V::finish_in_memory(out, V::LANES, std::ptr::null(), columns, &n.epilogue);
        }
    }
}

/// Computes output `o` of T pixels from (y, x) on.
#[inline(always)]
unsafe fn tile<V: Vector, const T: usize>(
    n: &Narrow,
    context: &Context,
    o: usize,
    [y, x]: [usize; 2],
    out: *mut V::Element,
) {
    let c = V::LANES;
    let step = n.stride[1] * c;
    let taps = n.kernel[0] * n.kernel[1];
    // SAFETY: the caller's.
    unsafe {
        let mut weights = n
            .weights
            .values::<V::Element>()
            .add(o * n.blocks.len() * taps * c);
        let mut acc = [V::zero(); T];
        if V::PAIRS && taps == 1 {
            for block in &n.blocks {
                let at = block.offset + y * n.stride[0] * block.row + x * step;
                let at = context.arena::<V>().add(at);
                let w = V::load(weights);
                weights = weights.add(c);
                for (t, acc) in acc.iter_mut().enumerate() {
                    *acc = V::load(at.add(t * step)).fma(w, *acc);
                }
            }
        }
        for block in n.blocks.iter().filter(|_| !(V::PAIRS && taps == 1)) {
            let first = context
                .arena::<V>()
                .add(block.offset + y * n.stride[0] * block.row + x * step);
            for ky in 0..n.kernel[0] {
                for kx in 0..n.kernel[1] {
                    let at = first.add(ky * n.dilation[0] * block.row + kx * n.dilation[1] * c);
                    let w = V::load(weights);
                    weights = weights.add(c);
                    for (t, acc) in acc.iter_mut().enumerate() {
                        *acc = V::load(at.add(t * step)).fma(w, *acc);
                    }
                }
            }
        }
        for (t, acc) in acc.iter().enumerate() {
            *out.add((x + t) * c + o) = Number::from_f32(acc.sum() + n.bias[o]);
        }
    }
}
