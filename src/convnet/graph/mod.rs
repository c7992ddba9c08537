//! The executor's own graph: operators on tensors `[1, c, h, w]` of f32, in the order in which they run.
//!
//! A graph is built through its methods. Each one checks its operands, appends an operator and returns its output:
//!
//! ```
//! # use gstdetect::convnet::graph::*;
//! # fn main() -> Result<(), gstdetect::convnet::Error> {
//! let mut graph = Graph::new();
//! let image = graph.input(Shape::new(3, 32, 32))?;
//! let conv = Conv {
//!     out_channels: 8,
//!     groups: 1,
//!     window: Window::square(3, 2, 1),
//!     weights: vec![0.1; 8 * 3 * 3 * 3].into(),
//!     bias: None,
//! };
//! let features = graph.conv(image, conv)?;
//! let features = graph.activate(features, Activation::Silu)?;
//! graph.output(features, Layout::Planar)?;
//! assert_eq!(graph.shape(features), Shape::new(8, 16, 16));
//! # Ok(())
//! # }
//! ```

mod activation;
mod build;
mod check;
mod op;
pub mod reference;
mod resize;

pub use activation::Activation;
pub use op::*;
pub use resize::*;

use super::error::{Result, graph_error};

/// Largest number of elements in one tensor.
pub const MAX_ELEMENTS: usize = 1 << 29;

/// Channels, height and width of a tensor; the batch is always 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    pub c: usize,
    pub h: usize,
    pub w: usize,
}

impl Shape {
    pub const fn new(c: usize, h: usize, w: usize) -> Self {
        Shape { c, h, w }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.c * self.h * self.w
    }

    /// Number of pixels.
    pub fn pixels(&self) -> usize {
        self.h * self.w
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}, {}, {}]", self.c, self.h, self.w)
    }
}

/// Output of one operator of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub(super) u32);

impl TensorId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Operators in the order in which they run, and the tensors that leave the graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
    inputs: Vec<TensorId>,
    outputs: Vec<Output>,
}

impl Graph {
    pub fn new() -> Self {
        Self::default()
    }

    /// Operators in the order in which they run; `TensorId::index` counts them.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Inputs in the order in which a run takes them.
    pub fn inputs(&self) -> &[TensorId] {
        &self.inputs
    }

    /// Outputs in the order in which a run fills them.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Shape of a tensor of this graph.
    ///
    /// # Panics
    /// If `tensor` belongs to another, larger graph.
    pub fn shape(&self, tensor: TensorId) -> Shape {
        self.nodes[tensor.index()].shape
    }

    /// Elements of one output buffer.
    pub fn output_len(&self, output: &Output) -> usize {
        output.parts.iter().map(|&t| self.shape(t).len()).sum()
    }

    /// Multiply-adds of all convolutions and of attention.
    pub fn multiply_adds(&self) -> u64 {
        let of_node = |node: &Node| match &node.op {
            Op::Conv(conv) => (conv.weights.len() * node.shape.pixels()) as u64,
            Op::TransposedConv { conv, .. } => {
                (conv.weights.len() * self.shape(node.inputs[0]).pixels()) as u64
            }
            Op::Attention(attention) => {
                let [q, v] = [0, 2].map(|i| self.shape(node.inputs[i]));
                ((q.c + v.c) * q.pixels()) as u64 * (v.pixels() / attention.areas) as u64
            }
            _ => 0,
        };
        self.nodes.iter().map(of_node).sum()
    }

    /// Adds an output that consists of one tensor.
    pub fn output(&mut self, tensor: TensorId, layout: Layout) -> Result<()> {
        self.output_joined(&[tensor], layout)
    }

    /// Adds an output that holds the pixels of all `parts`, one part behind the other.
    ///
    /// # Errors
    /// If there are no parts or their channels differ.
    pub fn output_joined(&mut self, parts: &[TensorId], layout: Layout) -> Result<()> {
        let first = *parts
            .first()
            .ok_or_else(|| graph_error!("an output needs at least one tensor"))?;
        let c = self.known(first)?.c;
        for &part in parts {
            let shape = self.known(part)?;
            if shape.c != c {
                return Err(graph_error!(
                    "an output joins tensors of {c} and {} channels; they must be equal",
                    shape.c
                ));
            }
        }
        self.outputs.push(Output {
            parts: parts.to_vec(),
            layout,
        });
        Ok(())
    }

    fn known(&self, tensor: TensorId) -> Result<Shape> {
        self.nodes
            .get(tensor.index())
            .map(|node| node.shape)
            .ok_or_else(|| {
                graph_error!(
                    "tensor {} does not exist; the graph has {}",
                    tensor.0,
                    self.nodes.len()
                )
            })
    }
}

#[cfg(test)]
mod tests;
