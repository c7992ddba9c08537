//! Compares every path with a twin that converts each pixel and resamples in doubles, as plainly as possible.

use super::*;
use crate::base::image::{PixelFormat, Plane, YuvMatrix, YuvRange};
use crate::base::tensor::ResizeMode;

/// Levels. Lines of 16 bits lose up to 0.008 of a sample, which the matrix doubles.
const TOLERANCE: f64 = 0.03;

/// A picture that owns its memory, with foreign bytes after its rows.
struct Picture {
    info: PictureInfo,
    planes: Vec<(Vec<u8>, usize)>,
}

impl Picture {
    /// Returns noise, different for each seed.
    fn noise(info: PictureInfo, row_padding: usize, seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut byte = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        };
        let planes = info
            .format
            .planes(info.size)
            .into_iter()
            .map(|(row, rows)| {
                let stride = row + row_padding;
                ((0..stride * rows).map(|_| byte()).collect(), stride)
            });
        Self {
            info,
            planes: planes.collect(),
        }
    }

    fn view(&self) -> ImageView<'_> {
        let planes: Vec<_> = self
            .planes
            .iter()
            .map(|(data, stride)| Plane {
                data,
                stride: *stride,
            })
            .collect();
        ImageView::new(self.info, &planes).expect("the planes are those of the format")
    }

    /// Returns the pixel as the caps mean it, not clamped to 0..=255. Beyond the border it is the border's.
    fn rgb(&self, x: i64, y: i64) -> [f64; 3] {
        use PixelFormat::*;
        let Size { width, height } = self.info.size;
        let (x, y) = (
            x.clamp(0, i64::from(width) - 1) as usize,
            y.clamp(0, i64::from(height) - 1) as usize,
        );
        let at = |plane: usize, row: usize, byte: usize| {
            let (data, stride) = &self.planes[plane];
            f64::from(data[row * stride + byte])
        };
        let (hx, hy) = (x / 2, y / 2);
        let packed = |r: usize, g: usize, b: usize, n: usize| {
            [
                at(0, y, x * n + r),
                at(0, y, x * n + g),
                at(0, y, x * n + b),
            ]
        };
        let yuv = |luma: f64, u: f64, v: f64| self.yuv_to_rgb(luma, u, v);
        match self.info.format {
            I420 => yuv(at(0, y, x), at(1, hy, hx), at(2, hy, hx)),
            Yv12 => yuv(at(0, y, x), at(2, hy, hx), at(1, hy, hx)),
            Nv12 => yuv(at(0, y, x), at(1, hy, 2 * hx), at(1, hy, 2 * hx + 1)),
            Nv21 => yuv(at(0, y, x), at(1, hy, 2 * hx + 1), at(1, hy, 2 * hx)),
            Y42b => yuv(at(0, y, x), at(1, y, hx), at(2, y, hx)),
            Nv16 => yuv(at(0, y, x), at(1, y, 2 * hx), at(1, y, 2 * hx + 1)),
            Y444 => yuv(at(0, y, x), at(1, y, x), at(2, y, x)),
            Yuy2 => yuv(at(0, y, 2 * x), at(0, y, 4 * hx + 1), at(0, y, 4 * hx + 3)),
            Yvyu => yuv(at(0, y, 2 * x), at(0, y, 4 * hx + 3), at(0, y, 4 * hx + 1)),
            Uyvy => yuv(at(0, y, 2 * x + 1), at(0, y, 4 * hx), at(0, y, 4 * hx + 2)),
            Gray8 => yuv(at(0, y, x), 128.0, 128.0),
            Rgb => packed(0, 1, 2, 3),
            Bgr => packed(2, 1, 0, 3),
            Rgbx | Rgba => packed(0, 1, 2, 4),
            Bgrx | Bgra => packed(2, 1, 0, 4),
            Xrgb | Argb => packed(1, 2, 3, 4),
            Xbgr | Abgr => packed(3, 2, 1, 4),
        }
    }

    fn yuv_to_rgb(&self, y: f64, u: f64, v: f64) -> [f64; 3] {
        let (y, u, v) = match self.info.range {
            YuvRange::Full => (y, u - 128.0, v - 128.0),
            YuvRange::Limited => (
                (y - 16.0) * 255.0 / 219.0,
                (u - 128.0) * 255.0 / 224.0,
                (v - 128.0) * 255.0 / 224.0,
            ),
        };
        // Coefficients as printed in the standards.
        let [rv, gu, gv, bu] = match self.info.matrix {
            YuvMatrix::Bt601 => [1.402, 0.344136, 0.714136, 1.772],
            YuvMatrix::Bt709 => [1.5748, 0.187324, 0.468124, 1.8556],
            YuvMatrix::Bt2020 => [1.4746, 0.164553, 0.571353, 1.8814],
        };
        [y + rv * v, y - gu * u - gv * v, y + bu * u]
    }
}

/// Returns the share of each source index in target pixel `t`, written from the definitions.
fn shares(source: u32, target: u32, t: u32, interpolation: Interpolation) -> Vec<(i64, f64)> {
    let ratio = f64::from(source) / f64::from(target);
    let s = (f64::from(t) + 0.5) * ratio - 0.5;
    let base = s.floor() as i64;
    let around = |from: i64, to: i64, kernel: &dyn Fn(f64) -> f64| {
        (base + from..=base + to)
            .map(|i| (i, kernel((i as f64 - s).abs())))
            .collect()
    };
    match interpolation {
        Interpolation::Linear => around(0, 1, &|d| 1.0 - d),
        Interpolation::Cubic => around(-1, 2, &|d| {
            let a = -0.75;
            if d <= 1.0 {
                (a + 2.0) * d.powi(3) - (a + 3.0) * d.powi(2) + 1.0
            } else {
                a * d.powi(3) - 5.0 * a * d.powi(2) + 8.0 * a * d - 4.0 * a
            }
        }),
        Interpolation::Area => (0..i64::from(source))
            .map(|i| {
                let (from, to) = (f64::from(t) * ratio, f64::from(t + 1) * ratio);
                (
                    i,
                    ((i as f64 + 1.0).min(to) - (i as f64).max(from)).max(0.0) / ratio,
                )
            })
            .collect(),
    }
}

/// Returns the level of colour `c` (red, green, blue) in column `x`, row `y` of the resized picture.
fn twin(
    picture: &Picture,
    target: Size,
    (x, y): (u32, u32),
    interpolation: Interpolation,
) -> [f64; 3] {
    let size = picture.info.size;
    let mut sum = [0.0; 3];
    for (sy, wy) in shares(size.height, target.height, y, interpolation) {
        for (sx, wx) in shares(size.width, target.width, x, interpolation) {
            if wx * wy != 0.0 {
                let rgb = picture.rgb(sx, sy);
                (0..3).for_each(|c| sum[c] += rgb[c] * wx * wy);
            }
        }
    }
    sum.map(|level| level.clamp(0.0, 255.0))
}

fn input(width: u32, height: u32, resize: ResizeMode) -> InputSpec {
    InputSpec {
        name: "images".into(),
        size: Size::new(width, height),
        layout: Layout::Nchw,
        element: Element::F32,
        colour: ColourOrder::Rgb,
        mean: [0.0; 3],
        std: [1.0; 3],
        resize,
        pad_value: 114.0,
        interpolation: Interpolation::Linear,
    }
}

fn run(picture: &Picture, spec: &InputSpec) -> Tensor {
    let mut preprocessor =
        Preprocessor::new(picture.info, spec).expect("the spec is one we can serve");
    let tensor = preprocessor.run(&picture.view());
    let tensor = tensor.expect("the picture is the one announced");
    assert_eq!(
        (tensor.name.as_str(), tensor.dims.as_slice()),
        ("images", &spec.dims()[..])
    );
    tensor.clone()
}

/// Compares the picture as the f32 NCHW tensor that `spec` asks for, number by number, in levels rounded to whole ones.
fn assert_like_twin(picture: &Picture, spec: &InputSpec, tolerance: f64) {
    let tensor = run(picture, spec);
    let numbers = tensor.as_f32().expect("an f32 tensor was asked for");
    let lb = Letterbox::new(
        picture.info.size,
        picture.info.pixel_aspect,
        spec.size,
        spec.resize,
    );
    let (width, height) = (spec.size.width, spec.size.height);
    let of_bytes = !picture.info.format.is_yuv() && picture.info.format != PixelFormat::Gray8;
    let tolerance = match spec.interpolation {
        // Here shares have 11 bits, and up to two quarters of a level are dropped before rounding.
        Interpolation::Linear if of_bytes => tolerance + 0.4,
        _ => tolerance,
    };
    for y in 0..height {
        for x in 0..width {
            let (inside_x, inside_y) = (x.wrapping_sub(lb.pad_x), y.wrapping_sub(lb.pad_y));
            let expected = if inside_x < lb.picture.width && inside_y < lb.picture.height {
                twin(
                    picture,
                    lb.picture,
                    (inside_x, inside_y),
                    spec.interpolation,
                )
            } else {
                [f64::from(spec.pad_value); 3]
            };
            for (c, expected) in expected.into_iter().enumerate() {
                let found = f64::from(
                    numbers[(c * height as usize + y as usize) * width as usize + x as usize],
                );
                assert!(
                    found.fract() == 0.0 && (found - expected).abs() <= 0.5 + tolerance,
                    "{:?} {} -> {}, channel {c} at ({x}, {y}): {found}, expected {expected}",
                    picture.info,
                    picture.info.size,
                    spec.size
                );
            }
        }
    }
}

fn info(format: PixelFormat, width: u32, height: u32) -> PictureInfo {
    PictureInfo::new(format, Size::new(width, height))
}

#[test]
fn every_format_of_any_size_and_stride_agrees_with_the_twin() {
    for (seed, format) in PixelFormat::ALL.into_iter().enumerate() {
        for (size, padding) in [
            ((64, 36), 0),
            ((37, 21), 5),
            ((22, 51), 1),
            ((3, 2), 9),
            ((2, 3), 0),
        ] {
            let picture = Picture::noise(info(format, size.0, size.1), padding, seed as u64);
            assert_like_twin(
                &picture,
                &input(16, 20, ResizeMode::LetterboxCentre),
                TOLERANCE,
            );
            assert_like_twin(&picture, &input(23, 11, ResizeMode::Stretch), TOLERANCE);
        }
    }
}

#[test]
fn cubic_and_area_agree_with_the_twin() {
    for (seed, format) in PixelFormat::ALL.into_iter().enumerate() {
        for interpolation in [Interpolation::Cubic, Interpolation::Area] {
            let spec = InputSpec {
                interpolation,
                ..input(13, 9, ResizeMode::Stretch)
            };
            for size in [(39, 27), (41, 23), (14, 9)] {
                let picture = Picture::noise(info(format, size.0, size.1), 3, seed as u64);
                assert_like_twin(&picture, &spec, 0.01);
            }
        }
    }
    let enlarged = Picture::noise(info(PixelFormat::I420, 5, 30), 0, 3);
    let spec = InputSpec {
        interpolation: Interpolation::Cubic,
        ..input(13, 9, ResizeMode::Stretch)
    };
    assert_like_twin(&enlarged, &spec, 0.01);
}

#[test]
fn area_is_linear_where_an_axis_grows() {
    let picture = Picture::noise(info(PixelFormat::Nv12, 10, 40), 0, 1);
    let linear = input(20, 20, ResizeMode::Stretch);
    let area = InputSpec {
        interpolation: Interpolation::Area,
        ..linear.clone()
    };
    assert_eq!(run(&picture, &area), run(&picture, &linear));
}

#[test]
fn every_matrix_and_range_agrees_with_the_twin() {
    for matrix in [YuvMatrix::Bt601, YuvMatrix::Bt709, YuvMatrix::Bt2020] {
        for range in [YuvRange::Full, YuvRange::Limited] {
            let info = PictureInfo {
                matrix,
                range,
                ..info(PixelFormat::I420, 33, 18)
            };
            assert_like_twin(
                &Picture::noise(info, 0, 7),
                &input(16, 16, ResizeMode::LetterboxTopLeft),
                TOLERANCE,
            );
        }
    }
}

#[test]
fn wide_pixels_are_shown_wide() {
    let info = PictureInfo {
        pixel_aspect: (2, 1),
        ..info(PixelFormat::I420, 18, 24)
    };
    let picture = Picture::noise(info, 0, 5);
    let spec = input(15, 15, ResizeMode::LetterboxCentre);
    let preprocessor = Preprocessor::new(info, &spec).unwrap();
    assert_eq!(preprocessor.letterbox().picture, Size::new(15, 10));
    assert_like_twin(&picture, &spec, TOLERANCE);
}

#[test]
fn a_single_pixel_fills_its_place() {
    for format in PixelFormat::ALL {
        let picture = Picture::noise(info(format, 1, 1), 3, 11);
        for interpolation in [
            Interpolation::Linear,
            Interpolation::Cubic,
            Interpolation::Area,
        ] {
            let spec = InputSpec {
                interpolation,
                ..input(4, 6, ResizeMode::LetterboxCentre)
            };
            assert_like_twin(&picture, &spec, TOLERANCE);
        }
    }
}

#[test]
fn four_k_shrinks_to_an_icon() {
    let picture = Picture::noise(info(PixelFormat::Nv12, 3840, 2160), 64, 2);
    assert_like_twin(
        &picture,
        &input(64, 64, ResizeMode::LetterboxCentre),
        TOLERANCE,
    );
}

#[test]
fn mean_and_std_follow_the_channels_of_the_tensor_and_hold_for_padding() {
    let picture = Picture::noise(info(PixelFormat::Rgb, 12, 6), 0, 13);
    let plain = input(12, 12, ResizeMode::LetterboxCentre);
    let levels = run(&picture, &plain);
    let (mean, std) = ([10.0, 20.0, 30.0], [2.0, 4.0, 8.0]);
    for colour in [ColourOrder::Rgb, ColourOrder::Bgr] {
        let numbers = run(
            &picture,
            &InputSpec {
                mean,
                std,
                colour,
                ..plain.clone()
            },
        );
        let pairs = levels
            .as_f32()
            .unwrap()
            .chunks(144)
            .zip(numbers.as_f32().unwrap().chunks(144));
        assert_eq!(
            numbers.as_f32().unwrap()[0],
            (114.0 - 10.0) / 2.0,
            "a padding pixel"
        );
        for (colour_of_levels, (levels, _)) in pairs.enumerate() {
            let channel = if colour == ColourOrder::Rgb {
                colour_of_levels
            } else {
                2 - colour_of_levels
            };
            let found = &numbers.as_f32().unwrap()[channel * 144..][..144];
            for (level, found) in levels.iter().zip(found) {
                let expected = (level - mean[channel]) / std[channel];
                assert!(
                    (found - expected).abs() < 1e-3,
                    "{colour:?} channel {channel}: {found}, expected {expected}"
                );
            }
        }
    }
}

#[test]
fn channels_last_are_the_same_numbers_in_another_order() {
    let picture = Picture::noise(info(PixelFormat::Yuy2, 31, 17), 2, 17);
    for colour in [ColourOrder::Rgb, ColourOrder::Bgr] {
        let first = InputSpec {
            colour,
            mean: [1.0, 2.0, 3.0],
            std: [3.0, 2.0, 1.0],
            ..input(12, 14, ResizeMode::LetterboxCentre)
        };
        let last = InputSpec {
            layout: Layout::Nhwc,
            ..first.clone()
        };
        let (first, last) = (run(&picture, &first), run(&picture, &last));
        let (first, last) = (first.as_f32().unwrap(), last.as_f32().unwrap());
        for (pixel, numbers) in last.chunks(3).enumerate() {
            assert_eq!(
                numbers,
                [first[pixel], first[168 + pixel], first[336 + pixel]],
                "pixel {pixel}"
            );
        }
    }
}

#[test]
fn bytes_are_the_levels_rounded() {
    let picture = Picture::noise(info(PixelFormat::I420, 31, 17), 0, 19);
    for layout in [Layout::Nchw, Layout::Nhwc] {
        let floats = InputSpec {
            layout,
            ..input(20, 20, ResizeMode::LetterboxCentre)
        };
        let bytes = InputSpec {
            element: Element::U8,
            ..floats.clone()
        };
        let (floats, bytes) = (run(&picture, &floats), run(&picture, &bytes));
        let TensorData::U8(bytes) = bytes.data else {
            panic!("{:?}", bytes.data.element())
        };
        for (float, byte) in floats.as_f32().unwrap().iter().zip(&bytes) {
            assert_eq!((float + 0.5).floor(), f32::from(*byte), "{float}");
        }
        assert!(bytes.iter().any(|byte| *byte != bytes[0]));
    }
}

#[test]
fn the_memory_is_used_again_and_nothing_of_the_last_frame_is_left() {
    let kind = info(PixelFormat::Nv12, 20, 26);
    let (first, second) = (Picture::noise(kind, 0, 1), Picture::noise(kind, 7, 2));
    let spec = input(32, 32, ResizeMode::LetterboxCentre);
    let fresh = run(&second, &spec);
    let mut preprocessor = Preprocessor::new(kind, &spec).unwrap();
    let tensor = preprocessor.run(&first.view()).unwrap();
    let memory = tensor.as_f32().unwrap().as_ptr();
    assert_ne!(*tensor, fresh);
    let tensor = preprocessor.run(&second.view()).unwrap();
    assert_eq!(tensor.as_f32().unwrap().as_ptr(), memory);
    assert_eq!(*tensor, fresh);
}

#[test]
fn what_cannot_be_served_is_refused_with_both_sides_named() {
    let kind = info(PixelFormat::Rgb, 8, 8);
    let spec = input(8, 8, ResizeMode::Stretch);
    let refused =
        |picture, spec: &InputSpec| Preprocessor::new(picture, spec).unwrap_err().to_string();
    assert!(refused(info(PixelFormat::Rgb, 0, 8), &spec).contains("0x8"));
    assert!(refused(kind, &input(8, 0, ResizeMode::Stretch)).contains("8x0"));
    assert!(
        refused(
            kind,
            &InputSpec {
                element: Element::I64,
                ..spec.clone()
            }
        )
        .contains("int64")
    );
    assert!(
        refused(
            kind,
            &InputSpec {
                std: [1.0, 0.0, 1.0],
                ..spec.clone()
            }
        )
        .contains("0.0")
    );
    assert!(
        refused(
            kind,
            &InputSpec {
                mean: [f32::NAN; 3],
                ..spec.clone()
            }
        )
        .contains("NaN")
    );

    let mut preprocessor = Preprocessor::new(kind, &spec).unwrap();
    let before = preprocessor.tensor().clone();
    let other = Picture::noise(info(PixelFormat::Bgr, 8, 8), 0, 1);
    let error = preprocessor.run(&other.view()).unwrap_err();
    assert_eq!(
        error,
        PreprocessError::Picture {
            found: other.info,
            expected: kind
        }
    );
    assert_eq!(*preprocessor.tensor(), before);
}
