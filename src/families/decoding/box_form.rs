//! [`BoxForm`]: meaning of the four numbers of a box.

use crate::base::geometry::{BBox, Size};
use std::fmt;

/// The four numbers of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BoxFormat {
    /// Centre x, centre y, width, height.
    #[default]
    Centre,
    /// Left, top, right, bottom.
    Corners,
}

/// The unit of the numbers of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BoxScale {
    /// Pixels of the input.
    #[default]
    Pixels,
    /// Shares of the input, 0 to 1.
    Shares,
}

/// Meaning of the four numbers of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BoxForm {
    /// The four numbers.
    pub format: BoxFormat,
    /// Their unit.
    pub scale: BoxScale,
}

impl BoxForm {
    /// Returns the box in pixels of an input of this size.
    pub(crate) fn bbox(self, numbers: [f32; 4], input: Size) -> BBox {
        let [a, b, c, d] = self.in_pixels(numbers, input);
        match self.format {
            BoxFormat::Centre => BBox::from_centre(a, b, c, d),
            BoxFormat::Corners => BBox::new(a, b, c, d),
        }
    }

    /// Returns the upright box around one that is turned by `angle`, in radians, about its centre.
    pub(crate) fn around(self, numbers: [f32; 4], angle: f32, input: Size) -> BBox {
        let upright = self.bbox(numbers, input);
        let (width, height) = (upright.width(), upright.height());
        let (sine, cosine) = (angle.sin().abs(), angle.cos().abs());
        BBox::from_centre(
            (upright.x1 + upright.x2) / 2.0,
            (upright.y1 + upright.y2) / 2.0,
            width * cosine + height * sine,
            width * sine + height * cosine,
        )
    }

    fn in_pixels(self, [a, b, c, d]: [f32; 4], input: Size) -> [f32; 4] {
        match self.scale {
            BoxScale::Pixels => [a, b, c, d],
            BoxScale::Shares => {
                let (width, height) = (input.width as f32, input.height as f32);
                [a * width, b * height, c * width, d * height]
            }
        }
    }
}

impl fmt::Display for BoxForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.format {
            BoxFormat::Centre => "centre and size",
            BoxFormat::Corners => "corners",
        };
        let scale = match self.scale {
            BoxScale::Pixels => "in input pixels",
            BoxScale::Shares => "as shares of the input",
        };
        write!(f, "{format} {scale}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: Size = Size::new(100, 200);

    fn form(format: BoxFormat, scale: BoxScale) -> BoxForm {
        BoxForm { format, scale }
    }

    #[test]
    fn every_form_makes_the_same_box() {
        let wanted = BBox::new(40.0, 60.0, 60.0, 100.0);
        for (format, scale, numbers) in [
            (
                BoxFormat::Centre,
                BoxScale::Pixels,
                [50.0, 80.0, 20.0, 40.0],
            ),
            (
                BoxFormat::Corners,
                BoxScale::Pixels,
                [40.0, 60.0, 60.0, 100.0],
            ),
            (BoxFormat::Centre, BoxScale::Shares, [0.5, 0.4, 0.2, 0.2]),
            (BoxFormat::Corners, BoxScale::Shares, [0.4, 0.3, 0.6, 0.5]),
        ] {
            let found = form(format, scale).bbox(numbers, INPUT);
            for (found, wanted) in [
                (found.x1, wanted.x1),
                (found.y1, wanted.y1),
                (found.x2, wanted.x2),
                (found.y2, wanted.y2),
            ] {
                assert!((found - wanted).abs() < 1e-4, "{format:?} {scale:?}");
            }
        }
    }

    #[test]
    fn a_turned_box_is_enclosed() {
        let turned = |angle| BoxForm::default().around([50.0, 50.0, 20.0, 10.0], angle, INPUT);
        assert_eq!(turned(0.0), BBox::new(40.0, 45.0, 60.0, 55.0));
        let quarter = turned(std::f32::consts::FRAC_PI_2);
        assert!((quarter.x1 - 45.0).abs() < 1e-4 && (quarter.y2 - 60.0).abs() < 1e-4);
        // At 45 degrees both sides are (20 + 10) / sqrt 2.
        let eighth = turned(-std::f32::consts::FRAC_PI_4);
        let side = eighth.x2 - eighth.x1;
        assert!((side - 21.2132).abs() < 1e-3, "{side}");
        assert!((eighth.y2 - eighth.y1 - side).abs() < 1e-4);
    }
}
