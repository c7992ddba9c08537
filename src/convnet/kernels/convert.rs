//! Blocks of one element made of lanes of blocks of another one.

use super::element::{Element, Half};
use super::vector::Vector;
use super::{Context, units};

/// Neighbouring lanes of a block or plane, and where they go.
#[derive(Clone, Debug)]
pub struct Piece {
    pub element: Element,
    /// Values from the arena's start to the first lane of pixel (0, 0), all in the source's element.
    pub offset: usize,
    /// Values from one row to the next, and from one pixel to the next.
    pub step: [usize; 2],
    /// Number of lanes, and the first one in the output.
    pub count: usize,
    pub lane: usize,
}

/// A conversion, bound to its places in the arena.
#[derive(Clone, Debug)]
pub struct Convert {
    /// Element and lanes of the output.
    pub element: Element,
    pub lanes: usize,
    /// Sources of each block, and values from the arena's start to its pixel (0, 0). Other lanes become 0.
    pub blocks: Vec<(Vec<Piece>, usize)>,
    /// Rows and columns.
    pub size: [usize; 2],
    /// Values from one output row to the next.
    pub row: usize,
}

/// Lanes of the widest block.
const MOST_LANES: usize = 16;

/// Computes part `part` of `parts`.
///
/// # Safety
/// The processor has V's instruction set, and V's element is f16; the step was bound for the context's arena.
#[inline(always)]
pub unsafe fn run<V: Vector>(c: &Convert, context: &Context, part: usize, parts: usize) {
    let [rows, columns] = c.size;
    for (b, y) in units(c.blocks.len(), rows, part, parts) {
        let (pieces, output) = &c.blocks[b];
        for x in 0..columns {
            let mut lanes = [0f32; MOST_LANES];
            let at = output + y * c.row + x * c.lanes;
            // SAFETY: the offsets were computed for this arena, and pieces lie within the block.
            unsafe {
                for piece in pieces {
                    read::<V>(piece, context, [y, x], &mut lanes);
                }
                match c.element {
                    Element::F32 => copy(lanes.as_ptr(), context.base.0.add(at), c.lanes),
                    Element::F16 => V::narrow(lanes.as_ptr()).store(context.arena::<V>().add(at)),
                }
            }
        }
    }
}

/// Reads one pixel of a piece.
#[inline(always)]
unsafe fn read<V: Vector>(
    piece: &Piece,
    context: &Context,
    [y, x]: [usize; 2],
    lanes: &mut [f32; MOST_LANES],
) {
    let at = piece.offset + y * piece.step[0] + x * piece.step[1];
    // SAFETY: the caller's.
    unsafe {
        let to = lanes.as_mut_ptr().add(piece.lane);
        match piece.element {
            Element::F32 => copy(context.base.0.add(at).cast_const(), to, piece.count),
            Element::F16 => {
                let from = context.base.0.cast::<Half>().cast_const().add(at);
                V::widen_part(from, to, piece.count);
            }
        }
    }
}

/// Copies a few values, mostly 4 or 8.
#[inline(always)]
unsafe fn copy(from: *const f32, to: *mut f32, n: usize) {
    // SAFETY: the caller's.
    unsafe {
        match n {
            4 => to
                .cast::<[f32; 4]>()
                .write_unaligned(from.cast::<[f32; 4]>().read_unaligned()),
            8 => to
                .cast::<[f32; 8]>()
                .write_unaligned(from.cast::<[f32; 8]>().read_unaligned()),
            _ => (0..n).for_each(|i| to.add(i).write(from.add(i).read())),
        }
    }
}
