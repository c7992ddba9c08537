//! [`View`]: how a tensor of tract's lies in tensors of the executor.
//!
//! tract's tensors have any rank and any order of axes; the executor's have channels and pixels. A view says what each
//! axis of tract's counts: channels, pixels, or a part of either. Reshapes and transpositions change the view alone, so
//! that a channel shuffle costs nothing until somebody reads the channels in order.

use crate::convnet::graph::TensorId;
use tract_onnx::prelude::{TVec, tvec};

/// Unit that an [`Atom`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    Channels,
    /// Row by row: a pixel's number is `y * width + x`.
    Pixels,
    /// Pixels of the second map, in products of the pixels of two.
    Others,
}

/// A factor of an axis: `size` steps, each of `stride` channels or pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Atom {
    pub counts: Counts,
    pub size: usize,
    pub stride: usize,
}

/// Factors of one axis, the slowest first; an axis of length 1 has none. Neighbours that could be one are one.
pub(super) type Axis = TVec<Atom>;

/// A tensor of the executor, and what the axes of tract's tensor count in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub tensor: TensorId,
    pub axes: Vec<Axis>,
}

/// A tensor of tract's: one part, or several, one behind the other along the axis `joined`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    pub parts: Vec<Part>,
    pub joined: Option<usize>,
}

impl View {
    pub fn single(tensor: TensorId, axes: Vec<Axis>) -> Self {
        Self {
            parts: vec![Part { tensor, axes }],
            joined: None,
        }
    }

    /// Replaces each part, given its number.
    ///
    /// # Errors
    /// The errors of `change`.
    pub fn try_map<E>(
        &self,
        mut change: impl FnMut(usize, &Part) -> Result<Part, E>,
    ) -> Result<Self, E> {
        let parts = self.parts.iter().enumerate();
        Ok(Self {
            parts: parts
                .map(|(i, part)| change(i, part))
                .collect::<Result<_, E>>()?,
            joined: self.joined,
        })
    }

    /// Dims of tract's tensor.
    pub fn dims(&self) -> Vec<usize> {
        let of_part = |part: &Part| part.axes.iter().map(length).collect::<Vec<_>>();
        let mut dims = of_part(&self.parts[0]);
        if let Some(joined) = self.joined {
            dims[joined] = self.parts.iter().map(|p| length(&p.axes[joined])).sum();
        }
        dims
    }

    /// The part of a tensor that has one.
    pub fn one_part(&self) -> Option<&Part> {
        match self.parts.as_slice() {
            [part] => Some(part),
            _ => None,
        }
    }
}

/// Length of an axis.
pub(super) fn length(axis: &Axis) -> usize {
    axis.iter().map(|atom| atom.size).product()
}

/// An axis that counts all `size` channels or pixels.
pub(super) fn whole(counts: Counts, size: usize) -> Axis {
    let mut axis = tvec!();
    append(
        &mut axis,
        Atom {
            counts,
            size,
            stride: 1,
        },
    );
    axis
}

/// Appends an atom, as part of the last one where the two count on.
pub(super) fn append(axis: &mut Axis, atom: Atom) {
    if atom.size == 1 {
        return;
    }
    if let Some(last) = axis.last_mut()
        && last.counts == atom.counts
        && last.stride == atom.size * atom.stride
    {
        last.size *= atom.size;
        last.stride = atom.stride;
        return;
    }
    axis.push(atom);
}

/// All atoms of one kind, in the order of the axes.
pub(super) fn atoms(axes: &[Axis], counts: Counts) -> Axis {
    let mut all = tvec!();
    for atom in axes.iter().flatten().filter(|atom| atom.counts == counts) {
        append(&mut all, *atom);
    }
    all
}

/// Number of channels or pixels that the axes count.
pub(super) fn total(axes: &[Axis], counts: Counts) -> usize {
    let of_kind = axes.iter().flatten().filter(|atom| atom.counts == counts);
    of_kind.map(|atom| atom.size).product()
}

/// Whether the axes count channels or pixels in the executor's order.
pub(super) fn in_order(axes: &[Axis], counts: Counts) -> bool {
    match atoms(axes, counts).as_slice() {
        [] => true,
        [atom] => atom.stride == 1,
        _ => false,
    }
}

/// Whether an axis counts nothing but this.
pub(super) fn only(axis: &Axis, counts: Counts) -> bool {
    axis.iter().all(|atom| atom.counts == counts)
}

/// The executor's channel (or pixel) at each position, in the order in which the axes count.
pub(super) fn positions(axes: &[Axis], counts: Counts) -> Vec<usize> {
    let mut positions = vec![0];
    for atom in atoms(axes, counts) {
        positions = (positions.iter())
            .flat_map(|first| (0..atom.size).map(move |step| first + step * atom.stride))
            .collect();
    }
    positions
}

/// The same axes, counting in the executor's order.
pub(super) fn reordered(axes: &[Axis], counts: Counts) -> Vec<Axis> {
    let mut stride = total(axes, counts);
    let mut atom_in_order = |atom: &Atom| {
        if atom.counts != counts {
            return *atom;
        }
        stride /= atom.size;
        Atom { stride, ..*atom }
    };
    axes.iter()
        .map(|axis| {
            let mut ordered = tvec!();
            for atom in axis {
                append(&mut ordered, atom_in_order(atom));
            }
            ordered
        })
        .collect()
}

/// Reads `count` axes from `at` on as axes of the lengths `to`. None if an atom would have to be cut into uneven parts.
pub(super) fn reshaped(axes: &[Axis], at: usize, count: usize, to: &[usize]) -> Option<Vec<Axis>> {
    let mut left: Axis = tvec!();
    for atom in axes.get(at..at + count)?.iter().flatten() {
        append(&mut left, *atom);
    }
    left.reverse();
    let mut made = Vec::with_capacity(to.len());
    for &length in to {
        let (mut axis, mut wanted) = (tvec!(), length);
        while wanted > 1 {
            let atom = left.pop()?;
            if wanted % atom.size == 0 {
                append(&mut axis, atom);
                wanted /= atom.size;
            } else if atom.size % wanted == 0 {
                let inner = atom.size / wanted;
                append(
                    &mut axis,
                    Atom {
                        size: wanted,
                        stride: atom.stride * inner,
                        ..atom
                    },
                );
                left.push(Atom {
                    size: inner,
                    ..atom
                });
                wanted = 1;
            } else {
                return None;
            }
        }
        made.push(axis);
    }
    if !left.is_empty() {
        return None;
    }
    let mut all = axes[..at].to_vec();
    all.extend(made);
    all.extend_from_slice(&axes[at + count..]);
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[1, channels, height, width]` in order.
    fn planes(channels: usize, height: usize, width: usize) -> Vec<Axis> {
        let pixels = whole(Counts::Pixels, height * width);
        let axes = [tvec!(), whole(Counts::Channels, channels), pixels];
        reshaped(&axes, 2, 1, &[height, width]).expect("even")
    }

    #[test]
    fn a_shuffle_is_a_view() {
        let axes = planes(6, 4, 5);
        let split = reshaped(&axes, 1, 1, &[2, 3]).expect("even");
        let mut swapped = split.clone();
        swapped.swap(1, 2);
        let joined = reshaped(&swapped, 1, 2, &[6]).expect("whole");
        assert_eq!(positions(&joined, Counts::Channels), [0, 3, 1, 4, 2, 5]);
        assert!(!in_order(&joined, Counts::Channels) && in_order(&joined, Counts::Pixels));
        assert_eq!(reordered(&joined, Counts::Channels), axes);
        let back = reshaped(&split, 1, 2, &[6]).expect("whole");
        assert_eq!(back, axes);
    }

    #[test]
    fn rows_and_columns_join_and_part_again() {
        let axes = planes(3, 4, 6);
        let flat = reshaped(&axes, 2, 2, &[24]).expect("whole");
        assert_eq!(flat[2], whole(Counts::Pixels, 24));
        let other = reshaped(&flat, 2, 1, &[3, 8]).expect("even");
        assert_eq!(
            other[2].as_slice(),
            [Atom {
                counts: Counts::Pixels,
                size: 3,
                stride: 8
            }]
        );
        assert_eq!(reshaped(&flat, 2, 1, &[5, 5]), None);
        assert_eq!(reshaped(&flat, 2, 1, &[4, 5]), None);
    }

    #[test]
    fn channels_behind_pixels_split_off() {
        // [1, 4, 6, 8] in rows, read as [1, 48, 4]: two anchors of four numbers.
        let planes = planes(8, 4, 6);
        let rows = vec![
            tvec!(),
            planes[2].clone(),
            planes[3].clone(),
            planes[1].clone(),
        ];
        let anchors = reshaped(&rows, 1, 3, &[48, 4]).expect("even");
        assert_eq!(anchors.iter().map(length).collect::<Vec<_>>(), [1, 48, 4]);
        assert_eq!(anchors[2], whole(Counts::Channels, 4));
        assert_eq!(anchors[1].len(), 2);
    }
}
