//! [`Preprocessor`]: turns a camera's picture into the input tensor of a model, in one pass over the camera's memory.
//!
//! Camera memory may be uncached, so a byte read twice or out of order costs as much as a cache miss. So a frame is
//! never converted as a whole. Only the rows that the target needs are read, each once and in order. Rows are mixed,
//! columns are picked (`resize`), and colours are converted at the target's size (`color`).
//!
//! The result is that of "convert to RGB, then `cv2.resize`" on bytes, rounded to whole levels at the end. Without this
//! rounding, FastestDet finds other boxes where two cells have nearly the same score.
//!
//! - For RGB input the result is bit-identical to OpenCV's (`levels`), because integer models react to single levels.
//! - For other formats nothing is rounded between the steps. A chroma sample covers all its pixels without
//!   interpolation, as in `videoconvert` and OpenCV's `cvtColor`, whatever `chroma-site` says. Models are trained and
//!   judged with such pictures. Colours outside the RGB cube are clamped after resizing instead of before.
//!
//! Where the processor has AVX2, the loops run in its vectors (`host::vectors`); that is why they are inlined into one.
//! They are our own because they are faster than the crates `fast_image_resize` with `yuv`, and than OpenCV
//! (`tests/benches/figures/2026-11-22-epyc-2/README.md`).

mod axis;
mod color;
mod layout;
mod levels;
mod resize;

use crate::base::geometry::Size;
use crate::base::image::{ImageView, PictureInfo, Plane};
use crate::base::tensor::{
    ColourOrder, Element, InputSpec, Interpolation, Layout, Tensor, TensorData,
};
use crate::host::vectors::{Loops, with_wide_vectors};
use crate::vision::letterbox::Letterbox;
use axis::Axis;
use color::{Colour, Linear};
use levels::Levels;
use resize::PlaneResizer;
use std::fmt;

/// Tables and memory for one kind of picture and one input.
#[derive(Debug)]
pub struct Preprocessor {
    picture: PictureInfo,
    /// The input tensor; its padding is filled once.
    tensor: Tensor,
    pass: Pass,
}

/// Tables and scratch memory for a pass over a picture.
#[derive(Debug)]
struct Pass {
    input: Size,
    layout: Layout,
    letterbox: Letterbox,
    planes: Vec<Resizer>,
    colour: Colour,
    /// Maps levels to numbers of the tensor, for red, green and blue.
    numbers: [Linear; 3],
    /// Channel of the tensor for red, green and blue.
    channels: [usize; 3],
    /// One target row of Y, U, V or of R, G, B as read.
    components: [Vec<f32>; 3],
    /// One target row of the tensor's numbers for red, green and blue.
    rgb: [Vec<f32>; 3],
}

impl Preprocessor {
    /// Builds all tables.
    ///
    /// # Errors
    /// [`PreprocessError`] if a side is 0, the element is neither f32 nor u8, or mean and std cannot normalise.
    pub fn new(picture: PictureInfo, input: &InputSpec) -> Result<Self, PreprocessError> {
        check(&picture, input)?;
        let letterbox =
            Letterbox::new(picture.size, picture.pixel_aspect, input.size, input.resize);
        let channels = match input.colour {
            ColourOrder::Rgb => [0, 1, 2],
            ColourOrder::Bgr => [2, 1, 0],
        };
        let number = |channel: usize| {
            let scale = 1.0 / input.std[channel];
            Linear {
                scale,
                offset: -input.mean[channel] * scale,
            }
        };
        let row = vec![0.0; letterbox.picture.width as usize];
        let pass = Pass {
            input: input.size,
            layout: input.layout,
            letterbox,
            planes: resizers(&picture, letterbox.picture, input.interpolation),
            colour: Colour::new(&picture),
            numbers: channels.map(number),
            channels,
            components: [row.clone(), row.clone(), row.clone()],
            rgb: [row.clone(), row.clone(), row],
        };
        let padding = [0, 1, 2].map(|channel| number(channel).of_level(input.pad_value));
        let mut tensor = input.blank();
        match &mut tensor.data {
            TensorData::U8(data) => pass.pad(data, padding.map(to_byte)),
            TensorData::F32(data) => pass.pad(data, padding),
            TensorData::I32(_) | TensorData::I64(_) | TensorData::Foreign(_) => {
                return Err(PreprocessError::Element(input.element));
            }
        }
        Ok(Self {
            picture,
            tensor,
            pass,
        })
    }

    /// Returns the kind of picture that this was made for.
    pub fn picture(&self) -> &PictureInfo {
        &self.picture
    }

    /// Returns where the picture lies in the input.
    pub fn letterbox(&self) -> &Letterbox {
        &self.pass.letterbox
    }

    /// Returns the tensor of the last [`Self::run`]; before the first one, zeros and the padding.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Makes the tensor of `image`, in the same memory.
    ///
    /// # Errors
    /// [`PreprocessError::Picture`] if `image` is of another kind than this was made for; the tensor is then unchanged.
    pub fn run(&mut self, image: &ImageView) -> Result<&Tensor, PreprocessError> {
        if *image.info() != self.picture {
            return Err(PreprocessError::Picture {
                found: *image.info(),
                expected: self.picture,
            });
        }
        let pass = &mut self.pass;
        match &mut self.tensor.data {
            TensorData::U8(data) => with_wide_vectors(Fill {
                pass,
                image,
                data,
                element: to_byte,
            }),
            TensorData::F32(data) => with_wide_vectors(Fill {
                pass,
                image,
                data,
                element: |number| number,
            }),
            TensorData::I32(_) | TensorData::I64(_) | TensorData::Foreign(_) => {} // `new` refuses them
        }
        Ok(&self.tensor)
    }
}

/// A pass over a picture, to a tensor of elements that `element` makes of numbers.
struct Fill<'a, T, F> {
    pass: &'a mut Pass,
    image: &'a ImageView<'a>,
    data: &'a mut [T],
    element: F,
}

impl<T: Copy, F: Fn(f32) -> T + Copy> Loops for Fill<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let pass = self.pass;
        pass.planes.iter_mut().for_each(Resizer::start_frame);
        for t in 0..pass.letterbox.picture.height as usize {
            for (index, plane) in pass.planes.iter_mut().enumerate() {
                plane.row(self.image.plane(index), t, &mut pass.components);
            }
            pass.colour
                .convert(&pass.components, &pass.numbers, &mut pass.rgb);
            pass.store(t, self.data, self.element);
        }
    }
}

impl Pass {
    /// Fills the part that the picture does not cover; `padding` is in the order of the tensor's channels.
    fn pad<T: Copy>(&self, data: &mut [T], padding: [T; 3]) {
        match self.layout {
            Layout::Nchw => {
                let planes = data.chunks_exact_mut(self.input.area() as usize);
                for (plane, value) in planes.zip(padding) {
                    pad(plane, self.input, &self.letterbox, value);
                }
            }
            Layout::Nhwc => pad(data.as_chunks_mut().0, self.input, &self.letterbox, padding),
        }
    }

    /// Writes [`Self::rgb`] as row `t` of the picture.
    #[inline(always)]
    fn store<T>(&self, t: usize, data: &mut [T], element: impl Fn(f32) -> T) {
        let (lb, input) = (&self.letterbox, self.input);
        let (width, start) = (
            lb.picture.width as usize,
            (lb.pad_y as usize + t) * input.width as usize + lb.pad_x as usize,
        );
        match self.layout {
            Layout::Nchw => {
                for (row, channel) in self.rgb.iter().zip(self.channels) {
                    let start = channel * input.area() as usize + start;
                    for (out, number) in data[start..start + width].iter_mut().zip(row) {
                        *out = element(*number);
                    }
                }
            }
            Layout::Nhwc => {
                let [first, second, third] =
                    self.channels.map(|channel| &self.rgb[channel][..width]);
                let pixels: &mut [[T; 3]] = &mut data.as_chunks_mut().0[start..start + width];
                for (((pixel, a), b), c) in pixels.iter_mut().zip(first).zip(second).zip(third) {
                    *pixel = [element(*a), element(*b), element(*c)];
                }
            }
        }
    }
}

fn check(picture: &PictureInfo, input: &InputSpec) -> Result<(), PreprocessError> {
    if picture.size.area() == 0 || input.size.area() == 0 {
        return Err(PreprocessError::Empty {
            picture: picture.size,
            input: input.size,
        });
    }
    if !matches!(input.element, Element::F32 | Element::U8) {
        return Err(PreprocessError::Element(input.element));
    }
    let finite = input
        .mean
        .iter()
        .chain(&input.std)
        .all(|value| value.is_finite());
    if !finite || input.std.contains(&0.0) {
        return Err(PreprocessError::Normalisation {
            mean: input.mean,
            std: input.std,
        });
    }
    Ok(())
}

/// Resizes one plane.
#[derive(Debug)]
enum Resizer {
    /// Keeps fractions, for pictures that still need colour conversion.
    Exact(PlaneResizer),
    /// Rounds to the levels of a picture of bytes.
    Levels(Box<Levels>),
}

impl Resizer {
    fn start_frame(&mut self) {
        match self {
            Self::Exact(resizer) => resizer.start_frame(),
            Self::Levels(levels) => levels.start_frame(),
        }
    }

    #[inline(always)]
    fn row(&mut self, plane: &Plane, t: usize, components: &mut [Vec<f32>; 3]) {
        match self {
            Self::Exact(resizer) => resizer.row(plane, t, components),
            Self::Levels(levels) => levels.row(plane, t, components),
        }
    }
}

/// Creates a resizer for each plane of the picture.
fn resizers(picture: &PictureInfo, target: Size, interpolation: Interpolation) -> Vec<Resizer> {
    let shrinks = target.width <= picture.size.width && target.height <= picture.size.height;
    let interpolation = match interpolation {
        Interpolation::Area if !shrinks => Interpolation::Linear,
        other => other,
    };
    let axis =
        |source: u32, target: u32| Axis::new(source as usize, target as usize, interpolation);
    let horizontal = axis(picture.size.width, target.width);
    let vertical = axis(picture.size.height, target.height);
    let components = layout::components(picture.format);
    let planes = picture.format.planes(picture.size).into_iter().enumerate();
    planes
        .map(|(plane, (row_bytes, _))| {
            let within: Vec<_> = components
                .iter()
                .copied()
                .enumerate()
                .filter(|(_, component)| component.plane == plane)
                .collect();
            let sides = |size: Size| [size.width as usize, size.height as usize];
            let (from, to) = (sides(picture.size), sides(target));
            let levels = (Colour::new(picture) == Colour::Rgb)
                .then(|| Levels::new(row_bytes, &within, from, to, interpolation));
            levels.flatten().map_or_else(
                || {
                    let (h, v) = (&horizontal, &vertical);
                    let resizer = PlaneResizer::new(row_bytes, &within, h, v, interpolation);
                    Resizer::Exact(resizer)
                },
                |levels| Resizer::Levels(Box::new(levels)),
            )
        })
        .collect()
}

/// Fills the part that the picture does not cover.
fn pad<T: Copy>(pixels: &mut [T], input: Size, letterbox: &Letterbox, value: T) {
    let (top, left) = (letterbox.pad_y as usize, letterbox.pad_x as usize);
    let bottom = top + letterbox.picture.height as usize;
    let right = left + letterbox.picture.width as usize;
    for (y, row) in pixels.chunks_exact_mut(input.width as usize).enumerate() {
        if (top..bottom).contains(&y) {
            row[..left].fill(value);
            row[right..].fill(value);
        } else {
            row.fill(value);
        }
    }
}

/// Rounds, and clamps to 0..=255.
fn to_byte(number: f32) -> u8 {
    (number + 0.5) as u8
}

/// The reason why a picture cannot be made into an input.
#[derive(Debug, Clone, PartialEq)]
pub enum PreprocessError {
    /// A side of the picture or of the input is 0.
    Empty {
        /// Size of the picture.
        picture: Size,
        /// Size of the input.
        input: Size,
    },
    /// The input has an element that is not supported.
    Element(Element),
    /// A mean or std is not finite, or a std is 0.
    Normalisation {
        /// Mean of each channel.
        mean: [f32; 3],
        /// Divisor of each channel.
        std: [f32; 3],
    },
    /// The picture is of another kind than the one prepared for.
    Picture {
        /// Kind of the picture.
        found: PictureInfo,
        /// Kind prepared for.
        expected: PictureInfo,
    },
}

impl fmt::Display for PreprocessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { picture, input } => {
                write!(
                    f,
                    "a picture of {picture} for an input of {input}, expected sides of at least 1"
                )
            }
            Self::Element(element) => {
                write!(f, "the input takes {element}, expected float32 or uint8")
            }
            Self::Normalisation { mean, std } => {
                write!(
                    f,
                    "mean {mean:?} and std {std:?}, expected finite numbers and no std of 0"
                )
            }
            Self::Picture { found, expected } => {
                write!(f, "the picture is {found:?}, expected {expected:?}")
            }
        }
    }
}

impl std::error::Error for PreprocessError {}

#[cfg(test)]
mod tests;
