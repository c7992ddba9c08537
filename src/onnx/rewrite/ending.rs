//! [`Ending`]: the end of a graph that a decoder can do in its place.

use super::cut_head::level::Cell;
use crate::onnx::infer::Inference;
use tract_onnx::pb::NodeProto;

/// The end of a graph that a decoder can do in its place: how raw heads become candidates.
pub trait Ending {
    /// Axis of the output along which the numbers of one candidate lie; along the other are the cells.
    fn axis(&self) -> usize;

    /// Where the heads of the decoder may be found among those of the file, for one level.
    fn orders(&self) -> &[&[usize]];

    /// Numbers of a candidate, if heads of so many channels, in the order of the decoder, are those of a level.
    fn fields(&self, channels: &[usize]) -> Option<usize>;

    /// How many of them, from the first, are in input pixels.
    fn in_pixels(&self) -> usize;

    /// Computes the numbers of one candidate from the heads of its cell, as the graph does.
    fn candidate(&self, cell: &Cell) -> Vec<f32>;

    /// Whether a decoder for levels of these strides, finest first, and with heads of so many channels is meant.
    fn accepts(&self, strides: &[u32], channels: &[usize]) -> bool;

    /// Whether a node that is usually of the body of a graph, like a convolution, is of this end.
    fn computes(&self, _node: &NodeProto, _shapes: &Inference) -> bool {
        false
    }
}
