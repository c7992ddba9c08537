//! Sizes and boxes.
//!
//! A [`BBox`] is in corner form. Its coordinate space, frame pixels or input pixels, is stated where a box is passed.
//! Coordinates are continuous: a pixel covers `[x, x + 1)`, and nothing adds one to a width.

/// Width and height in whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Size {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl Size {
    /// Creates a size.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Returns width times height.
    pub const fn area(self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// Axis-aligned box in corner form: left, top, right, bottom.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BBox {
    /// Left edge.
    pub x1: f32,
    /// Top edge.
    pub y1: f32,
    /// Right edge.
    pub x2: f32,
    /// Bottom edge.
    pub y2: f32,
}

impl BBox {
    /// Creates a box from its left, top, right and bottom edges.
    pub const fn new(x1: f32, y1: f32, x2: f32, y2: f32) -> Self {
        Self { x1, y1, x2, y2 }
    }

    /// Creates a box from its centre, width and height.
    pub fn from_centre(cx: f32, cy: f32, width: f32, height: f32) -> Self {
        Self::new(
            cx - width / 2.0,
            cy - height / 2.0,
            cx + width / 2.0,
            cy + height / 2.0,
        )
    }

    /// Returns the width; 0 if left and right are swapped.
    pub fn width(&self) -> f32 {
        (self.x2 - self.x1).max(0.0)
    }

    /// Returns the height; 0 if top and bottom are swapped.
    pub fn height(&self) -> f32 {
        (self.y2 - self.y1).max(0.0)
    }

    /// Returns the area; 0 for a box with swapped corners.
    pub fn area(&self) -> f32 {
        self.width() * self.height()
    }

    /// Returns the intersection over union, `intersection / (a + b - intersection)`; 0 if both boxes are empty.
    pub fn iou(&self, other: &Self) -> f32 {
        let width = self.x2.min(other.x2) - self.x1.max(other.x1);
        let height = self.y2.min(other.y2) - self.y1.max(other.y1);
        let intersection = width.max(0.0) * height.max(0.0);
        let union = self.area() + other.area() - intersection;
        if union > 0.0 {
            intersection / union
        } else {
            0.0
        }
    }

    /// Returns the part of the box inside a picture of `size`, whose top left corner is the origin.
    pub fn clip(&self, size: Size) -> Self {
        let (width, height) = (size.width as f32, size.height as f32);
        Self::new(
            self.x1.clamp(0.0, width),
            self.y1.clamp(0.0, height),
            self.x2.clamp(0.0, width),
            self.y2.clamp(0.0, height),
        )
    }

    /// Returns whether every coordinate is finite.
    pub fn is_finite(&self) -> bool {
        [self.x1, self.y1, self.x2, self.y2]
            .iter()
            .all(|v| v.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iou_is_intersection_over_union_without_plus_one() {
        let a = BBox::new(0.0, 0.0, 2.0, 2.0);
        assert_eq!(a.iou(&a), 1.0);
        assert_eq!(a.iou(&BBox::new(1.0, 0.0, 3.0, 2.0)), 2.0 / 6.0);
        assert_eq!(
            a.iou(&BBox::new(2.0, 0.0, 3.0, 2.0)),
            0.0,
            "touching is not overlapping"
        );
    }

    #[test]
    fn empty_boxes_overlap_nothing() {
        let empty = BBox::new(1.0, 1.0, 1.0, 1.0);
        assert_eq!(empty.iou(&empty), 0.0);
        assert_eq!(BBox::new(3.0, 3.0, 1.0, 1.0).area(), 0.0);
    }

    #[test]
    fn centre_form_becomes_corners() {
        assert_eq!(
            BBox::from_centre(10.0, 20.0, 4.0, 8.0),
            BBox::new(8.0, 16.0, 12.0, 24.0)
        );
    }

    #[test]
    fn clip_keeps_the_inside() {
        let clipped = BBox::new(-5.0, 10.0, 700.0, 500.0).clip(Size::new(640, 480));
        assert_eq!(clipped, BBox::new(0.0, 10.0, 640.0, 480.0));
    }
}
