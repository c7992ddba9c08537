//! Convolutions in one form: transposed ones become one layer for each phase of their stride.

use std::sync::Arc;

use crate::convnet::graph::{Conv, Shape};
use crate::convnet::kernels::epilogue::Epilogue;

/// A convolution as the kernels run it. Pairs read `[vertical, horizontal]`.
#[derive(Clone, Debug)]
pub struct Layer {
    pub in_channels: usize,
    pub out_channels: usize,
    pub groups: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Input position of the first tap of output pixel (0, 0); negative in the padding.
    pub start: [isize; 2],
    /// Output rows and columns that this layer computes.
    pub size: [usize; 2],
    /// They are rows `first, first + step, ..` of the output tensor, and columns likewise.
    pub out_first: [usize; 2],
    pub out_step: [usize; 2],
    /// `[out_channels, in_channels / groups, kernel height, kernel width]`
    pub weights: Arc<[f32]>,
    pub bias: Option<Arc<[f32]>>,
    pub epilogue: Epilogue,
    /// Output rows and columns of a Winograd tile; 0 for the direct kernel.
    pub winograd: usize,
}

impl Layer {
    /// Converts a convolution from `input` to `output`.
    pub fn from_conv(conv: &Conv, input: Shape, output: Shape) -> Self {
        let window = &conv.window;
        Layer {
            in_channels: input.c,
            out_channels: output.c,
            groups: conv.groups,
            kernel: window.kernel,
            stride: window.stride,
            dilation: window.dilation,
            start: [-(window.pads.top as isize), -(window.pads.left as isize)],
            size: [output.h, output.w],
            out_first: [0, 0],
            out_step: [1, 1],
            weights: conv.weights.clone(),
            bias: conv.bias.clone(),
            epilogue: Epilogue::default(),
            winograd: 0,
        }
    }

    /// Converts a transposed convolution: output rows and columns that differ by the stride share their taps, so that
    /// each phase of the stride is a convolution of its own.
    pub fn phases(conv: &Conv, input: Shape, output: Shape) -> Vec<Self> {
        let stride = conv.window.stride;
        let mut layers = Vec::new();
        for ry in 0..stride[0].min(output.h) {
            for rx in 0..stride[1].min(output.w) {
                layers.push(Self::phase(conv, input, output, [ry, rx]));
            }
        }
        layers
    }

    fn phase(conv: &Conv, input: Shape, output: Shape, phase: [usize; 2]) -> Self {
        let window = &conv.window;
        let (stride, span) = (window.stride, window.span());
        let pad = [window.pads.top, window.pads.left];
        // first tap of this phase in the dilated kernel, number of taps, input position of the last one
        let first = [0, 1].map(|a| (phase[a] + pad[a]) % stride[a]);
        let taps = [0, 1].map(|a| span[a].saturating_sub(first[a]).div_ceil(stride[a]).max(1));
        let start = [0, 1].map(|a| {
            ((phase[a] + pad[a] - first[a]) / stride[a]) as isize - (taps[a] as isize - 1)
        });
        let (each_in, each_out) = (input.c / conv.groups, output.c / conv.groups);
        let [kh, kw] = window.kernel;
        // position of tap j in the kernel as given, counted backwards, if there is one
        let source = |axis: usize, j: usize| {
            let at = first[axis] + stride[axis] * (taps[axis] - 1 - j);
            let k = at / window.dilation[axis];
            (at.is_multiple_of(window.dilation[axis]) && k < window.kernel[axis]).then_some(k)
        };
        let mut weights = Vec::with_capacity(output.c * each_in * taps[0] * taps[1]);
        for o in 0..output.c {
            for i in 0..each_in {
                let row = (o / each_out * each_in + i) * each_out + o % each_out;
                for jy in 0..taps[0] {
                    for jx in 0..taps[1] {
                        weights.push(match (source(0, jy), source(1, jx)) {
                            (Some(ky), Some(kx)) => conv.weights[(row * kh + ky) * kw + kx],
                            _ => 0.,
                        });
                    }
                }
            }
        }
        let out = [output.h, output.w];
        Layer {
            in_channels: input.c,
            out_channels: output.c,
            groups: conv.groups,
            kernel: taps,
            stride: [1, 1],
            dilation: [1, 1],
            start,
            size: [0, 1].map(|a| (out[a] - phase[a]).div_ceil(stride[a])),
            out_first: phase,
            out_step: stride,
            weights: weights.into(),
            bias: conv.bias.clone(),
            epilogue: Epilogue::default(),
            winograd: 0,
        }
    }

    /// True if each output channel reads the one input channel of its number.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.in_channels && self.groups == self.out_channels
    }

    /// Pixels that the layer reads around an input of height `h` and width `w`: above, left, below, right.
    pub fn borders(&self, h: usize, w: usize) -> [usize; 4] {
        let before = |a: usize| self.start[a].min(0).unsigned_abs();
        let after = |a: usize, n: usize| {
            let span = (self.kernel[a] - 1) * self.dilation[a];
            // Winograd reads whole tiles
            let size = self.size[a].next_multiple_of(self.winograd.max(1));
            let last = self.start[a] + ((size - 1) * self.stride[a] + span) as isize;
            (last - (n as isize - 1)).max(0).unsigned_abs()
        };
        [before(0), before(1), after(0, h), after(1, w)]
    }

    /// Multiplies each output channel and adds to it.
    pub fn scaled(mut self, scale: &[f32], offset: &[f32]) -> Self {
        let each = self.weights.len() / self.out_channels;
        self.weights = self
            .weights
            .iter()
            .enumerate()
            .map(|(i, w)| w * scale[i / each])
            .collect();
        let bias = |c: usize| self.bias.as_ref().map_or(0., |b| b[c]);
        self.bias = Some(
            (0..self.out_channels)
                .map(|c| bias(c) * scale[c] + offset[c])
                .collect(),
        );
        self
    }
}
