//! [`Tensor`]: name, dims and data, passed between preprocessing, engine and decoder.
//!
//! [`InputSpec`] says how a picture becomes the input tensor of a model.

use crate::base::geometry::Size;
use std::fmt;
use std::sync::Arc;

/// Numbers of a tensor, row-major.
#[derive(Debug, Clone)]
pub enum TensorData {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// Unsigned bytes.
    U8(Vec<u8>),
    /// 32-bit integers.
    I32(Vec<i32>),
    /// 64-bit integers.
    I64(Vec<i64>),
    /// 32-bit floats in memory of an engine.
    Foreign(Foreign),
}

/// Numbers in memory of an engine's library. Dropping the last clone returns the memory.
#[derive(Clone)]
pub struct Foreign(Arc<dyn AsRef<[f32]> + Send + Sync>);

impl Foreign {
    /// Wraps a value that owns the memory.
    pub fn new(numbers: impl AsRef<[f32]> + Send + Sync + 'static) -> Self {
        Self(Arc::new(numbers))
    }

    /// Returns the numbers.
    pub fn numbers(&self) -> &[f32] {
        (*self.0).as_ref()
    }
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.numbers().fmt(f)
    }
}

/// Compares type and numbers, wherever they are stored.
impl PartialEq for TensorData {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::U8(a), Self::U8(b)) => a == b,
            (Self::I32(a), Self::I32(b)) => a == b,
            (Self::I64(a), Self::I64(b)) => a == b,
            _ => matches!((self.as_f32(), other.as_f32()), (Some(a), Some(b)) if a == b),
        }
    }
}

impl TensorData {
    /// Returns how many numbers there are.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::U8(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::Foreign(v) => v.numbers().len(),
        }
    }

    /// Returns whether there are no numbers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the type of the numbers.
    pub fn element(&self) -> Element {
        match self {
            Self::F32(_) | Self::Foreign(_) => Element::F32,
            Self::U8(_) => Element::U8,
            Self::I32(_) => Element::I32,
            Self::I64(_) => Element::I64,
        }
    }

    /// Returns memory of an engine, which leaves an empty f32 vector. Other data stays.
    pub fn give_back(&mut self) {
        if let Self::Foreign(_) = self {
            *self = Self::F32(Vec::new());
        }
    }

    /// Returns the numbers if they are f32.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match self {
            Self::F32(numbers) => Some(numbers),
            Self::Foreign(numbers) => Some(numbers.numbers()),
            Self::U8(_) | Self::I32(_) | Self::I64(_) => None,
        }
    }
}

/// A Rust type that [`Element`] names.
pub trait Number: Copy {
    /// Returns the vector of this type in `data`. If `data` has another type, an empty vector replaces it first.
    fn vec_mut(data: &mut TensorData) -> &mut Vec<Self>;
}

macro_rules! number {
    ($($number:ty => $variant:ident),*) => {$(
        impl Number for $number {
            fn vec_mut(data: &mut TensorData) -> &mut Vec<Self> {
                if !matches!(data, TensorData::$variant(_)) {
                    *data = TensorData::$variant(Vec::new());
                }
                match data {
                    TensorData::$variant(numbers) => numbers,
                    _ => unreachable!("made just above"),
                }
            }
        }
    )*};
}

number!(f32 => F32, u8 => U8, i32 => I32, i64 => I64);

/// Type of a tensor's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// 32-bit float.
    F32,
    /// Unsigned byte.
    U8,
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "float32",
            Self::U8 => "uint8",
            Self::I32 => "int32",
            Self::I64 => "int64",
        })
    }
}

/// A named array; `data.len()` is the product of `dims`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Name in the graph.
    pub name: String,
    /// Length of each axis.
    pub dims: Vec<usize>,
    /// The numbers.
    pub data: TensorData,
}

impl Tensor {
    /// Creates a tensor of f32; `data` must have as many numbers as `dims` say.
    pub fn f32(name: impl Into<String>, dims: impl Into<Vec<usize>>, data: Vec<f32>) -> Self {
        let tensor = Self {
            name: name.into(),
            dims: dims.into(),
            data: TensorData::F32(data),
        };
        debug_assert_eq!(tensor.dims.iter().product::<usize>(), tensor.data.len());
        tensor
    }

    /// Creates a tensor without numbers.
    pub fn empty(name: impl Into<String>) -> Self {
        Self::f32(name, [0], Vec::new())
    }

    /// Replaces dims and numbers. Reuses the memory if the type stays the same.
    pub fn refill<T: Number>(
        &mut self,
        dims: impl IntoIterator<Item = usize>,
        numbers: impl IntoIterator<Item = T>,
    ) {
        self.dims.clear();
        self.dims.extend(dims);
        let kept = T::vec_mut(&mut self.data);
        kept.clear();
        kept.extend(numbers);
        debug_assert_eq!(self.dims.iter().product::<usize>(), self.data.len());
    }

    /// Returns the numbers if they are f32.
    pub fn as_f32(&self) -> Option<&[f32]> {
        self.data.as_f32()
    }

    /// Returns name, dims and type.
    pub fn spec(&self) -> TensorSpec {
        TensorSpec {
            name: self.name.clone(),
            dims: self.dims.clone(),
            element: self.data.element(),
        }
    }
}

/// Name, dims and type of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name in the graph.
    pub name: String,
    /// Length of each axis; 0 where the graph leaves it open.
    pub dims: Vec<usize>,
    /// Type of the numbers.
    pub element: Element,
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.name, self.dims, self.element)
    }
}

/// Order of the axes of an input tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `[1, 3, h, w]`
    Nchw,
    /// `[1, h, w, 3]`
    Nhwc,
}

/// Order of the three colours along the channel axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColourOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// How a picture of any shape fills the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResizeMode {
    /// Scales each axis on its own.
    Stretch,
    /// Keeps the aspect; centres the picture, and pads on both sides.
    LetterboxCentre,
    /// Keeps the aspect; puts the picture at the top left, and pads right and below.
    LetterboxTopLeft,
}

/// How values between pixels are computed, with OpenCV's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interpolation {
    /// `INTER_LINEAR`: two taps per axis, pixel centres at one half, no smoothing when shrinking.
    Linear,
    /// `INTER_CUBIC`: four taps per axis, a = -0.75.
    Cubic,
    /// `INTER_AREA`: mean over the covered area when shrinking, linear otherwise.
    Area,
}

/// Input tensor that a model takes: one picture, three channels.
///
/// Each number is `(pixel - mean[c]) / std[c]`, with pixels 0 to 255 and `c` in the order of `colour`. A u8 input gets
/// the rounded pixel; mean and std are then 0 and 1.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSpec {
    /// Name in the graph.
    pub name: String,
    /// Width and height in pixels.
    pub size: Size,
    /// Order of the axes.
    pub layout: Layout,
    /// Type of the numbers.
    pub element: Element,
    /// Order of the channels.
    pub colour: ColourOrder,
    /// Subtracted from each channel.
    pub mean: [f32; 3],
    /// Each channel is divided by this.
    pub std: [f32; 3],
    /// How the picture fills the input.
    pub resize: ResizeMode,
    /// Value of padding pixels, 0 to 255, before mean and std.
    pub pad_value: f32,
    /// How values between pixels are computed.
    pub interpolation: Interpolation,
}

impl InputSpec {
    /// Returns a tensor of zeros of this shape and type.
    pub fn blank(&self) -> Tensor {
        let dims = self.dims().to_vec();
        let count = dims.iter().product();
        Tensor {
            name: self.name.clone(),
            dims,
            data: match self.element {
                Element::U8 => TensorData::U8(vec![0; count]),
                _ => TensorData::F32(vec![0.0; count]),
            },
        }
    }

    /// Returns `[1, 3, h, w]` or `[1, h, w, 3]`.
    pub fn dims(&self) -> [usize; 4] {
        let (w, h) = (self.size.width as usize, self.size.height as usize);
        match self.layout {
            Layout::Nchw => [1, 3, h, w],
            Layout::Nhwc => [1, h, w, 3],
        }
    }
}
