//! [`Weights`]: from red, green and blue to one component, Y, U or V.

use super::canvas::Rgba;
use crate::base::image::{PictureInfo, YuvMatrix, YuvRange};

/// Fractional bits of [`Weights`].
pub(super) const BITS: u32 = 12;

/// Weights from red, green and blue to one component, in units of `1 / 2^BITS`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights {
    rgb: [i32; 3],
    bias: i32,
}

impl Weights {
    /// Returns the weights of Y (0), U (1) or V (2): `Y = Kr R + Kg G + Kb B`, `U = (B - Y) / 2(1 - Kb)`, `V = (R - Y)
    /// / 2(1 - Kr)`.
    pub(super) fn for_component(info: &PictureInfo, index: usize) -> Self {
        let (kr, kb) = match info.matrix {
            YuvMatrix::Bt601 => (0.299, 0.114),
            YuvMatrix::Bt709 => (0.2126, 0.0722),
            YuvMatrix::Bt2020 => (0.2627, 0.0593),
        };
        let (black, luma, chroma) = match info.range {
            YuvRange::Full => (0.0, 1.0, 1.0),
            YuvRange::Limited => (16.0, 219.0 / 255.0, 224.0 / 255.0),
        };
        let y = [kr, 1.0 - kr - kb, kb];
        let (rgb, scale, bias) = match index {
            0 => (y, luma, black),
            1 => (
                [-y[0], -y[1], 1.0 - y[2]],
                chroma / (2.0 * (1.0 - kb)),
                128.0,
            ),
            _ => (
                [1.0 - y[0], -y[1], -y[2]],
                chroma / (2.0 * (1.0 - kr)),
                128.0,
            ),
        };
        let fixed = |v: f64| (v * f64::from(1 << BITS)).round() as i32;
        Self {
            rgb: rgb.map(|k| fixed(k * scale)),
            bias: fixed(bias),
        }
    }

    /// Converts one colour.
    pub(super) fn apply(&self, [r, g, b, _]: Rgba) -> u8 {
        let sum = self.sum([r, g, b].map(i32::from), 1) + (1 << (BITS - 1));
        (sum >> BITS).clamp(0, 255) as u8
    }

    /// Returns the sum of at most four colours times their alpha, and the sum of their alpha.
    #[inline(always)] // for the lengths to be known
    pub(super) fn apply_all(&self, above: &[Rgba], below: &[Rgba]) -> (u32, u32) {
        let (mut rgb, mut alpha) = ([0; 3], 0);
        let mut add = |&[r, g, b, a]: &Rgba| {
            let weight = i32::from(a);
            rgb[0] += weight * i32::from(r);
            rgb[1] += weight * i32::from(g);
            rgb[2] += weight * i32::from(b);
            alpha += weight;
        };
        // Not chained, because the compiler would not unroll that.
        above.iter().for_each(&mut add);
        below.iter().for_each(&mut add);
        let sum = (self.sum(rgb, alpha) >> BITS).clamp(0, 255 * alpha);
        (sum as u32, alpha as u32)
    }

    /// Stays below 2^31 for four opaque pixels: 4 * 255 * 255 * 4096 is half of that.
    #[inline]
    fn sum(&self, rgb: [i32; 3], alpha: i32) -> i32 {
        self.rgb[0] * rgb[0] + self.rgb[1] * rgb[1] + self.rgb[2] * rgb[2] + self.bias * alpha
    }
}
