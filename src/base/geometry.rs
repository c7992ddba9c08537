//! Sizes and boxes.
//!
//! A [`BBox`] is in corner form; the coordinate space (pixels of the frame, pixels of the model's input) is told
//! by whoever hands it over. Coordinates are continuous: a pixel covers `[x, x + 1)`, nothing adds one to a width.

/// Width and height in whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl Size {
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Width times height.
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
    pub x1: f32,
    pub y1: f32,
    pub x2: f32,
    pub y2: f32,
}

impl BBox {
    pub const fn new(x1: f32, y1: f32, x2: f32, y2: f32) -> Self {
        Self { x1, y1, x2, y2 }
    }

    /// From centre form: centre x, centre y, width, height.
    pub fn from_centre(cx: f32, cy: f32, width: f32, height: f32) -> Self {
        Self::new(
            cx - width / 2.0,
            cy - height / 2.0,
            cx + width / 2.0,
            cy + height / 2.0,
        )
    }

    /// Never negative: a box with swapped corners has no width.
    pub fn width(&self) -> f32 {
        (self.x2 - self.x1).max(0.0)
    }

    /// Never negative.
    pub fn height(&self) -> f32 {
        (self.y2 - self.y1).max(0.0)
    }

    pub fn area(&self) -> f32 {
        self.width() * self.height()
    }

    /// Intersection over union, `intersection / (a + b - intersection)`; 0 where both boxes are empty.
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

    /// The part of the box inside a picture of `size`, whose left upper corner is the origin.
    pub fn clip(&self, size: Size) -> Self {
        let (width, height) = (size.width as f32, size.height as f32);
        Self::new(
            self.x1.clamp(0.0, width),
            self.y1.clamp(0.0, height),
            self.x2.clamp(0.0, width),
            self.y2.clamp(0.0, height),
        )
    }

    /// Whether every coordinate is a number and finite.
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
