//! From a graph to stages: what is computed, into which root, from which channels.
//!
//! Concat and channel selections vanish here, and activations, scales and residuals join the convolution before them.

use std::sync::Arc;

use super::chain::{Chain, Room};
use super::layer::Layer;
use super::limits::{Limits, limits_of};
use super::readers::{Readers, Rewritten};
use crate::convnet::error::{Error, Result};
use crate::convnet::graph::*;
use crate::convnet::kernels::element::Element;
use crate::convnet::kernels::epilogue::Epilogue;
use crate::convnet::layout::{Channels, RootId};

/// Computation of a stage.
#[derive(Clone, Debug)]
pub enum Work {
    Load {
        input: usize,
        format: InputFormat,
        limits: Option<Limits>,
    },
    Constant(Arc<[f32]>),
    /// Several layers compute the phases of one transposed convolution.
    Conv {
        layers: Vec<Layer>,
        residual: bool,
    },
    Pool(Pool, Window),
    Global(Reduce),
    OverChannels(Reduce),
    Resize(Resize),
    Crop(Crop),
    Pad(Pads, f32),
    Reshape,
    Elementwise(Pointwise, Epilogue),
    Softmax {
        group: usize,
    },
    Attention(Attention),
    DepthToSpace {
        block: usize,
        channels_first: bool,
    },
    /// Copies channels into blocks of their own.
    Gather,
    /// Copies channels into blocks of another element.
    Convert,
    Store {
        output: usize,
        layout: Layout,
        first: usize,
        pixels: usize,
    },
}

/// Functions of single values.
#[derive(Clone, Debug)]
pub enum Pointwise {
    Copy,
    Binary(Binary),
    Affine { scale: Arc<[f32]>, bias: Arc<[f32]> },
    PRelu { slopes: Arc<[f32]> },
}

/// One operation with its operands.
#[derive(Clone, Debug)]
pub struct Stage {
    pub work: Work,
    pub reads: Vec<(Channels, Shape)>,
    /// `None` for a store.
    pub out: Option<RootId>,
    /// Element that it computes with, and that its result has.
    pub element: Element,
}

/// Stages in the order in which they run, and the shape of each root.
#[derive(Debug, Default)]
pub struct Stages {
    pub stages: Vec<Stage>,
    pub roots: Vec<Shape>,
}

impl Stages {
    /// Adds a root.
    pub fn root(&mut self, shape: Shape) -> RootId {
        self.roots.push(shape);
        (self.roots.len() - 1) as RootId
    }
}

/// Largest number of channels of all tensors together: each has an entry in a list.
const MAX_CHANNELS: usize = 1 << 22;

/// Builds the stages that the outputs of `graph` need.
pub fn build(graph: &Rewritten) -> Result<Stages> {
    let mut builder = Builder::new(graph);
    builder.check_channels()?;
    for i in 0..graph.nodes.len() {
        builder.node(i)?;
        if builder.readers.is_output(i) && builder.channels[i].is_some() {
            builder.store(i, &graph.outputs);
        }
    }
    Ok(builder.stages)
}

struct Builder<'a> {
    nodes: &'a [Node],
    inputs: &'a [TensorId],
    readers: Readers,
    /// Nodes that are part of an earlier node's stage.
    claimed: Vec<bool>,
    /// Stages that wait for their last node.
    pending: Vec<Option<(Work, Vec<TensorId>)>>,
    channels: Vec<Option<Channels>>,
    stages: Stages,
}

impl<'a> Builder<'a> {
    fn new(graph: &'a Rewritten) -> Self {
        let n = graph.nodes.len();
        Builder {
            nodes: &graph.nodes,
            inputs: &graph.inputs,
            readers: Readers::new(&graph.nodes, &graph.outputs),
            claimed: vec![false; n],
            pending: vec![None; n],
            channels: vec![None; n],
            stages: Stages::default(),
        }
    }

    fn node(&mut self, i: usize) -> Result<()> {
        if !self.readers.is_needed(i) {
            return Ok(());
        }
        if self.claimed[i] {
            if let Some((work, reads)) = self.pending[i].take() {
                self.emit(i, work, &reads);
            }
            return Ok(());
        }
        let node = &self.nodes[i];
        let shape = node.shape;
        match &node.op {
            Op::Concat => {
                let mut all = Vec::with_capacity(shape.c);
                for &part in &node.inputs {
                    all.extend_from_slice(&self.channels_of(part));
                }
                self.channels[i] = Some(all.into());
            }
            Op::Channels { picks } => {
                let from = self.channels_of(node.inputs[0]);
                self.channels[i] = Some(picks.iter().map(|&p| from[p as usize]).collect());
            }
            Op::Input(format) => self.load(i, format)?,
            Op::Conv(conv) => {
                let input = self.nodes[node.inputs[0].index()].shape;
                self.conv(i, vec![Layer::from_conv(conv, input, shape)], true);
            }
            Op::TransposedConv { conv, .. } => {
                let input = self.nodes[node.inputs[0].index()].shape;
                self.conv(i, Layer::phases(conv, input, shape), false);
            }
            Op::Activate(activation) => self.activate(i, *activation),
            Op::Binary(binary) => self.pointwise(i, Pointwise::Binary(*binary)),
            Op::Affine { scale, bias } => self.pointwise(
                i,
                Pointwise::Affine {
                    scale: scale.clone(),
                    bias: bias.clone(),
                },
            ),
            Op::PRelu { slopes } => self.pointwise(
                i,
                Pointwise::PRelu {
                    slopes: slopes.clone(),
                },
            ),
            op => {
                let work = Self::plain(op)?;
                self.emit(i, work, &node.inputs.clone());
            }
        }
        Ok(())
    }

    fn activate(&mut self, i: usize, activation: Activation) {
        let chain = self.follow(Chain::from_node(i, Some(activation)), Room::default());
        let work = Work::Elementwise(Pointwise::Copy, chain.epilogue);
        self.finish(i, chain.last, work, self.nodes[i].inputs.clone());
    }

    /// An input, with the limits behind it.
    fn load(&mut self, i: usize, format: &InputFormat) -> Result<()> {
        let mut places = self.inputs.iter();
        let input = places
            .position(|t| t.index() == i)
            .ok_or_else(|| Error::Graph("an input is not listed".into()))?;
        let user = self.readers.sole(i);
        let limited = user.and_then(|user| Some((user, limits_of(&self.nodes[user].op)?)));
        let work = Work::Load {
            input,
            format: format.clone(),
            limits: limited.map(|(_, limits)| limits),
        };
        let last = limited.map_or(i, |(user, _)| user);
        self.claimed[last] = true;
        self.finish(i, last, work, vec![]);
        Ok(())
    }

    /// Operators that are a stage by themselves.
    fn plain(op: &Op) -> Result<Work> {
        Ok(match op {
            Op::Constant(values) => Work::Constant(values.clone()),
            Op::Pool(pool, window) => Work::Pool(*pool, *window),
            Op::Global(reduce) => Work::Global(*reduce),
            Op::OverChannels(reduce) => Work::OverChannels(*reduce),
            Op::Resize(resize) => Work::Resize(*resize),
            Op::Softmax { group } => Work::Softmax { group: *group },
            Op::Attention(attention) => Work::Attention(*attention),
            Op::Crop(crop) => Work::Crop(*crop),
            Op::Pad(pads, value) => Work::Pad(*pads, *value),
            Op::Reshape => Work::Reshape,
            Op::DepthToSpace {
                block,
                channels_first,
            } => Work::DepthToSpace {
                block: *block,
                channels_first: *channels_first,
            },
            other => return Err(Error::Graph(format!("{} has no stage", other.name()))),
        })
    }

    fn conv(&mut self, i: usize, mut layers: Vec<Layer>, residual: bool) {
        let dense_or_depthwise = layers[0].groups == 1 || layers[0].is_depthwise();
        let room = Room {
            affine: true,
            residual: residual && dense_or_depthwise,
        };
        let chain = self.follow(Chain::from_node(i, None), room);
        if let Some((scale, offset)) = &chain.affine {
            layers = layers
                .into_iter()
                .map(|layer| layer.scaled(scale, offset))
                .collect();
        }
        for layer in &mut layers {
            layer.epilogue = chain.epilogue;
        }
        let mut reads = vec![self.nodes[i].inputs[0]];
        reads.extend(chain.residual);
        let work = Work::Conv {
            layers,
            residual: chain.residual.is_some(),
        };
        self.finish(i, chain.last, work, reads);
    }

    fn pointwise(&mut self, i: usize, function: Pointwise) {
        let chain = self.follow(Chain::from_node(i, None), Room::default());
        let work = Work::Elementwise(function, chain.epilogue);
        self.finish(i, chain.last, work, self.nodes[i].inputs.clone());
    }

    fn finish(&mut self, i: usize, last: usize, work: Work, reads: Vec<TensorId>) {
        if last == i {
            self.emit(i, work, &reads);
        } else {
            self.pending[last] = Some((work, reads));
        }
    }

    /// Claims the nodes behind that the stage can compute as well.
    fn follow(&mut self, start: Chain, room: Room) -> Chain {
        start.follow(self.nodes, &self.readers, &mut self.claimed, room)
    }

    fn channels_of(&self, tensor: TensorId) -> Channels {
        self.channels[tensor.index()]
            .clone()
            .expect("operands come before their operators")
    }

    /// Counts the lists of channels of all tensors that are needed, before any is made.
    fn check_channels(&self) -> Result<()> {
        let needed = self.nodes.iter().enumerate();
        let needed = needed.filter(|(i, _)| self.readers.is_needed(*i));
        let needed = needed.fold(0usize, |n, (_, node)| n.saturating_add(node.shape.c));
        if needed > MAX_CHANNELS {
            return Err(Error::Budget {
                what: "channels in all tensors",
                needed,
                allowed: MAX_CHANNELS,
            });
        }
        Ok(())
    }

    /// Appends the stage that computes node `i`.
    fn emit(&mut self, i: usize, work: Work, reads: &[TensorId]) {
        let shape = self.nodes[i].shape;
        let out = self.stages.root(shape);
        self.channels[i] = Some((0..shape.c as u32).map(|c| (out, c)).collect());
        let reads = reads
            .iter()
            .map(|&t| (self.channels_of(t), self.nodes[t.index()].shape))
            .collect();
        self.stages.stages.push(Stage {
            work,
            reads,
            out: Some(out),
            element: Element::F32,
        });
    }

    /// Appends the stages that bring node `i` into the outputs, as soon as it is computed.
    fn store(&mut self, i: usize, outputs: &[Output]) {
        let shape = self.nodes[i].shape;
        for (index, output) in outputs.iter().enumerate() {
            let pixels_of = |t: &TensorId| self.nodes[t.index()].shape.pixels();
            let pixels = output.parts.iter().map(pixels_of).sum();
            let mut first = 0;
            for part in &output.parts {
                if part.index() == i {
                    self.stages.stages.push(Stage {
                        work: Work::Store {
                            output: index,
                            layout: output.layout,
                            first,
                            pixels,
                        },
                        reads: vec![(self.channels_of(*part), shape)],
                        out: None,
                        element: Element::F32,
                    });
                }
                first += pixels_of(part);
            }
        }
    }
}
