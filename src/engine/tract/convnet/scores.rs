//! [`Scores`]: the products of the pixels of two maps on their way to attention.
//!
//! The matrix of all pixels by all pixels is never made: it is known by its operands, its factor, and whether its softmax
//! was taken. What tract does to its axes changes [`Scores::axes`] alone.

use super::view::{self, Atom, Axis, Counts};
use crate::convnet::graph::TensorId;

/// Products of the pixels of two maps, in heads.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scores {
    /// The channels of each head lie together, in the same order in both.
    pub sides: [TensorId; 2],
    pub heads: usize,
    /// Parts of the pixels that see each other alone, one behind the other.
    pub areas: usize,
    /// Axes of tract's tensor: they count heads as channels, areas as so many times all heads, and the pixels of both
    /// maps within an area.
    pub axes: Vec<Axis>,
    pub scale: f32,
    /// The side that the softmax made shares of; none before.
    pub keys: Option<usize>,
}

/// Units of the pixels of each side.
const SIDES: [Counts; 2] = [Counts::Pixels, Counts::Others];

impl Scores {
    /// Dims of tract's tensor.
    pub fn dims(&self) -> Vec<usize> {
        self.axes.iter().map(view::length).collect()
    }
}

/// Returns an axis of a map as one of products, of which the map is number `side`.
pub(super) fn of_side(axis: &Axis, side: usize) -> Axis {
    let counted = |atom: &Atom| Atom {
        counts: SIDES[side],
        ..*atom
    };
    axis.iter().map(counted).collect()
}

/// Returns the side whose pixels an axis of products counts, and the axis as one of that map.
pub(super) fn side_of(axis: &Axis) -> Option<(usize, Axis)> {
    let side = (0..2).find(|&side| view::only(axis, SIDES[side]))?;
    Some((side, of_side(axis, 0)))
}
