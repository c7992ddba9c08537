//! [`Letterbox`]: where a picture lies in the input of a model, and the exact inverse.
//!
//! ```text
//! input = source · scale + pad        source = (input - pad) / scale        each axis on its own
//! ```
//!
//! Letterboxing fits the displayed picture (its width times the pixel aspect) with `r = min(W / w, H / h)` and rounds
//! both sides to whole pixels, halves to even. The scale is what the rounding made of it: `picture / source`. Padding
//! is whole pixels too, so an odd pixel goes to the right or bottom. Both sides of the mapping are continuous
//! coordinates; those of the source are the frame's own pixels, square or not.

use crate::base::geometry::{BBox, Size};
use crate::base::tensor::ResizeMode;

/// Scale and padding of one picture size in one input size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Letterbox {
    /// Input pixels per source pixel along x.
    pub scale_x: f64,
    /// Input pixels per source pixel along y.
    pub scale_y: f64,
    /// Padding on the left, in input pixels.
    pub pad_x: u32,
    /// Padding at the top, in input pixels.
    pub pad_y: u32,
    /// Part of the input that the picture covers, at least 1x1.
    pub picture: Size,
}

impl Letterbox {
    /// Fits `source` into `input`. Sides of 0 count as 1, and a pixel aspect with a 0 as square, so nothing is divided
    /// by zero.
    pub fn new(source: Size, pixel_aspect: (u32, u32), input: Size, mode: ResizeMode) -> Self {
        let (width, height) = (source.width.max(1), source.height.max(1));
        let input = Size::new(input.width.max(1), input.height.max(1));
        let picture = match mode {
            ResizeMode::Stretch => input,
            ResizeMode::LetterboxCentre | ResizeMode::LetterboxTopLeft => {
                fit(f64::from(width) * aspect(pixel_aspect), height, input)
            }
        };
        let (pad_x, pad_y) = match mode {
            ResizeMode::LetterboxCentre => (
                (input.width - picture.width) / 2,
                (input.height - picture.height) / 2,
            ),
            ResizeMode::Stretch | ResizeMode::LetterboxTopLeft => (0, 0),
        };
        Self {
            scale_x: f64::from(picture.width) / f64::from(width),
            scale_y: f64::from(picture.height) / f64::from(height),
            pad_x,
            pad_y,
            picture,
        }
    }

    /// Maps a point from source pixels to input pixels.
    pub fn to_input(&self, (x, y): (f32, f32)) -> (f32, f32) {
        (
            (f64::from(x) * self.scale_x + f64::from(self.pad_x)) as f32,
            (f64::from(y) * self.scale_y + f64::from(self.pad_y)) as f32,
        )
    }

    /// Maps a point from input pixels to source pixels. Points in the padding land outside the source.
    pub fn to_source(&self, (x, y): (f32, f32)) -> (f32, f32) {
        (
            ((f64::from(x) - f64::from(self.pad_x)) / self.scale_x) as f32,
            ((f64::from(y) - f64::from(self.pad_y)) / self.scale_y) as f32,
        )
    }

    /// Maps both corners of a box with [`Self::to_input`].
    pub fn box_to_input(&self, bbox: &BBox) -> BBox {
        let ((x1, y1), (x2, y2)) = (
            self.to_input((bbox.x1, bbox.y1)),
            self.to_input((bbox.x2, bbox.y2)),
        );
        BBox::new(x1, y1, x2, y2)
    }

    /// Maps both corners of a box with [`Self::to_source`]. Does not clip, because clipping comes after mapping.
    pub fn box_to_source(&self, bbox: &BBox) -> BBox {
        let ((x1, y1), (x2, y2)) = (
            self.to_source((bbox.x1, bbox.y1)),
            self.to_source((bbox.x2, bbox.y2)),
        );
        BBox::new(x1, y1, x2, y2)
    }
}

/// Returns the displayed width of a pixel in units of its height.
fn aspect((numerator, denominator): (u32, u32)) -> f64 {
    if numerator == 0 || denominator == 0 {
        1.0
    } else {
        f64::from(numerator) / f64::from(denominator)
    }
}

/// Returns the largest size of the shape `width` x `height` inside `input`, in whole pixels.
fn fit(width: f64, height: u32, input: Size) -> Size {
    let height = f64::from(height);
    let ratio = (f64::from(input.width) / width).min(f64::from(input.height) / height);
    let side = |length: f64, limit: u32| {
        ((length * ratio).round_ties_even()).clamp(1.0, f64::from(limit)) as u32
    };
    Size::new(side(width, input.width), side(height, input.height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ResizeMode::{LetterboxCentre, LetterboxTopLeft, Stretch};

    const SQUARE: (u32, u32) = (1, 1);

    fn letterbox(source: (u32, u32), input: (u32, u32), mode: ResizeMode) -> Letterbox {
        let (source, input) = (Size::new(source.0, source.1), Size::new(input.0, input.1));
        Letterbox::new(source, SQUARE, input, mode)
    }

    fn assert_close(a: (f32, f32), b: (f32, f32)) {
        assert!(
            (a.0 - b.0).abs() < 1e-3 && (a.1 - b.1).abs() < 1e-3,
            "{a:?} is not {b:?}"
        );
    }

    #[test]
    fn a_wide_picture_is_padded_above_and_below() {
        let lb = letterbox((1280, 720), (640, 640), LetterboxCentre);
        assert_eq!(
            (lb.scale_x, lb.scale_y, lb.pad_x, lb.pad_y),
            (0.5, 0.5, 0, 140)
        );
        let lb = letterbox((1280, 720), (640, 640), LetterboxTopLeft);
        assert_eq!(
            (lb.pad_x, lb.pad_y, lb.picture),
            (0, 0, Size::new(640, 360))
        );
        let lb = letterbox((720, 1280), (640, 640), LetterboxCentre);
        assert_eq!((lb.pad_x, lb.pad_y), (140, 0));
    }

    #[test]
    fn each_axis_is_scaled_by_what_rounding_made_of_it() {
        let lb = letterbox((1000, 333), (416, 416), LetterboxCentre);
        assert_eq!(lb.picture, Size::new(416, 139), "138.528 rounds up");
        assert_eq!((lb.scale_x, lb.scale_y), (0.416, 139.0 / 333.0));
        assert_eq!(lb.pad_y, 138, "the odd row goes below");
    }

    #[test]
    fn halves_round_to_even() {
        assert_eq!(
            letterbox((4, 5), (2, 8), LetterboxCentre).picture.height,
            2,
            "2.5"
        );
        assert_eq!(
            letterbox((4, 7), (2, 8), LetterboxCentre).picture.height,
            4,
            "3.5"
        );
    }

    #[test]
    fn stretch_fills_the_input() {
        let lb = letterbox((1920, 1080), (300, 200), Stretch);
        assert_eq!(
            (lb.picture, lb.pad_x, lb.pad_y),
            (Size::new(300, 200), 0, 0)
        );
        assert_close(lb.to_source((300.0, 200.0)), (1920.0, 1080.0));
    }

    #[test]
    fn there_and_back_is_where_it_was() {
        for mode in [Stretch, LetterboxCentre, LetterboxTopLeft] {
            for (source, input) in [
                ((1280, 720), (640, 640)),
                ((333, 1001), (416, 320)),
                ((5, 3), (64, 640)),
            ] {
                let lb = letterbox(source, input, mode);
                for p in [
                    (0.0, 0.0),
                    (source.0 as f32, source.1 as f32),
                    (300.5, 77.25),
                    (-3.0, 2.0),
                ] {
                    assert_close(lb.to_source(lb.to_input(p)), p);
                }
                let bbox = BBox::new(1.5, 2.25, 4.75, 2.875);
                let back = lb.box_to_source(&lb.box_to_input(&bbox));
                assert_close((back.x1, back.y1), (bbox.x1, bbox.y1));
                assert_close((back.x2, back.y2), (bbox.x2, bbox.y2));
            }
        }
    }

    #[test]
    fn wide_pixels_are_fitted_as_they_are_shown_and_mapped_back_to_the_frame() {
        let lb = Letterbox::new(
            Size::new(360, 480),
            (2, 1),
            Size::new(300, 300),
            LetterboxCentre,
        );
        assert_eq!((lb.picture, lb.pad_y), (Size::new(300, 200), 50));
        assert_close(lb.to_source((300.0, 250.0)), (360.0, 480.0));
        assert_close(lb.to_input((180.0, 240.0)), (150.0, 150.0));
    }

    #[test]
    fn absurd_sizes_keep_at_least_one_pixel() {
        let sizes = [(0, 0), (1, 1), (1, 100_000), (100_000, 1), (0, 7)];
        for source in sizes {
            for input in [(0, 0), (1, 1), (64, 64), (640, 1)] {
                for mode in [Stretch, LetterboxCentre, LetterboxTopLeft] {
                    for aspect in [(0, 1), (1, 0), (1, u32::MAX), (u32::MAX, 1)] {
                        let (from, to) =
                            (Size::new(source.0, source.1), Size::new(input.0, input.1));
                        let lb = Letterbox::new(from, aspect, to, mode);
                        assert!(
                            lb.picture.area() > 0,
                            "{source:?} in {input:?}, {mode:?}: {lb:?}"
                        );
                        assert!(lb.picture.width + lb.pad_x <= input.0.max(1));
                        assert!(lb.picture.height + lb.pad_y <= input.1.max(1));
                        let (x, y) = lb.to_source((1.0, 1.0));
                        assert!(x.is_finite() && y.is_finite(), "{lb:?}");
                    }
                }
            }
        }
    }
}
