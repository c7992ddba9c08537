//! [`Preprocessor`]: a camera's picture to the input tensor of a model, in one pass over the camera's memory.
//!
//! Camera memory may be uncached, where a byte read twice or out of order costs as much as a cache miss. So a frame
//! is never converted as a whole: only the rows that the target needs are read, each once and in order. Rows are mixed,
//! columns picked (`resize`), and colour converted at the target's size (`color`).
//!
//! The result is that of "convert to RGB, then `cv2.resize`" on bytes, rounded to whole levels at the end as there:
//! without that, FastestDet finds other boxes where two cells have nearly the same score. Of a picture that is RGB
//! already it is that to the last bit (`levels`), since a model that computes with integers makes other boxes of a level
//! more or less: of 183 boxes of int8 models 160 were right before, and all are with the same levels. Of others nothing
//! is rounded between the steps. A chroma sample stands for all pixels it covers, without interpolation between chroma
//! samples: so `videoconvert` and OpenCV's `cvtColor` turn 4:2:0 into RGB, whatever `chroma-site` says, and so the
//! pictures were made that models are trained and judged with. Colours outside the RGB cube are cut after resizing
//! instead of before.
//!
//! Why loops of our own: milliseconds for one letterboxed f32 picture, one thread, on a shared AMD EPYC of 2 cores,
//! 2026-11-22, release build without target flags; the lowest tenth percentile of several runs of 300 pictures, since
//! a busy neighbour makes every row up to 1.8 times slower:
//!
//! | | I420 | NV12 | RGB |
//! |---|---|---|---|
//! | 1920x1080 to 416x416, NCHW: this module | 0.41 | 0.42 | 0.45 |
//! | `fast_image_resize` 6.1 on planes, `yuv` 0.8 at the target's size | 0.87 | 0.74 | 0.48 |
//! | `yuv` on the whole frame, then `fast_image_resize` | 0.87 | | |
//! | OpenCV: `cvtColor`, `resize`, `copyMakeBorder`, `blobFromImage` | 1.66 | 1.43 | 0.50 |
//! | 1280x720 to 256x256, NHWC: this module | 0.15 | 0.15 | 0.15 |
//! | `fast_image_resize` on planes, `yuv` at the target's size | 0.34 | 0.29 | 0.22 |
//! | `yuv` on the whole frame, then `fast_image_resize` | 0.35 | | |
//! | OpenCV | 0.48 | 0.47 | 0.15 |
//!
//! RGB with the levels of OpenCV takes 0.75 ms instead of 0.48 from 1920x1080 to 416x416, and 0.43 instead of 0.27 from
//! 1280x720 to 320x320 (2026-11-23, both in turns): two source rows for each target row, whose columns are picked first.
//!
//! Neither crate was given a stride that is no multiple of the pixel.

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
    /// The padding is in it from the beginning.
    tensor: Tensor,
    pass: Pass,
}

/// What a pass over a picture needs beside the tensor.
#[derive(Debug)]
struct Pass {
    input: Size,
    layout: Layout,
    letterbox: Letterbox,
    planes: Vec<Resizer>,
    colour: Colour,
    /// Level to number of the tensor, for red, green and blue.
    numbers: [Linear; 3],
    /// Which channel of the tensor is red, green and blue.
    channels: [usize; 3],
    /// One target row of Y, U, V or of R, G, B as they come.
    components: [Vec<f32>; 3],
    /// One target row of the tensor's numbers for red, green and blue.
    rgb: [Vec<f32>; 3],
}

impl Preprocessor {
    /// Builds all tables.
    ///
    /// # Errors
    /// [`PreprocessError`] if a side is 0, the element is neither f32 nor u8, or mean and std are no normalisation.
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

    /// The kind of picture that this was made for.
    pub fn picture(&self) -> &PictureInfo {
        &self.picture
    }

    /// Where the picture lies in the input.
    pub fn letterbox(&self) -> &Letterbox {
        &self.pass.letterbox
    }

    /// The picture of the last [`Self::run`]; before the first one, zeros and the padding.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Makes the tensor of `image`, in the memory of the one before.
    ///
    /// # Errors
    /// [`PreprocessError::Picture`] if `image` is not of the kind that this was made for; the tensor is then unchanged.
    pub fn run(&mut self, image: &ImageView) -> Result<&Tensor, PreprocessError> {
        if *image.info() != self.picture {
            return Err(PreprocessError::Picture {
                found: *image.info(),
                expected: self.picture,
            });
        }
        match &mut self.tensor.data {
            TensorData::U8(data) => self.pass.fill(image, data, to_byte),
            TensorData::F32(data) => self.pass.fill(image, data, |number| number),
            TensorData::I32(_) | TensorData::I64(_) | TensorData::Foreign(_) => {} // `new` refuses them
        }
        Ok(&self.tensor)
    }
}

impl Pass {
    /// Fills what the picture does not cover; `padding` is in the order of the tensor's channels.
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

    fn fill<T: Copy>(
        &mut self,
        image: &ImageView,
        data: &mut [T],
        element: impl Fn(f32) -> T + Copy,
    ) {
        self.planes.iter_mut().for_each(Resizer::start_frame);
        for t in 0..self.letterbox.picture.height as usize {
            for (index, plane) in self.planes.iter_mut().enumerate() {
                plane.row(image.plane(index), t, &mut self.components);
            }
            self.colour
                .convert(&self.components, &self.numbers, &mut self.rgb);
            self.store(t, data, element);
        }
    }

    /// Writes [`Self::rgb`] as row `t` of the picture.
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

/// Of one plane.
#[derive(Debug)]
enum Resizer {
    /// To any number, which the colours are made of.
    Exact(PlaneResizer),
    /// To the levels of a picture of bytes.
    Levels(Box<Levels>),
}

impl Resizer {
    fn start_frame(&mut self) {
        match self {
            Self::Exact(resizer) => resizer.start_frame(),
            Self::Levels(levels) => levels.start_frame(),
        }
    }

    fn row(&mut self, plane: &Plane, t: usize, components: &mut [Vec<f32>; 3]) {
        match self {
            Self::Exact(resizer) => resizer.row(plane, t, components),
            Self::Levels(levels) => levels.row(plane, t, components),
        }
    }
}

/// One for each plane of the picture.
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

/// Fills what the picture does not cover.
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

/// Rounded, cut to 0..=255.
fn to_byte(number: f32) -> u8 {
    (number + 0.5) as u8
}

/// What cannot be made into an input.
#[derive(Debug, Clone, PartialEq)]
pub enum PreprocessError {
    /// A side of the picture or of the input is 0.
    Empty { picture: Size, input: Size },
    /// An input of this element.
    Element(Element),
    /// A mean or std that is not finite, or a std of 0.
    Normalisation { mean: [f32; 3], std: [f32; 3] },
    /// A picture of another kind than the one prepared for.
    Picture {
        found: PictureInfo,
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
