//! Convolutions, dense, grouped, depthwise and transposed.

use super::{Translation, refusal};
use crate::convnet::graph::{self, Pads, Window};
use crate::engine::tract::convnet::Refusal;
use crate::engine::tract::convnet::constants::Constant;
use crate::engine::tract::convnet::view::{self, Axis, Counts, Part, View, whole};
use std::sync::Arc;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv, KernelFormat, PoolSpec};

/// tract's axes of a picture.
pub(super) struct Picture {
    pub channels: usize,
    /// A convolution over one axis has no rows.
    pub rows: Option<usize>,
    pub columns: usize,
    rank: usize,
}

impl Picture {
    pub fn new(spec: &PoolSpec) -> Result<Self, Refusal> {
        let format = spec.data_format;
        let first = usize::from(format.has_n());
        let spatial = match spec.kernel_shape.len() {
            n @ (1 | 2) => n,
            n => return Err(refusal(format!("moves its window along {n} axes"))),
        };
        let [channels, pixels] = match format.c_is_last() {
            true => [first + spatial, first],
            false => [first, first + 1],
        };
        Ok(Self {
            channels,
            rows: (spatial == 2).then_some(pixels),
            columns: pixels + spatial - 1,
            rank: first + 1 + spatial,
        })
    }

    /// Whether the axes of a tensor count what the picture's should.
    pub fn check(&self, part: &Part) -> Result<(), Refusal> {
        let spatial = |axis: usize| axis == self.columns || Some(axis) == self.rows;
        let fits = part.axes.len() == self.rank
            && part.axes.iter().enumerate().all(|(i, axis)| match i {
                i if i == self.channels => view::only(axis, Counts::Channels),
                i if spatial(i) => view::only(axis, Counts::Pixels),
                _ => axis.is_empty(),
            });
        match fits {
            true => Ok(()),
            false => Err(refusal("reads a batch, or channels and pixels on one axis")),
        }
    }

    /// Axes of the output.
    pub fn axes(&self, channels: Axis, height: usize, width: usize) -> Vec<Axis> {
        let mut axes = vec![tvec!(); self.rank];
        axes[self.channels] = channels;
        axes[self.columns] = whole(Counts::Pixels, width);
        if let Some(rows) = self.rows {
            let mut counted = whole(Counts::Pixels, height);
            counted.iter_mut().for_each(|atom| atom.stride = width);
            axes[rows] = counted;
        }
        axes
    }
}

/// A window over one axis is a window of one row.
fn pair(numbers: &[usize], missing: usize) -> [usize; 2] {
    match *numbers {
        [x] => [missing, x],
        [y, x] => [y, x],
        _ => [missing; 2],
    }
}

/// The window of a convolution or pooling on pictures of `size`.
pub(super) fn window(spec: &PoolSpec, size: [usize; 2]) -> Window {
    let spatial: &[usize] = match spec.kernel_shape.len() {
        1 => &size[1..],
        _ => &size,
    };
    let computed = spec.computed_padding(spatial);
    let before: Vec<usize> = computed.iter().map(|axis| axis.pad_before).collect();
    let window = Window {
        kernel: pair(&spec.kernel_shape, 1),
        stride: pair(&spec.strides(), 1),
        dilation: pair(&spec.dilations(), 1),
        pads: Pads::default(),
    };
    let [top, left] = pair(&before, 0);
    let outputs: Vec<usize> = computed.iter().map(|axis| axis.convoluted).collect();
    let (outputs, span) = (pair(&outputs, 1), window.span());
    // What the last windows need beyond the picture; tract's own number may be larger than that.
    let after = |axis: usize, before: usize| {
        let end = (outputs[axis].max(1) - 1) * window.stride[axis] + span[axis];
        end.saturating_sub(size[axis] + before)
    };
    let pads = Pads {
        top,
        left,
        bottom: after(0, top),
        right: after(1, left),
    };
    Window { pads, ..window }
}

impl Translation<'_> {
    pub(super) fn conv(&mut self, conv: &Conv) -> Result<View, Refusal> {
        if conv.q_params.is_some() {
            return Err(refusal("computes with integers"));
        }
        if conv.kernel_fmt != KernelFormat::OIHW {
            let format = conv.kernel_fmt;
            return Err(refusal(format!("has kernels in the order {format:?}")));
        }
        let picture = Picture::new(&conv.pool_spec)?;
        let part = self.part(0)?;
        picture.check(&part)?;
        let outputs = conv.output_channels();
        let mut weights = self.needed_constant(1, "kernels")?.values;
        let mut bias = self.bias(2, outputs)?;
        let mut part = self.builder.planes(&part, picture.rows, picture.columns)?;
        let mut channels = whole(Counts::Channels, outputs);
        let shape = self.builder.graph.shape(part.tensor);
        let window = window(&conv.pool_spec, [shape.h, shape.w]);
        if !view::in_order(&part.axes, Counts::Channels) {
            let order = view::positions(&part.axes, Counts::Channels);
            let taps = window.kernel[0] * window.kernel[1];
            if conv.group == shape.c && outputs == shape.c {
                // Depthwise: each channel keeps its place, and the kernels go where their channels are.
                weights = rearranged(&weights, 1, &order, taps);
                bias = bias.map(|bias| rearranged(&bias, 1, &order, 1));
                channels = part.axes[picture.channels].clone();
            } else if conv.group == 1 {
                weights = rearranged(&weights, outputs, &order, taps);
            } else {
                part = self.builder.channels_in_order(&part)?;
            }
        }
        let conv = graph::Conv {
            out_channels: outputs,
            groups: conv.group,
            window,
            weights,
            bias,
        };
        let made = self.builder.graph.conv(part.tensor, conv)?;
        let shape = self.builder.graph.shape(made);
        Ok(View::single(made, picture.axes(channels, shape.h, shape.w)))
    }

    pub(super) fn deconv(&mut self, deconv: &Deconv) -> Result<View, Refusal> {
        if deconv.kernel_format != KernelFormat::OIHW {
            let format = deconv.kernel_format;
            return Err(refusal(format!("has kernels in the order {format:?}")));
        }
        let spec = &deconv.pool_spec;
        let picture = Picture::new(spec)?;
        let part = self.part(0)?;
        picture.check(&part)?;
        let kernels = self.needed_constant(1, "kernels")?;
        let bias = self.bias(2, spec.output_channels)?;
        let part = self.builder.planes(&part, picture.rows, picture.columns)?;
        let part = self.builder.channels_in_order(&part)?;
        let shape = self.builder.graph.shape(part.tensor);
        let size = [shape.h, shape.w];
        let spatial = &size[2 - spec.kernel_shape.len()..];
        let (dilations, strides) = (spec.dilations(), spec.strides());
        let padding = (spec.padding.compute_for_deconv(
            spatial,
            &spec.kernel_shape,
            &dilations,
            &strides,
            &deconv.adjustments,
        ))
        .map_err(|_| refusal("has a padding that cannot be computed"))?;
        let sides = |side: fn(&_) -> usize| padding.iter().map(side).collect::<Vec<_>>();
        let [top, left] = pair(&sides(|axis| axis.pad_before), 0);
        let [bottom, right] = pair(&sides(|axis| axis.pad_after), 0);
        let (inputs, outputs) = (shape.c, spec.output_channels);
        let window = Window {
            kernel: pair(&spec.kernel_shape, 1),
            stride: pair(&strides, 1),
            dilation: pair(&dilations, 1),
            pads: Pads {
                top,
                left,
                bottom,
                right,
            },
        };
        let taps = window.kernel[0] * window.kernel[1];
        let conv = graph::Conv {
            out_channels: outputs,
            groups: deconv.group,
            window,
            weights: transposed(&kernels, inputs, outputs, deconv.group, taps)?,
            bias,
        };
        let adjustments = pair(&deconv.adjustments, 0);
        let made = (self.builder.graph).transposed_conv(part.tensor, conv, adjustments)?;
        let shape = self.builder.graph.shape(made);
        let channels = whole(Counts::Channels, outputs);
        Ok(View::single(made, picture.axes(channels, shape.h, shape.w)))
    }

    /// One value for each channel; none if all are zero.
    fn bias(&mut self, index: usize, channels: usize) -> Result<Option<Arc<[f32]>>, Refusal> {
        let bias = self.needed_constant(index, "bias")?;
        let values = &bias.values;
        match values.len() {
            _ if values.iter().all(|&value| value == 0.0) => Ok(None),
            1 => Ok(Some(vec![values[0]; channels].into())),
            n if n == channels => Ok(Some(values.clone())),
            n => Err(refusal(format!("has {n} biases for {channels} channels"))),
        }
    }
}

/// Kernels `[outputs, inputs, taps]` for inputs in the executor's order: input `i` of tract's is its `order[i]`.
pub(super) fn rearranged(
    kernels: &[f32],
    outputs: usize,
    order: &[usize],
    taps: usize,
) -> Arc<[f32]> {
    let mut made = vec![0.0; kernels.len()];
    let each = order.len() * taps;
    for (from, to) in (kernels.chunks_exact(each).zip(made.chunks_exact_mut(each))).take(outputs) {
        for (&place, kernel) in order.iter().zip(from.chunks_exact(taps)) {
            to[place * taps..][..taps].copy_from_slice(kernel);
        }
    }
    made.into()
}

/// Kernels of a transposed convolution in ONNX's order, `[inputs, outputs / groups, taps]`. tract has them as
/// `[outputs, inputs / groups, taps]`.
fn transposed(
    kernels: &Constant,
    inputs: usize,
    outputs: usize,
    groups: usize,
    taps: usize,
) -> Result<Arc<[f32]>, Refusal> {
    let groups = groups.max(1);
    let (each_in, each_out) = (inputs / groups, outputs / groups);
    if kernels.dims.get(..2) != Some(&[outputs, each_in])
        || kernels.values.len() != outputs * each_in * taps
    {
        let dims = &kernels.dims;
        return Err(refusal(format!("has kernels of shape {dims:?}")));
    }
    let mut made = Vec::with_capacity(kernels.values.len());
    for input in 0..inputs {
        for output in 0..each_out {
            let row = input / each_in * each_out + output;
            let first = (row * each_in + input % each_in) * taps;
            made.extend_from_slice(&kernels.values[first..first + taps]);
        }
    }
    Ok(made.into())
}
