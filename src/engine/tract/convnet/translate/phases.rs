//! Pixels that one axis counts beside channels, as SpaceToDepth has them, become channels.
//!
//! SpaceToDepth takes every n-th row and column from n places to begin at. To tract it is a reshape that cuts rows and
//! columns, a transposition, and a reshape that makes one axis of the places and the channels.

use super::Translation;
use crate::convnet::graph::{Crop, Shape};
use crate::engine::tract::convnet::Refusal;
use crate::engine::tract::convnet::view::{self, Atom, Axis, Counts, Part, append};

/// Most pixels of a block, each a crop of its own.
const MOST_PHASES: usize = 16;

impl Translation<'_> {
    /// Returns the part with the pixels of a block as channels, if an axis counts them together with the channels.
    pub(super) fn blocks_as_channels(&mut self, part: Part) -> Result<Part, Refusal> {
        if view::in_order(&part.axes, Counts::Pixels) {
            return Ok(part);
        }
        let shape = self.builder.graph.shape(part.tensor);
        let found = (0..part.axes.len()).find_map(|axis| Blocks::new(&part.axes, axis, shape));
        let Some(blocks) = found else {
            return Ok(part);
        };
        let [rows, columns] = blocks.size;
        let mut crops = Vec::with_capacity(rows * columns);
        for first in blocks.firsts() {
            let crop = Crop {
                top: first / shape.w,
                left: first % shape.w,
                step: blocks.size,
                size: [shape.h / rows, shape.w / columns],
            };
            crops.push(self.builder.graph.crop(part.tensor, crop)?);
        }
        Ok(Part {
            tensor: self.builder.graph.concat(&crops)?,
            axes: blocks.axes(&part.axes, shape),
        })
    }
}

/// An axis that counts the pixels of blocks.
struct Blocks {
    axis: usize,
    /// Rows and columns of a block.
    size: [usize; 2],
    /// Atoms of the axis that count pixels, the slowest first.
    pixels: Vec<Atom>,
}

impl Blocks {
    /// Finds the blocks of which `axis` counts the pixels; the other axes must count the blocks.
    fn new(axes: &[Axis], axis: usize, shape: Shape) -> Option<Self> {
        let of_kind = |counts| axes[axis].iter().filter(move |atom| atom.counts == counts);
        let mixed = of_kind(Counts::Channels).next().is_some() || shape.c == 1;
        if !mixed || view::total(axes, Counts::Pixels) != shape.pixels() {
            return None;
        }
        let pixels: Vec<Atom> = of_kind(Counts::Pixels).copied().collect();
        let mut size = [1, 1];
        let mut fastest_first = pixels.clone();
        fastest_first.sort_by_key(|atom| atom.stride);
        for atom in fastest_first {
            if atom.stride == size[1] && size[1] * atom.size <= shape.w {
                size[1] *= atom.size;
            } else if atom.stride == size[0] * shape.w {
                size[0] *= atom.size;
            } else {
                return None;
            }
        }
        let blocks = Self { axis, size, pixels };
        let even = shape.h.is_multiple_of(size[0]) && shape.w.is_multiple_of(size[1]);
        let known = (2..=MOST_PHASES).contains(&(size[0] * size[1]));
        let mut others = (axes.iter().enumerate())
            .filter(|(i, _)| *i != axis)
            .flat_map(|(_, atoms)| atoms);
        let whole = others.all(|atom| blocks.stride_between(atom, shape).is_some());
        (even && known && whole).then_some(blocks)
    }

    /// Number of each block's first pixel of a phase, in the order in which the axis counts the phases.
    fn firsts(&self) -> Vec<usize> {
        self.pixels.iter().fold(vec![0], |firsts, atom| {
            let with = |first: &usize| {
                let first = *first;
                (0..atom.size).map(move |step| first + step * atom.stride)
            };
            firsts.iter().flat_map(with).collect()
        })
    }

    /// Stride of an atom of another axis once blocks are pixels; none if it does not count whole blocks.
    fn stride_between(&self, atom: &Atom, shape: Shape) -> Option<usize> {
        let [rows, columns] = self.size;
        if atom.counts == Counts::Channels {
            return Some(atom.stride);
        }
        if atom.stride * atom.size <= shape.w {
            return (atom.stride.is_multiple_of(columns)).then(|| atom.stride / columns);
        }
        let of_rows = atom.stride.is_multiple_of(shape.w * rows);
        of_rows.then(|| atom.stride / (shape.w * rows) * (shape.w / columns))
    }

    /// The axes once the phases are channels, those of the first phase in front.
    fn axes(&self, axes: &[Axis], shape: Shape) -> Vec<Axis> {
        let mut phases: usize = self.pixels.iter().map(|atom| atom.size).product();
        let mut made = Vec::with_capacity(axes.len());
        for (i, atoms) in axes.iter().enumerate() {
            let mut axis = Axis::new();
            for atom in atoms {
                let atom = match (i == self.axis, atom.counts) {
                    (true, Counts::Pixels) => {
                        phases /= atom.size;
                        Atom {
                            counts: Counts::Channels,
                            size: atom.size,
                            stride: phases * shape.c,
                        }
                    }
                    _ => Atom {
                        stride: self.stride_between(atom, shape).unwrap_or(atom.stride),
                        ..*atom
                    },
                };
                append(&mut axis, atom);
            }
            made.push(axis);
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tract::convnet::view::{length, positions, reshaped, whole};
    use tract_onnx::prelude::tvec;

    const SHAPE: Shape = Shape::new(3, 8, 12);

    fn planes(c: usize) -> Vec<Axis> {
        let axes = [
            tvec!(),
            whole(Counts::Channels, c),
            whole(Counts::Pixels, 8 * 12),
        ];
        reshaped(&axes, 2, 1, &[8, 12]).expect("even")
    }

    /// Blocks of `size` as SpaceToDepth makes them: `[1, row, column, channel]` as one axis.
    fn space_to_depth(c: usize, [rows, columns]: [usize; 2]) -> Vec<Axis> {
        let cut = [8 / rows, rows, 12 / columns, columns];
        let mut axes = reshaped(&planes(c), 2, 2, &cut).expect("even");
        // [1, c, h, rows, w, columns] to [1, rows, columns, c, h, w]
        let row = axes.remove(3);
        axes.insert(1, row);
        let column = axes.remove(5);
        axes.insert(2, column);
        reshaped(&axes, 1, 3, &[rows * columns * c]).expect("whole")
    }

    #[test]
    fn phases_become_channels_in_their_order() {
        for (size, firsts) in [
            ([2, 2], vec![0, 1, 12, 13]),
            ([4, 1], vec![0, 12, 24, 36]),
            ([1, 3], vec![0, 1, 2]),
        ] {
            let axes = space_to_depth(3, size);
            let blocks = Blocks::new(&axes, 1, SHAPE).expect("blocks");
            assert_eq!((blocks.size, blocks.firsts()), (size, firsts));
            let made = blocks.axes(&axes, SHAPE);
            let dims = [1, 3 * size[0] * size[1], 8 / size[0], 12 / size[1]];
            assert_eq!(made.iter().map(length).collect::<Vec<_>>(), dims);
            for counts in [Counts::Channels, Counts::Pixels] {
                let order = positions(&made, counts);
                assert!(order.into_iter().eq(0..view::total(&made, counts)));
            }
        }
    }

    #[test]
    fn channels_in_front_of_the_phases_count_slower() {
        // PixelUnshuffle: [1, c, h, 2, w, 2] to [1, c, 2, 2, h, w]
        let mut axes = reshaped(&planes(3), 2, 2, &[4, 2, 6, 2]).expect("even");
        let row = axes.remove(3);
        axes.insert(2, row);
        let column = axes.remove(5);
        axes.insert(3, column);
        let axes = reshaped(&axes, 1, 3, &[12]).expect("whole");
        let blocks = Blocks::new(&axes, 1, SHAPE).expect("blocks");
        let made = blocks.axes(&axes, SHAPE);
        let channels = positions(&made, Counts::Channels);
        assert_eq!(channels, [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]);
    }

    #[test]
    fn a_single_channel_may_leave_no_atom() {
        let axes = space_to_depth(1, [2, 2]);
        let blocks = Blocks::new(&axes, 1, Shape::new(1, 8, 12)).expect("blocks");
        assert_eq!(blocks.size, [2, 2]);
    }

    #[test]
    fn other_orders_of_pixels_are_no_blocks() {
        // a transposition of rows and columns
        let mut turned = planes(3);
        turned.swap(2, 3);
        // blocks of all 96 pixels
        let all = space_to_depth(3, [8, 12]);
        // rows of the block without the columns between: [1, 2 c, 4, 12] of the lower and the upper half
        let halves = reshaped(&planes(3), 2, 1, &[2, 4]).expect("even");
        let mut halves = halves;
        let half = halves.remove(2);
        halves.insert(1, half);
        let halves = reshaped(&halves, 1, 2, &[6]).expect("whole");
        for axes in [turned, all, halves] {
            for axis in 0..axes.len() {
                assert!(Blocks::new(&axes, axis, SHAPE).is_none(), "{axes:?}");
            }
        }
    }
}
