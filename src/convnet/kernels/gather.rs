//! Blocks made of lanes of other blocks: for channels that no view can describe, and to bring planes into blocks.

use super::vector::{Picks, Vector};
use super::{Context, units};

/// Lanes taken from one source block.
#[derive(Clone, Debug)]
pub struct Lanes {
    /// Floats from the arena's start to pixel (0, 0).
    pub offset: usize,
    /// Floats from one row to the next.
    pub row: usize,
    /// True if the source is a plane: one value per pixel.
    pub plane: bool,
    pub picks: Picks,
}

/// A gather, bound to its places in the arena.
#[derive(Clone, Debug)]
pub struct Gather {
    /// Sources and output offset of each block.
    pub blocks: Vec<(Vec<Lanes>, usize)>,
    /// Rows and columns of the sources.
    pub size: [usize; 2],
    /// Floats from one output pixel to the next, down and right.
    pub out_step: [usize; 2],
}

/// Computes part `part` of `parts`.
///
/// # Safety
/// The processor has V's instruction set; the step was bound for the context's arena.
#[inline(always)]
pub unsafe fn run<V: Vector>(g: &Gather, context: &Context, part: usize, parts: usize) {
    let base = context.arena::<V>();
    let [rows, columns] = g.size;
    for (b, y) in units(g.blocks.len(), rows, part, parts) {
        let (sources, output) = &g.blocks[b];
        for x in 0..columns {
            // SAFETY: the offsets were computed for this arena.
            unsafe {
                let mut v = V::zero();
                for s in sources {
                    let row = base.add(s.offset + y * s.row);
                    let source = if s.plane {
                        V::splat_at(row.add(x))
                    } else {
                        V::load(row.add(x * V::LANES))
                    };
                    v = v.merge(source, &s.picks);
                }
                v.store(base.add(output + y * g.out_step[0] + x * g.out_step[1]));
            }
        }
    }
}
