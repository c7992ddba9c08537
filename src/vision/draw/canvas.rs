//! [`Canvas`]: a small RGBA picture, and the rectangles and colours it is painted with.

use crate::base::geometry::Size;

/// Red, green, blue, alpha. Alpha is straight; 255 is opaque.
pub type Rgba = [u8; 4];

/// Rectangle of whole pixels, `x1..x2` by `y1..y2`. May reach outside a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// Left edge.
    pub x1: i32,
    /// Top edge.
    pub y1: i32,
    /// Right edge, exclusive.
    pub x2: i32,
    /// Bottom edge, exclusive.
    pub y2: i32,
}

impl Rect {
    /// Creates a rectangle from its left, top, right and bottom edges.
    pub const fn new(x1: i32, y1: i32, x2: i32, y2: i32) -> Self {
        Self { x1, y1, x2, y2 }
    }

    /// Returns the rectangle of a whole picture.
    pub fn of_size(size: Size) -> Self {
        let limit = |v: u32| i32::try_from(v).unwrap_or(i32::MAX);
        Self::new(0, 0, limit(size.width), limit(size.height))
    }

    /// Returns whether the rectangle contains no pixel.
    pub fn is_empty(&self) -> bool {
        self.x2 <= self.x1 || self.y2 <= self.y1
    }

    /// Returns width and height; 0 for an empty rectangle.
    pub fn size(&self) -> Size {
        let length = |a: i32, b: i32| u32::try_from(i64::from(b) - i64::from(a)).unwrap_or(0);
        Size::new(length(self.x1, self.x2), length(self.y1, self.y2))
    }

    /// Returns the part that lies in both rectangles.
    pub fn intersect(&self, other: &Self) -> Self {
        Self::new(
            self.x1.max(other.x1),
            self.y1.max(other.y1),
            self.x2.min(other.x2),
            self.y2.min(other.y2),
        )
    }

    /// Returns the smallest rectangle that contains both.
    pub fn around(&self, other: &Self) -> Self {
        Self::new(
            self.x1.min(other.x1),
            self.y1.min(other.y1),
            self.x2.max(other.x2),
            self.y2.max(other.y2),
        )
    }

    /// Shrinks the rectangle by `by` on every side, or grows it if `by` is negative.
    pub fn inset(&self, by: i32) -> Self {
        Self::new(self.x1 + by, self.y1 + by, self.x2 - by, self.y2 - by)
    }

    /// Moves the rectangle.
    pub fn moved(&self, dx: i32, dy: i32) -> Self {
        Self::new(self.x1 + dx, self.y1 + dy, self.x2 + dx, self.y2 + dy)
    }

    /// Returns the part outside `inner` as at most four pieces that do not overlap.
    pub fn ring(&self, inner: &Self) -> Vec<Self> {
        let hole = self.intersect(inner);
        if hole.is_empty() {
            return vec![*self];
        }
        [
            Self::new(self.x1, self.y1, self.x2, hole.y1),
            Self::new(self.x1, hole.y2, self.x2, self.y2),
            Self::new(self.x1, hole.y1, hole.x1, hole.y2),
            Self::new(hole.x2, hole.y1, self.x2, hole.y2),
        ]
        .into_iter()
        .filter(|piece| !piece.is_empty())
        .collect()
    }
}

/// A rectangle filled with one colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Pixels to fill.
    pub rect: Rect,
    /// Colour to fill with.
    pub colour: Rgba,
}

/// Rows of [`Rgba`] pixels from the top, without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canvas {
    /// Width and height in pixels.
    pub size: Size,
    /// All pixels, row by row.
    pub pixels: Vec<Rgba>,
}

impl Canvas {
    /// Creates a canvas of one colour.
    pub fn new(size: Size, colour: Rgba) -> Self {
        Self {
            size,
            pixels: vec![colour; size.area() as usize],
        }
    }

    /// Creates the part `area` of a picture that contains only `fills`, painted in order; later ones win.
    pub fn of_fills(area: Rect, fills: &[Fill]) -> Self {
        let mut canvas = Self::new(area.size(), [0; 4]);
        let width = canvas.size.width as usize;
        for fill in fills {
            let part = fill.rect.intersect(&area).moved(-area.x1, -area.y1);
            if part.is_empty() {
                continue;
            }
            for y in part.y1..part.y2 {
                let start = y as usize * width;
                canvas.pixels[start + part.x1 as usize..start + part.x2 as usize].fill(fill.colour);
            }
        }
        canvas
    }

    /// Returns the pixels of row `y`.
    pub fn row(&self, y: usize) -> &[Rgba] {
        let width = self.size.width as usize;
        &self.pixels[y * width..(y + 1) * width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_covers_each_pixel_once() {
        let outer = Rect::new(2, 3, 12, 9);
        for inner in [outer.inset(2), Rect::new(0, 5, 20, 6), outer.inset(5)] {
            let pieces = outer.ring(&inner);
            for y in 0..12 {
                for x in 0..15 {
                    let pixel = Rect::new(x, y, x + 1, y + 1);
                    let inside = |r: &Rect| !r.intersect(&pixel).is_empty();
                    let hits = pieces.iter().filter(|r| inside(r)).count();
                    let wanted = inside(&outer) && !inside(&inner);
                    assert_eq!(hits, usize::from(wanted), "{x},{y} of {inner:?}");
                }
            }
        }
    }

    #[test]
    fn fills_outside_the_canvas_are_cut_off() {
        let red = [255, 0, 0, 255];
        let rect = Rect::new(-5, -5, 11, 11);
        let canvas = Canvas::of_fills(Rect::new(10, 10, 13, 12), &[Fill { rect, colour: red }]);
        assert_eq!(canvas.size, Size::new(3, 2));
        assert_eq!(canvas.row(0), [red, [0; 4], [0; 4]]);
        let far = Rect::new(100, 10, 120, 11);
        let canvas = Canvas::of_fills(
            Rect::new(10, 10, 13, 12),
            &[Fill {
                rect: far,
                colour: red,
            }],
        );
        assert!(canvas.pixels.iter().all(|p| *p == [0; 4]));
    }
}
