//! From a graph to stages: what is computed, into which root, from which channels.
//!
//! Concat and channel selections vanish here, and activations, scales and residuals join the convolution before them.

use std::sync::Arc;

use super::layer::Layer;
use crate::convnet::error::{Error, Result};
use crate::convnet::graph::*;
use crate::convnet::kernels::epilogue::Epilogue;
use crate::convnet::layout::{Channels, RootId};

/// Computation of a stage.
#[derive(Clone, Debug)]
pub enum Work {
    Load {
        input: usize,
        format: InputFormat,
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
    DepthToSpace {
        block: usize,
        channels_first: bool,
    },
    /// Copies channels into blocks of their own.
    Gather,
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

/// Builds the stages of `nodes` that `outputs` need.
pub fn build(nodes: &[Node], inputs: &[TensorId], outputs: &[Output]) -> Result<Stages> {
    let mut builder = Builder::new(nodes, inputs, outputs);
    builder.check_channels()?;
    for i in 0..nodes.len() {
        builder.node(i)?;
        if builder.is_output[i] && builder.channels[i].is_some() {
            builder.store(i, outputs);
        }
    }
    Ok(builder.stages)
}

struct Builder<'a> {
    nodes: &'a [Node],
    inputs: &'a [TensorId],
    /// Nodes that read each node, once for each operand.
    users: Vec<Vec<usize>>,
    is_output: Vec<bool>,
    live: Vec<bool>,
    /// Nodes that are part of an earlier node's stage.
    claimed: Vec<bool>,
    /// Stages that wait for their last node.
    pending: Vec<Option<(Work, Vec<TensorId>)>>,
    channels: Vec<Option<Channels>>,
    stages: Stages,
}

type Values = Arc<[f32]>;

/// Nodes that follow another one and can be computed with it.
#[derive(Default)]
struct Chain {
    last: usize,
    /// Scale and bias of each channel.
    affine: Option<(Values, Values)>,
    residual: Option<TensorId>,
    epilogue: Epilogue,
}

impl<'a> Builder<'a> {
    fn new(nodes: &'a [Node], inputs: &'a [TensorId], outputs: &[Output]) -> Self {
        let n = nodes.len();
        let (mut live, mut is_output) = (vec![false; n], vec![false; n]);
        for tensor in outputs.iter().flat_map(|o| &o.parts) {
            is_output[tensor.index()] = true;
            live[tensor.index()] = true;
        }
        let mut users = vec![Vec::new(); n];
        for i in (0..n).rev() {
            if live[i] {
                for tensor in &nodes[i].inputs {
                    live[tensor.index()] = true;
                    users[tensor.index()].push(i);
                }
            }
        }
        Builder {
            nodes,
            inputs,
            users,
            is_output,
            live,
            claimed: vec![false; n],
            pending: vec![None; n],
            channels: vec![None; n],
            stages: Stages::default(),
        }
    }

    fn node(&mut self, i: usize) -> Result<()> {
        if !self.live[i] {
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
                let work = self.plain(i, op)?;
                self.emit(i, work, &node.inputs.clone());
            }
        }
        Ok(())
    }

    fn activate(&mut self, i: usize, activation: Activation) {
        let epilogue = Epilogue {
            before: Some(activation),
            after: None,
        };
        let work = Work::Elementwise(Pointwise::Copy, epilogue);
        self.emit(i, work, &self.nodes[i].inputs);
    }

    /// Operators that are a stage by themselves.
    fn plain(&self, i: usize, op: &Op) -> Result<Work> {
        Ok(match op {
            Op::Input(format) => Work::Load {
                input: self
                    .inputs
                    .iter()
                    .position(|t| t.index() == i)
                    .ok_or_else(|| Error::Graph("an input is not listed".into()))?,
                format: format.clone(),
            },
            Op::Constant(values) => Work::Constant(values.clone()),
            Op::Pool(pool, window) => Work::Pool(*pool, *window),
            Op::Global(reduce) => Work::Global(*reduce),
            Op::OverChannels(reduce) => Work::OverChannels(*reduce),
            Op::Resize(resize) => Work::Resize(*resize),
            Op::Softmax { group } => Work::Softmax { group: *group },
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
        let chain = self.follow(i, true, residual && dense_or_depthwise);
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
        let chain = self.follow(i, false, false);
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

    /// Claims the nodes behind `i` that its stage can compute as well.
    fn follow(&mut self, i: usize, affine: bool, residual: bool) -> Chain {
        let mut chain = Chain {
            last: i,
            ..Chain::default()
        };
        while let [user] = self.users[chain.last][..]
            && !self.is_output[chain.last]
            && !self.claimed[user]
        {
            let node = &self.nodes[user];
            let fresh = chain.residual.is_none() && chain.epilogue.before.is_none();
            match &node.op {
                Op::Activate(f) if fresh => chain.epilogue.before = Some(*f),
                Op::Activate(f) if chain.residual.is_some() && chain.epilogue.after.is_none() => {
                    chain.epilogue.after = Some(*f)
                }
                Op::Affine { scale, bias } if affine && fresh && chain.affine.is_none() => {
                    chain.affine = Some((scale.clone(), bias.clone()))
                }
                Op::Binary(Binary::Add) if residual && chain.residual.is_none() => {
                    let other = node.inputs.iter().find(|t| t.index() != chain.last);
                    let Some(&other) = other else { break };
                    if self.nodes[other.index()].shape != self.nodes[i].shape {
                        break;
                    }
                    chain.residual = Some(other);
                }
                _ => break,
            }
            self.claimed[user] = true;
            chain.last = user;
        }
        chain
    }

    fn channels_of(&self, tensor: TensorId) -> Channels {
        self.channels[tensor.index()]
            .clone()
            .expect("operands come before their operators")
    }

    /// Counts the lists of channels of all tensors that are needed, before any is made.
    fn check_channels(&self) -> Result<()> {
        let needed = self.nodes.iter().zip(&self.live);
        let needed = needed.filter(|(_, live)| **live);
        let needed = needed.fold(0usize, |n, (node, _)| n.saturating_add(node.shape.c));
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
                    });
                }
                first += pixels_of(part);
            }
        }
    }
}
