//! [`Builder`]: a graph of the executor that grows with each node of tract's.

use super::Refusal;
use super::scores::Scores;
use super::view::{self, Axis, Counts, Part, View, whole};
use crate::convnet::Error;
use crate::convnet::graph::{Activation, Conv, Graph, InputFormat, Op, Pads, Shape, TensorId};
use std::collections::HashMap;
use tract_onnx::prelude::*;

/// Output of a node of tract's.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Tensor(View),
    /// Whether each number is below zero, or else above it. Only an `Iff` can read it.
    Sign {
        of: View,
        below: bool,
    },
    /// Products of the pixels of two maps. Only what attention consists of can read them.
    Scores(Box<Scores>),
}

impl Value {
    /// Dims of tract's tensor.
    pub fn dims(&self) -> Vec<usize> {
        match self {
            Value::Tensor(view) | Value::Sign { of: view, .. } => view.dims(),
            Value::Scores(scores) => scores.dims(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Builder {
    pub graph: Graph,
    pub values: HashMap<OutletId, Value>,
    /// Tensors of tract's that enter, in the order of the graph's inputs.
    pub inputs: Vec<OutletId>,
    /// Numbers of constants copied so far.
    spent: usize,
}

/// Numbers that a network may copy from constants, 1 GiB: a short file can name one constant a thousand times.
const MAX_COPIED: usize = 1 << 28;

/// Channels of a tensor; each may have a place of its own in the lists that follow them.
const MAX_CHANNELS: usize = 1 << 16;

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error.to_string().into())
    }
}

impl Builder {
    /// Makes a tensor from outside an input of the graph. `channels` is the axis that counts its channels.
    pub fn external(
        &mut self,
        outlet: OutletId,
        dims: &[usize],
        channels: Option<usize>,
    ) -> Result<View, Refusal> {
        let refused = || Refusal(format!("reads a tensor of shape {dims:?}").into());
        let channels = channels
            .filter(|&axis| axis < dims.len())
            .ok_or_else(refused)?;
        let pixels = || (0..dims.len()).filter(|&axis| axis != channels && dims[axis] != 1);
        let [height, width] = match pixels().collect::<Vec<_>>()[..] {
            [] => [1, 1],
            [x] => [1, dims[x]],
            [y, x] => [dims[y], dims[x]],
            _ => return Err(refused()),
        };
        let format = if pixels().all(|axis| axis > channels) {
            InputFormat::Planar
        } else if pixels().all(|axis| axis < channels) {
            InputFormat::Interleaved
        } else {
            return Err(refused());
        };
        let shape = Shape::new(dims[channels], height, width);
        if shape.c > MAX_CHANNELS {
            return Err(refused());
        }
        let tensor = self.graph.input_as(shape, format)?;
        let mut stride = height * width;
        let axes = (0..dims.len())
            .map(|axis| {
                if axis == channels {
                    return whole(Counts::Channels, dims[axis]);
                }
                stride /= dims[axis];
                let mut pixels = whole(Counts::Pixels, dims[axis]);
                pixels.iter_mut().for_each(|atom| atom.stride = stride);
                pixels
            })
            .collect();
        self.inputs.push(outlet);
        let view = View::single(tensor, axes);
        self.values.insert(outlet, Value::Tensor(view.clone()));
        Ok(view)
    }

    /// Counts numbers that are about to be copied from a constant.
    ///
    /// # Errors
    /// If they are too many together.
    pub fn spend(&mut self, numbers: usize) -> Result<(), Refusal> {
        self.spent = self.spent.saturating_add(numbers);
        match self.spent <= MAX_COPIED {
            true => Ok(()),
            false => Err(Refusal("has constants that are too large together".into())),
        }
    }

    /// # Errors
    /// If a part of the tensor has absurdly many channels.
    pub fn check(&self, view: &View) -> Result<(), Refusal> {
        let channels = view
            .parts
            .iter()
            .map(|part| self.graph.shape(part.tensor).c);
        match channels.max() {
            Some(most) if most > MAX_CHANNELS => {
                Err(Refusal(format!("has {most} channels").into()))
            }
            _ => Ok(()),
        }
    }

    pub fn op(&self, tensor: TensorId) -> &Op {
        &self.graph.nodes()[tensor.index()].op
    }

    pub fn operand(&self, tensor: TensorId, index: usize) -> TensorId {
        self.graph.nodes()[tensor.index()].inputs[index]
    }

    /// The part with its channels in the executor's order.
    pub fn channels_in_order(&mut self, part: &Part) -> Result<Part, Refusal> {
        if view::in_order(&part.axes, Counts::Channels) {
            return Ok(part.clone());
        }
        let picks = view::positions(&part.axes, Counts::Channels);
        let picks = picks.iter().map(|&c| c as u32).collect();
        Ok(Part {
            tensor: self.graph.channels(part.tensor, picks)?,
            axes: view::reordered(&part.axes, Counts::Channels),
        })
    }

    /// The tensor with its channels in the order in which the axes at `places` count them. None if they count anything else,
    /// or not all of them.
    pub fn channels_by(
        &mut self,
        part: &Part,
        places: impl Iterator<Item = usize>,
    ) -> Result<Option<TensorId>, Refusal> {
        let axes: Vec<Axis> = places.map(|place| part.axes[place].clone()).collect();
        let whole = view::total(&axes, Counts::Channels) == self.graph.shape(part.tensor).c;
        if !whole || !axes.iter().all(|axis| view::only(axis, Counts::Channels)) {
            return Ok(None);
        }
        if view::in_order(&axes, Counts::Channels) {
            return Ok(Some(part.tensor));
        }
        let picks = view::positions(&axes, Counts::Channels);
        let picks = picks.iter().map(|&channel| channel as u32).collect();
        Ok(Some(self.graph.channels(part.tensor, picks)?))
    }

    /// The part as rows and columns: `rows` and `columns` are tract's axes of them, where it has them.
    pub fn planes(
        &mut self,
        part: &Part,
        rows: Option<usize>,
        columns: usize,
    ) -> Result<Part, Refusal> {
        let axes: Vec<Axis> = (rows.into_iter().chain([columns]))
            .map(|axis| part.axes[axis].clone())
            .collect();
        let shape = self.graph.shape(part.tensor);
        let whole = view::total(&axes, Counts::Pixels) == shape.pixels()
            && view::in_order(&axes, Counts::Pixels)
            && axes.iter().all(|axis| view::only(axis, Counts::Pixels));
        if !whole {
            return Err(Refusal("reads pixels out of order".into()));
        }
        let height = rows.map_or(1, |axis| view::length(&part.axes[axis]));
        let width = view::length(&part.axes[columns]);
        Ok(Part {
            tensor: self.sized(part.tensor, height, width)?,
            axes: part.axes.clone(),
        })
    }

    /// The tensor with its pixels read as rows of `width`.
    pub fn sized(
        &mut self,
        tensor: TensorId,
        height: usize,
        width: usize,
    ) -> Result<TensorId, Refusal> {
        let shape = self.graph.shape(tensor);
        if (shape.h, shape.w) == (height, width) {
            return Ok(tensor);
        }
        Ok(self.graph.reshape(tensor, height, width)?)
    }

    /// `x * scale + bias`, joined with the function that made `x` if it is the `sole` reader of it.
    pub fn affine(
        &mut self,
        x: TensorId,
        scale: Vec<f32>,
        bias: Vec<f32>,
        sole: bool,
    ) -> Result<TensorId, Refusal> {
        if !sole {
            return Ok(self.graph.affine(x, scale.into(), bias.into())?);
        }
        let inner = self.operand_of(x);
        match self.op(x).clone() {
            Op::Affine {
                scale: first,
                bias: offset,
            } => {
                let joint = |c: usize| (first[c] * scale[c], offset[c] * scale[c] + bias[c]);
                let (scale, bias): (Vec<_>, Vec<_>) = (0..scale.len()).map(joint).unzip();
                Ok(self.graph.affine(inner, scale.into(), bias.into())?)
            }
            Op::Conv(conv) if scale.iter().all(|&s| s == 1.0) => {
                let conv = with_bias(conv, &bias);
                Ok(self.graph.conv(inner, conv)?)
            }
            _ => Ok(self.graph.affine(x, scale.into(), bias.into())?),
        }
    }

    fn operand_of(&self, x: TensorId) -> TensorId {
        let inputs = &self.graph.nodes()[x.index()].inputs;
        inputs.first().copied().unwrap_or(x)
    }

    /// Limits to `min..=max`, joined with a limit before it.
    pub fn clip(&mut self, x: TensorId, min: f32, max: f32) -> Result<TensorId, Refusal> {
        if let Op::Activate(inner) = self.op(x).clone() {
            let [first, last] = match inner {
                Activation::Clip { min, max } => [min, max],
                Activation::Relu => [0.0, f32::INFINITY],
                _ => [f32::NEG_INFINITY, f32::INFINITY],
            };
            if first > f32::NEG_INFINITY || last < f32::INFINITY {
                let source = self.operand(x, 0);
                return self.clip_of(source, min.max(first).min(max), max.min(last).max(min));
            }
        }
        self.clip_of(x, min, max)
    }

    fn clip_of(&mut self, x: TensorId, min: f32, max: f32) -> Result<TensorId, Refusal> {
        let function = if min == 0.0 && max == f32::INFINITY {
            Activation::Relu
        } else {
            Activation::Clip { min, max }
        };
        // clip(a x + b, 0, 1) is HardSigmoid.
        if (min, max) == (0.0, 1.0)
            && let Op::Affine { scale, bias } = self.op(x)
            && let (Some(alpha), Some(beta)) = (uniform(scale), uniform(bias))
        {
            let source = self.operand(x, 0);
            let function = Activation::HardSigmoid { alpha, beta };
            return Ok(self.graph.activate(source, function)?);
        }
        Ok(self.graph.activate(x, function)?)
    }

    /// The tensor before zeros were added around it, and how many: for windows that add zeros themselves.
    pub fn without_padding(&self, x: TensorId) -> (TensorId, Pads) {
        match self.op(x) {
            Op::Pad(pads, 0.0) => (self.operand(x, 0), *pads),
            _ => (x, Pads::default()),
        }
    }
}

/// The value that all have.
pub(super) fn uniform(values: &[f32]) -> Option<f32> {
    let first = *values.first()?;
    values.iter().all(|&v| v == first).then_some(first)
}

fn biases(conv: &Conv) -> impl Iterator<Item = f32> + '_ {
    let bias = conv.bias.as_deref();
    (0..conv.out_channels).map(move |c| bias.map_or(0.0, |bias| bias[c]))
}

fn with_bias(conv: Conv, more: &[f32]) -> Conv {
    let bias = biases(&conv).zip(more).map(|(a, b)| a + b).collect();
    Conv {
        bias: Some(bias),
        ..conv
    }
}
