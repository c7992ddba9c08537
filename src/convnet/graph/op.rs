//! Operators of a [`Graph`](super::Graph) and their parameters.

use std::sync::Arc;

use super::{Shape, TensorId};

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

/// Function of one value. Every function propagates NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    Relu,
    /// Limits to `min..=max`; ReLU6 is 0 and 6.
    Clip {
        min: f32,
        max: f32,
    },
    LeakyRelu {
        slope: f32,
    },
    /// x · sigmoid(x)
    Silu,
    /// x · clip(x / 6 + 0.5, 0, 1)
    HardSwish,
    /// clip(alpha · x + beta, 0, 1)
    HardSigmoid {
        alpha: f32,
        beta: f32,
    },
    Sigmoid,
    /// x · tanh(ln(1 + eˣ))
    Mish,
    /// x · Φ(x), with the error function
    Gelu,
    /// GELU by tanh: 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))
    GeluTanh,
    Tanh,
    /// x above 0, alpha · (eˣ − 1) below
    Elu {
        alpha: f32,
    },
    /// ln(1 + eˣ)
    Softplus,
    Exp,
    Sqrt,
    Abs,
    Reciprocal,
    Square,
    Log,
}

impl Activation {
    /// Computes the function in double precision: the definition that every kernel is tested against.
    pub fn apply(self, x: f64) -> f64 {
        if x.is_nan() {
            return x;
        }
        let sigmoid = |x: f64| 1. / (1. + (-x).exp());
        let softplus = |x: f64| x.max(0.) + (-x.abs()).exp().ln_1p();
        match self {
            Activation::Relu => x.max(0.),
            Activation::Clip { min, max } => x.max(min.into()).min(max.into()),
            Activation::LeakyRelu { slope } => {
                if x < 0. {
                    x * f64::from(slope)
                } else {
                    x
                }
            }
            Activation::Silu => x * sigmoid(x),
            Activation::HardSwish => x * (x / 6. + 0.5).clamp(0., 1.),
            Activation::HardSigmoid { alpha, beta } => {
                (f64::from(alpha) * x + f64::from(beta)).clamp(0., 1.)
            }
            Activation::Sigmoid => sigmoid(x),
            Activation::Mish => x * softplus(x).tanh(),
            Activation::Gelu => 0.5 * x * (1. + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Activation::GeluTanh => {
                let t = (2. / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                0.5 * x * (1. + t.tanh())
            }
            Activation::Tanh => x.tanh(),
            Activation::Elu { alpha } => {
                if x < 0. {
                    f64::from(alpha) * x.exp_m1()
                } else {
                    x
                }
            }
            Activation::Softplus => softplus(x),
            Activation::Exp => x.exp(),
            Activation::Sqrt => x.sqrt(),
            Activation::Abs => x.abs(),
            Activation::Reciprocal => 1. / x,
            Activation::Square => x * x,
            Activation::Log => x.ln(),
        }
    }
}

/// Error function, by its series of positive terms; exact to about 1e-15.
fn erf(x: f64) -> f64 {
    if x.abs() > 6. {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2. * x * x / (2 * n + 1) as f64;
        sum += term;
    }
    sum * (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI
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

/// How [`Resize`] reads between source pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The nearest pixel; `x.5` goes down, as ONNX's `round_prefer_floor`.
    NearestRoundDown,
    /// The nearest pixel; `x.5` goes up, as ONNX's `round_prefer_ceil`.
    NearestRoundUp,
    /// The pixel at or before the position, as ONNX's `floor`.
    NearestFloor,
    /// The pixel at or after the position, as ONNX's `ceil`.
    NearestCeil,
    Linear,
}

/// Where an output pixel of [`Resize`] lies in the source, as ONNX names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinates {
    HalfPixel,
    /// Half-pixel, but an output of one pixel reads position 0.
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
}

/// Change of size. Pairs read `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resize {
    pub interpolation: Interpolation,
    pub coordinates: Coordinates,
    /// Output height and width.
    pub size: [usize; 2],
    /// Output pixels per source pixel. Usually `size / source size`; a model may state a slightly different factor.
    pub scale: [f64; 2],
}

/// Source of one output row or column: `(first, second, weight of the second)`.
pub type Tap = (usize, usize, f32);

impl Resize {
    /// Computes where every output row (`axis` 0) or column (`axis` 1) comes from. `from` is the source's length.
    pub fn taps(&self, axis: usize, from: usize) -> Vec<Tap> {
        let (to, scale) = (self.size[axis], self.scale[axis]);
        let last = (from - 1) as f64;
        (0..to)
            .map(|i| {
                let x = self.position(i, from, to, scale);
                let nearest = match self.interpolation {
                    Interpolation::Linear => {
                        let x = x.clamp(0., last);
                        let first = x.floor();
                        let second = (first + 1.).min(last);
                        return (first as usize, second as usize, (x - first) as f32);
                    }
                    Interpolation::NearestRoundDown => (x - 0.5).ceil(),
                    Interpolation::NearestRoundUp => (x + 0.5).floor(),
                    Interpolation::NearestFloor => x.floor(),
                    Interpolation::NearestCeil => x.ceil(),
                };
                let at = nearest.clamp(0., last) as usize;
                (at, at, 0.)
            })
            .collect()
    }

    fn position(&self, i: usize, from: usize, to: usize, scale: f64) -> f64 {
        let i = i as f64;
        match self.coordinates {
            Coordinates::PytorchHalfPixel if to == 1 => 0.,
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => (i + 0.5) / scale - 0.5,
            Coordinates::AlignCorners if to == 1 => 0.,
            Coordinates::AlignCorners => i * (from - 1) as f64 / (to - 1) as f64,
            Coordinates::Asymmetric => i / scale,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_have_their_known_values() {
        let close = |a: Activation, x: f64, y: f64| {
            assert!((a.apply(x) - y).abs() < 1e-6, "{a:?}({x}) = {}", a.apply(x))
        };
        close(Activation::Silu, 1., 0.7310586);
        close(Activation::Mish, 1., 0.8650984);
        close(Activation::Gelu, 1., 0.8413447);
        close(Activation::Gelu, -3., -0.0040497);
        close(Activation::GeluTanh, 1., 0.8411920);
        close(Activation::HardSwish, 1., 2. / 3.);
        close(Activation::Elu { alpha: 2. }, -1., -1.2642411);
        close(Activation::Softplus, -40., 0.);
        close(Activation::Softplus, 40., 40.);
        assert!(
            Activation::Clip { min: 0., max: 6. }
                .apply(f64::NAN)
                .is_nan()
        );
    }

    #[test]
    fn taps_follow_onnx() {
        let resize = |interpolation, coordinates, to: usize, from: usize| {
            Resize {
                interpolation,
                coordinates,
                size: [to, to],
                scale: [to as f64 / from as f64; 2],
            }
            .taps(0, from)
        };
        let nearest = resize(Interpolation::NearestFloor, Coordinates::Asymmetric, 6, 3);
        assert_eq!(
            nearest.iter().map(|t| t.0).collect::<Vec<_>>(),
            [0, 0, 1, 1, 2, 2]
        );
        let linear = resize(Interpolation::Linear, Coordinates::HalfPixel, 4, 2);
        assert_eq!(linear, [(0, 1, 0.), (0, 1, 0.25), (0, 1, 0.75), (1, 1, 0.)]);
        let corners = resize(Interpolation::Linear, Coordinates::AlignCorners, 3, 2);
        assert_eq!(corners, [(0, 1, 0.), (0, 1, 0.5), (1, 1, 0.)]);
    }
}
