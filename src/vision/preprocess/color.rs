//! [`Colour`]: converts components of a picture to red, green and blue, 0 to 255.
//!
//! `Kr` and `Kb` come from the matrix, `Kg = 1 - Kr - Kb`. `Y`, `U`, `V` are first stretched to the full range
//! (limited: `Y = (y - 16) · 255 / 219`, `U = (u - 128) · 255 / 224`; full: `Y = y`, `U = u - 128`):
//!
//! ```text
//! R = Y + 2 (1 - Kr) V
//! G = Y - (2 Kr (1 - Kr) V + 2 Kb (1 - Kb) U) / Kg
//! B = Y + 2 (1 - Kb) U
//! ```
//!
//! Grey is luma in the range that the caps name. RGB is copied. Alpha is ignored.

use crate::base::image::{PictureInfo, PixelFormat, YuvMatrix, YuvRange};

/// Middle of the chroma range.
const CHROMA_ZERO: f32 = 128.0;
const MAX_LEVEL: f32 = 255.0;
/// Floats of this size are whole, so adding it to a level and subtracting it again rounds, in two additions that
/// vectorise on every processor.
const ROUNDING: f32 = (1 << 23) as f32;

/// How one kind of picture becomes RGB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Colour {
    Rgb,
    Grey(Linear),
    Yuv(YuvToRgb),
}

/// The function `value · scale + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Linear {
    pub scale: f32,
    pub offset: f32,
}

impl Linear {
    #[inline(always)]
    fn apply(self, value: f32) -> f32 {
        value * self.scale + self.offset
    }

    /// Returns the number for a pixel, which is first clamped to 0..=255 and rounded, as in a picture of bytes.
    #[inline(always)]
    pub fn of_level(self, level: f32) -> f32 {
        self.apply((level.clamp(0.0, MAX_LEVEL) + ROUNDING) - ROUNDING)
    }
}

/// Levels of luma, and the share of the chroma samples in each colour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct YuvToRgb {
    luma: Linear,
    red_v: f32,
    green_u: f32,
    green_v: f32,
    blue_u: f32,
}

impl YuvToRgb {
    fn new(matrix: YuvMatrix, range: YuvRange) -> Self {
        let (kr, kb) = match matrix {
            YuvMatrix::Bt601 => (0.299, 0.114),
            YuvMatrix::Bt709 => (0.2126, 0.0722),
            YuvMatrix::Bt2020 => (0.2627, 0.0593),
        };
        let kg: f64 = 1.0 - kr - kb;
        let chroma = match range {
            YuvRange::Full => 1.0,
            YuvRange::Limited => 255.0 / 224.0,
        };
        Self {
            luma: luma_levels(range),
            red_v: (chroma * 2.0 * (1.0 - kr)) as f32,
            green_u: (-chroma * 2.0 * kb * (1.0 - kb) / kg) as f32,
            green_v: (-chroma * 2.0 * kr * (1.0 - kr) / kg) as f32,
            blue_u: (chroma * 2.0 * (1.0 - kb)) as f32,
        }
    }

    #[inline(always)]
    fn rgb(&self, y: f32, u: f32, v: f32) -> [f32; 3] {
        let (y, u, v) = (self.luma.apply(y), u - CHROMA_ZERO, v - CHROMA_ZERO);
        [
            y + self.red_v * v,
            y + self.green_u * u + self.green_v * v,
            y + self.blue_u * u,
        ]
    }
}

fn luma_levels(range: YuvRange) -> Linear {
    match range {
        YuvRange::Full => Linear {
            scale: 1.0,
            offset: 0.0,
        },
        YuvRange::Limited => Linear {
            scale: 255.0 / 219.0,
            offset: -16.0 * 255.0 / 219.0,
        },
    }
}

impl Colour {
    pub fn new(info: &PictureInfo) -> Self {
        if info.format.is_yuv() {
            Self::Yuv(YuvToRgb::new(info.matrix, info.range))
        } else if info.format == PixelFormat::Gray8 {
            Self::Grey(luma_levels(info.range))
        } else {
            Self::Rgb
        }
    }

    /// Converts a row of components to red, green and blue: clamped to 0..=255, rounded, and mapped by `numbers`. All
    /// rows have the same length.
    #[inline(always)]
    pub fn convert(
        &self,
        components: &[Vec<f32>; 3],
        numbers: &[Linear; 3],
        rgb: &mut [Vec<f32>; 3],
    ) {
        match self {
            Self::Rgb => {
                for ((row, numbers), out) in components.iter().zip(numbers).zip(rgb) {
                    map(row, out, |value| numbers.of_level(value));
                }
            }
            Self::Grey(levels) => {
                for (numbers, out) in numbers.iter().zip(rgb) {
                    map(&components[0], out, |value| {
                        numbers.of_level(levels.apply(value))
                    });
                }
            }
            Self::Yuv(matrix) => convert_yuv(matrix, components, numbers, rgb),
        }
    }
}

#[inline(always)]
fn map(row: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32) {
    for (out, value) in out.iter_mut().zip(row) {
        *out = f(*value);
    }
}

#[inline(always)]
fn convert_yuv(
    matrix: &YuvToRgb,
    [y, u, v]: &[Vec<f32>; 3],
    numbers: &[Linear; 3],
    rgb: &mut [Vec<f32>; 3],
) {
    // Copies and slices of one length show the compiler that nothing overlaps or ends early.
    let (matrix, [red_of, green_of, blue_of]) = (*matrix, *numbers);
    let n = y.len();
    let [red, green, blue] = rgb;
    let (y, u, v) = (&y[..n], &u[..n], &v[..n]);
    let (red, green, blue) = (&mut red[..n], &mut green[..n], &mut blue[..n]);
    for x in 0..n {
        let [r, g, b] = matrix.rgb(y[x], u[x], v[x]);
        red[x] = red_of.of_level(r);
        green[x] = green_of.of_level(g);
        blue[x] = blue_of.of_level(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::geometry::Size;

    const AS_IT_IS: [Linear; 3] = [Linear {
        scale: 1.0,
        offset: 0.0,
    }; 3];

    fn rgb_of(matrix: YuvMatrix, range: YuvRange, yuv: [f32; 3]) -> [f32; 3] {
        let info = PictureInfo {
            matrix,
            range,
            ..PictureInfo::new(PixelFormat::I420, Size::new(2, 2))
        };
        let mut rgb = [vec![0.0], vec![0.0], vec![0.0]];
        Colour::new(&info).convert(&yuv.map(|value| vec![value]), &AS_IT_IS, &mut rgb);
        rgb.map(|row| row[0])
    }

    /// Compares within the precision of 8-bit codes.
    fn assert_close(found: [f32; 3], expected: [f32; 3]) {
        let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1.5);
        assert!(near, "{found:?}, expected {expected:?}");
    }

    #[test]
    fn the_primaries_come_back_from_the_codes_the_standards_give_them() {
        use YuvMatrix::*;
        use YuvRange::*;
        const RED: [f32; 3] = [255.0, 0.0, 0.0];
        const GREEN: [f32; 3] = [0.0, 255.0, 0.0];
        assert_close(rgb_of(Bt601, Limited, [81.0, 90.0, 240.0]), RED);
        assert_close(rgb_of(Bt709, Limited, [63.0, 102.0, 240.0]), RED);
        assert_close(rgb_of(Bt2020, Limited, [74.0, 97.0, 240.0]), RED);
        assert_close(rgb_of(Bt601, Full, [76.0, 85.0, 255.0]), RED);
        assert_close(rgb_of(Bt709, Full, [182.0, 30.0, 12.0]), GREEN);
        assert_close(rgb_of(Bt601, Limited, [145.0, 54.0, 34.0]), GREEN);
    }

    #[test]
    fn black_and_white_are_black_and_white_in_both_ranges() {
        for matrix in [YuvMatrix::Bt601, YuvMatrix::Bt709, YuvMatrix::Bt2020] {
            assert_close(
                rgb_of(matrix, YuvRange::Limited, [16.0, 128.0, 128.0]),
                [0.0; 3],
            );
            assert_close(
                rgb_of(matrix, YuvRange::Limited, [235.0, 128.0, 128.0]),
                [255.0; 3],
            );
            assert_close(
                rgb_of(matrix, YuvRange::Full, [255.0, 128.0, 128.0]),
                [255.0; 3],
            );
        }
    }

    #[test]
    fn levels_are_whole_before_they_become_numbers() {
        let halves = Linear {
            scale: 0.5,
            offset: -1.0,
        };
        for (level, whole) in [
            (0.4, 0.0),
            (0.6, 1.0),
            (254.4, 254.0),
            (-3.0, 0.0),
            (300.0, 255.0),
        ] {
            assert_eq!(halves.of_level(level), whole * 0.5 - 1.0, "{level}");
        }
    }

    #[test]
    fn colours_outside_the_cube_are_cut() {
        let [red, green, blue] = rgb_of(YuvMatrix::Bt601, YuvRange::Limited, [255.0; 3]);
        assert_eq!((red, blue), (255.0, 255.0));
        assert!(
            (125.0..=126.0).contains(&green),
            "{green} is inside and stays"
        );
        let black = rgb_of(YuvMatrix::Bt601, YuvRange::Limited, [0.0, 128.0, 128.0]);
        assert_eq!(black, [0.0; 3], "blacker than black");
    }
}
