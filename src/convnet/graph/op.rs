//! Operators of a [`Graph`](super::Graph) and their parameters.

use std::sync::Arc;

use super::{Activation, Resize, Shape, TensorId};

/// Element format of a graph input.
#[derive(Clone, Debug, PartialEq)]
pub enum InputFormat {
    /// Planes of f32, `[c, h, w]`.
    Planar,
    /// Interleaved f32, `[h, w, c]`.
    Interleaved,
    /// Interleaved 8-bit pixels, `[h, w, c]`. The tensor's values are `pixel * scale[c] + bias[c]`.
    Pixels {
        scale: Arc<[f32]>,
        bias: Arc<[f32]>,
        /// Channel of the tensor that each byte of a pixel becomes: `[2, 1, 0]` reads RGB pixels into BGR planes.
        order: Arc<[u8]>,
    },
}

/// One input of a run.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// For [`InputFormat::Planar`] and [`InputFormat::Interleaved`].
    F32(&'a [f32]),
    /// For [`InputFormat::Pixels`].
    U8(&'a [u8]),
}

/// Zero pixels added around a tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pads {
    pub top: usize,
    pub left: usize,
    pub bottom: usize,
    pub right: usize,
}

impl Pads {
    /// Returns `n` pixels on every side.
    pub const fn all(n: usize) -> Self {
        Pads {
            top: n,
            left: n,
            bottom: n,
            right: n,
        }
    }
}

/// Sliding window of a convolution or pooling. Pairs read `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub pads: Pads,
}

impl Window {
    /// Returns a square window without dilation and with the same padding on all sides.
    pub const fn square(kernel: usize, stride: usize, pad: usize) -> Self {
        Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [1; 2],
            pads: Pads::all(pad),
        }
    }

    /// Pixels that the window spans on each axis, dilation included.
    pub fn span(&self) -> [usize; 2] {
        [0, 1].map(|a| (self.kernel[a] - 1) * self.dilation[a] + 1)
    }
}

/// Weights and geometry of a convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    pub out_channels: usize,
    /// 1 for a dense layer, the number of input channels for a depthwise one.
    pub groups: usize,
    pub window: Window,
    /// `[out_channels, in_channels / groups, kernel height, kernel width]`; for a transposed convolution
    /// `[in_channels, out_channels / groups, kernel height, kernel width]`, as in ONNX.
    pub weights: Arc<[f32]>,
    /// One value per output channel.
    pub bias: Option<Arc<[f32]>>,
}

/// How a pooling reduces its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Largest value; padding never wins.
    Max,
    /// Mean. Padding counts as zeros if `count_padding`, else only pixels of the tensor count.
    Average { count_padding: bool },
}

/// Function of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
}

impl Binary {
    /// Computes the function in double precision.
    pub fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Max => a.max(b),
            Binary::Min => a.min(b),
        }
    }
}

/// Reduction over all channels of a pixel, or over all pixels of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduce {
    Mean,
    Sum,
    Max,
}

/// Pixels that a [`Op::Crop`] keeps: rows `top, top + step[0], ..` and columns `left, left + step[1], ..`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    pub top: usize,
    pub left: usize,
    /// Distance between kept rows and columns, at least 1.
    pub step: [usize; 2],
    /// Output height and width.
    pub size: [usize; 2],
}

/// Attention of all pixels of one tensor to all pixels of another, in heads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// Consecutive channels make a head: the first `c / heads` of the queries, keys and values are those of the first.
    pub heads: usize,
    /// Consecutive pixels make an area, of which there are so many: a query sees the keys of its own. Areas are whole rows,
    /// or parts of a map of one row.
    pub areas: usize,
    /// Factor of the products of queries and keys.
    pub scale: f32,
}

/// One operator. Every operator has one output tensor; a split is several [`Op::Channels`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Op {
    Input(InputFormat),
    /// Values known when the graph is made, `[c, h, w]`.
    Constant(Arc<[f32]>),
    Conv(Conv),
    TransposedConv {
        conv: Conv,
        /// Rows and columns added at the bottom and right, as in ONNX.
        output_padding: [usize; 2],
    },
    Pool(Pool, Window),
    /// Reduces each channel to one pixel.
    Global(Reduce),
    /// Reduces each pixel to one channel.
    OverChannels(Reduce),
    Resize(Resize),
    /// Two tensors. On each axis, the second one's length is the first one's or 1.
    Binary(Binary),
    /// `x * scale[c] + bias[c]`. Each slice has one value per channel.
    Affine {
        scale: Arc<[f32]>,
        bias: Arc<[f32]>,
    },
    Activate(Activation),
    /// Leaky ReLU with one slope per channel.
    PRelu {
        slopes: Arc<[f32]>,
    },
    /// Softmax over consecutive groups of `group` channels; all channels if `group` is their number.
    Softmax {
        group: usize,
    },
    /// Queries, keys and values. In each head, a pixel of the output is the sum of the values' pixels, times their shares:
    /// the softmax, over the keys' pixels, of `scale` times the product of the query's pixel and the key's.
    Attention(Attention),
    /// Tensors of one size, one behind the other along the channels.
    Concat,
    /// Output channel `i` is input channel `picks[i]`: slices, shuffles, any permutation.
    Channels {
        picks: Arc<[u32]>,
    },
    Crop(Crop),
    /// Adds pixels of a constant value around the tensor.
    Pad(Pads, f32),
    /// Reads the pixels of a channel in the same order as another height and width.
    Reshape,
    /// Moves channels to pixels: output `(c, y·b+i, x·b+j)` is input channel `(i·b+j)·C + c`, or `c·b²+i·b+j` if
    /// `channels_first` (ONNX calls it CRD; PyTorch's pixel shuffle), with `C` output channels.
    DepthToSpace {
        block: usize,
        channels_first: bool,
    },
}

impl Op {
    /// Returns the operator's name for messages and listings.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input(_) => "input",
            Op::Constant(_) => "constant",
            Op::Conv(_) => "convolution",
            Op::TransposedConv { .. } => "transposed convolution",
            Op::Pool(Pool::Max, _) => "max pooling",
            Op::Pool(Pool::Average { .. }, _) => "average pooling",
            Op::Global(_) => "global pooling",
            Op::OverChannels(_) => "channel reduction",
            Op::Resize(_) => "resize",
            Op::Binary(_) => "elementwise",
            Op::Affine { .. } => "affine",
            Op::Activate(_) => "activation",
            Op::PRelu { .. } => "PReLU",
            Op::Softmax { .. } => "softmax",
            Op::Attention(_) => "attention",
            Op::Concat => "concat",
            Op::Channels { .. } => "channel selection",
            Op::Crop(_) => "crop",
            Op::Pad(..) => "padding",
            Op::Reshape => "reshape",
            Op::DepthToSpace { .. } => "depth to space",
        }
    }
}

/// An operator with its operands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub op: Op,
    pub inputs: Vec<TensorId>,
    /// Shape of the output.
    pub shape: Shape,
}

/// Element order of a graph output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `[c, pixels]`: planes.
    Planar,
    /// `[pixels, c]`: one row per pixel.
    Rows,
}

/// One output buffer: the pixels of each part behind those of the part before. All parts have the same channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub parts: Vec<TensorId>,
    pub layout: Layout,
}
