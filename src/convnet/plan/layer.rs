//! Convolutions in one form: transposed ones become one layer for each phase of their stride.

use std::sync::Arc;

use crate::convnet::graph::{Conv, Shape};
use crate::convnet::kernels::epilogue::Epilogue;

/// Taps of one phase of a transposed convolution along one axis, in the order of the input.
struct PhaseTaps {
    /// Place of each tap in the kernel as given. A phase that none reaches has one that is none: all of it is bias.
    taps: Vec<Option<usize>>,
    /// Input positions from one tap to the next.
    dilation: usize,
    /// Input position of the first tap of the phase's first output.
    start: isize,
}

impl PhaseTaps {
    /// Output `phase` reads kernel place `k` at the input position `(phase + pad - k · dilation) / stride`, where that is
    /// whole.
    fn new(conv: &Conv, axis: usize, phase: usize) -> Self {
        let window = &conv.window;
        let (stride, dilation) = (window.stride[axis], window.dilation[axis]);
        let pad = [window.pads.top, window.pads.left][axis];
        let position = |k: usize| {
            let at = (phase + pad) as isize - (k * dilation) as isize;
            (at % stride as isize == 0).then_some(at / stride as isize)
        };
        let places = (0..window.kernel[axis]).rev();
        let mut reached = places.filter_map(|k| position(k).map(|at| (k, at)));
        let Some((first, start)) = reached.next() else {
            return PhaseTaps {
                taps: vec![None],
                dilation: 1,
                start: 0,
            };
        };
        let (mut taps, mut dilation) = (vec![Some(first)], 1);
        let mut last = start;
        for (k, at) in reached {
            taps.push(Some(k));
            // the same each time: places repeat every stride / gcd(stride, dilation)
            dilation = at.abs_diff(last);
            last = at;
        }
        PhaseTaps {
            taps,
            dilation,
            start,
        }
    }
}

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
        let stride = window.stride;
        let [rows, columns] = [0, 1].map(|axis| PhaseTaps::new(conv, axis, phase[axis]));
        let taps = [&rows, &columns].map(|axis| axis.taps.len());
        let (each_in, each_out) = (input.c / conv.groups, output.c / conv.groups);
        let [kh, kw] = window.kernel;
        let mut weights = Vec::with_capacity(output.c * each_in * taps[0] * taps[1]);
        for o in 0..output.c {
            for i in 0..each_in {
                let row = (o / each_out * each_in + i) * each_out + o % each_out;
                for &ky in &rows.taps {
                    for &kx in &columns.taps {
                        weights.push(match (ky, kx) {
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
            dilation: [rows.dilation, columns.dilation],
            start: [rows.start, columns.start],
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convnet::graph::{Graph, Window};

    /// Numbers of weights of the phases.
    fn weights(stride: usize, dilation: usize) -> Vec<usize> {
        let mut graph = Graph::new();
        let x = graph.input(Shape::new(2, 5, 5)).unwrap();
        let conv = Conv {
            out_channels: 1,
            groups: 1,
            window: Window {
                stride: [stride, 1],
                dilation: [dilation, 1],
                ..Window::square(3, 1, 0)
            },
            weights: vec![1.; 18].into(),
            bias: None,
        };
        let y = graph.transposed_conv(x, conv.clone(), [0, 0]).unwrap();
        let phases = Layer::phases(&conv, graph.shape(x), graph.shape(y));
        phases.iter().map(|layer| layer.weights.len()).collect()
    }

    #[test]
    fn phases_of_a_transposed_convolution_share_out_its_weights() {
        assert_eq!(weights(1, 36), [18], "not a weight for each place between");
        assert_eq!(weights(2, 1), [12, 6]);
        assert_eq!(weights(2, 3), [12, 6]);
        // one phase has all rows of the kernel; another has a row of zeros, for its bias
        assert_eq!(weights(2, 2), [18, 6]);
    }
}
