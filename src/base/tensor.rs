//! [`Tensor`]: name, dims, data; the only currency between preprocessing, engine and decoding.
//!
//! [`InputSpec`] says how a picture becomes the input tensor of a model.

use crate::base::geometry::Size;
use std::fmt;
use std::sync::Arc;

/// The numbers of a tensor, row-major.
#[derive(Debug, Clone)]
pub enum TensorData {
    F32(Vec<f32>),
    U8(Vec<u8>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    /// f32, where an engine left them.
    Foreign(Foreign),
}

/// Numbers in memory of an engine's library, which gets it back when they are dropped.
#[derive(Clone)]
pub struct Foreign(Arc<dyn AsRef<[f32]> + Send + Sync>);

impl Foreign {
    pub fn new(numbers: impl AsRef<[f32]> + Send + Sync + 'static) -> Self {
        Self(Arc::new(numbers))
    }

    pub fn numbers(&self) -> &[f32] {
        (*self.0).as_ref()
    }
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.numbers().fmt(f)
    }
}

/// By type and numbers, wherever they are.
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
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::U8(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::Foreign(v) => v.numbers().len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn element(&self) -> Element {
        match self {
            Self::F32(_) | Self::Foreign(_) => Element::F32,
            Self::U8(_) => Element::U8,
            Self::I32(_) => Element::I32,
            Self::I64(_) => Element::I64,
        }
    }

    /// No numbers any more, if they were an engine's.
    pub fn give_back(&mut self) {
        if let Self::Foreign(_) = self {
            *self = Self::F32(Vec::new());
        }
    }

    /// The numbers, if they are f32.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match self {
            Self::F32(numbers) => Some(numbers),
            Self::Foreign(numbers) => Some(numbers.numbers()),
            Self::U8(_) | Self::I32(_) | Self::I64(_) => None,
        }
    }
}

/// A type of numbers that [`Element`] names.
pub trait Number: Copy {
    /// The numbers of `data`, which is made one of this type if it is of another; its memory is kept otherwise.
    fn of(data: &mut TensorData) -> &mut Vec<Self>;
}

macro_rules! number {
    ($($number:ty => $variant:ident),*) => {$(
        impl Number for $number {
            fn of(data: &mut TensorData) -> &mut Vec<Self> {
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
    F32,
    U8,
    I32,
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
    pub name: String,
    pub dims: Vec<usize>,
    pub data: TensorData,
}

impl Tensor {
    pub fn f32(name: impl Into<String>, dims: impl Into<Vec<usize>>, data: Vec<f32>) -> Self {
        let tensor = Self {
            name: name.into(),
            dims: dims.into(),
            data: TensorData::F32(data),
        };
        debug_assert_eq!(tensor.dims.iter().product::<usize>(), tensor.data.len());
        tensor
    }

    /// Of no numbers.
    pub fn empty(name: impl Into<String>) -> Self {
        Self::f32(name, [0], Vec::new())
    }

    /// Takes other dims and numbers, in the memory of those of before where it is of their type.
    pub fn refill<T: Number>(
        &mut self,
        dims: impl IntoIterator<Item = usize>,
        numbers: impl IntoIterator<Item = T>,
    ) {
        self.dims.clear();
        self.dims.extend(dims);
        let kept = T::of(&mut self.data);
        kept.clear();
        kept.extend(numbers);
        debug_assert_eq!(self.dims.iter().product::<usize>(), self.data.len());
    }

    /// The numbers, if they are f32.
    pub fn as_f32(&self) -> Option<&[f32]> {
        self.data.as_f32()
    }

    pub fn spec(&self) -> TensorSpec {
        TensorSpec {
            name: self.name.clone(),
            dims: self.dims.clone(),
            element: self.data.element(),
        }
    }
}

/// What a tensor of this name looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    pub name: String,
    pub dims: Vec<usize>,
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
    Rgb,
    Bgr,
}

/// How a picture of any shape fills the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResizeMode {
    /// Each axis scaled on its own.
    Stretch,
    /// Aspect kept, picture in the middle, padding on both sides.
    LetterboxCentre,
    /// Aspect kept, picture at the left upper corner, padding right and below.
    LetterboxTopLeft,
}

/// How pixels between the pixels are found; the names are OpenCV's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interpolation {
    /// `INTER_LINEAR`: two taps an axis, pixel centres at one half, no smoothing when shrinking.
    Linear,
    /// `INTER_CUBIC`: four taps an axis, a = -0.75.
    Cubic,
    /// `INTER_AREA`: mean over the covered area when shrinking, linear otherwise.
    Area,
}

/// What the model wants of its input tensor: one picture, three channels.
///
/// A number of the tensor is `(pixel - mean[c]) / std[c]`, with pixels 0..=255 and `c` counted in the order of
/// `colour`; an input of u8 gets the pixel rounded, and mean and std are then 0 and 1.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSpec {
    pub name: String,
    pub size: Size,
    pub layout: Layout,
    pub element: Element,
    pub colour: ColourOrder,
    pub mean: [f32; 3],
    pub std: [f32; 3],
    pub resize: ResizeMode,
    /// Value of a padding pixel, 0..=255, before mean and std.
    pub pad_value: f32,
    pub interpolation: Interpolation,
}

impl InputSpec {
    /// A tensor of zeros of this shape and type.
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

    /// `[1, 3, h, w]` or `[1, h, w, 3]`.
    pub fn dims(&self) -> [usize; 4] {
        let (w, h) = (self.size.width as usize, self.size.height as usize);
        match self.layout {
            Layout::Nchw => [1, 3, h, w],
            Layout::Nhwc => [1, h, w, 3],
        }
    }
}
