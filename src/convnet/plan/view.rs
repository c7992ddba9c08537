//! Operands and results of stages once they have places.

use super::layer::Layer;
use super::stage::Work;
use crate::convnet::graph::Shape;
use crate::convnet::kernels::element::Element;
use crate::convnet::layout::*;

/// Operand of a stage.
#[derive(Clone, Debug)]
pub enum View {
    /// Lanes by lanes, with the tensor's channels in them.
    Runs(Vec<Run>),
    /// Whole blocks, one for each block of the output.
    Blocks(Vec<(RootId, usize)>),
    /// The one lane of a tensor of one channel.
    Lane(RootId, usize),
}

impl View {
    /// Roots that this view reads.
    pub fn roots(&self) -> Vec<RootId> {
        match self {
            View::Runs(runs) => runs.iter().map(|r| r.root).collect(),
            View::Blocks(blocks) => blocks.iter().map(|b| b.0).collect(),
            View::Lane(root, _) => vec![*root],
        }
    }
}

/// Channels of a grouped convolution that are computed together: a dense layer of its own.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub inputs: std::ops::Range<usize>,
    pub outputs: std::ops::Range<usize>,
    /// First block of the outputs.
    pub first_block: usize,
    pub blocks: usize,
}

/// A stage with its views.
#[derive(Clone, Debug)]
pub struct Placed {
    pub work: Work,
    pub views: Vec<View>,
    /// Shapes of the operands.
    pub shapes: Vec<Shape>,
    pub out: Option<RootId>,
    /// For dense convolutions.
    pub clusters: Vec<Cluster>,
    /// Element that it computes with, and that it reads and writes.
    pub element: Element,
}

/// A root's buffer.
#[derive(Clone, Debug)]
pub struct Buffer {
    pub shape: Shape,
    pub lanes: Lanes,
    /// Pixels of border: above, left, below, right.
    pub pads: [usize; 4],
}

/// All stages with their views, and all buffers.
#[derive(Debug)]
pub struct Placement {
    pub stages: Vec<Placed>,
    pub buffers: Vec<Buffer>,
}

/// Joins groups of a grouped convolution until their outputs fill a block; a dense one is one cluster.
pub fn clusters_of(layer: &Layer, width: usize) -> Vec<Cluster> {
    let (each_in, each_out) = (
        layer.in_channels / layer.groups,
        layer.out_channels / layer.groups,
    );
    let together = (width / each_out.max(1)).clamp(1, layer.groups);
    let mut first_block = 0;
    (0..layer.groups)
        .step_by(together)
        .map(|group| {
            let end = (group + together).min(layer.groups);
            let outputs = group * each_out..end * each_out;
            let blocks = outputs.len().div_ceil(width);
            let cluster = Cluster {
                inputs: group * each_in..end * each_in,
                outputs,
                first_block,
                blocks,
            };
            first_block += blocks;
            cluster
        })
        .collect()
}
