//! [`Component`]: where the samples of one component (luma, chroma, a colour) lie in the memory of a format.

use crate::base::image::PixelFormat;

/// One sample for every `1 << halved` pixels of an axis, every `step` bytes from `offset` in rows of `plane`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Component {
    pub plane: usize,
    pub offset: usize,
    pub step: usize,
    pub halved_x: bool,
    pub halved_y: bool,
}

impl Component {
    const fn full(plane: usize, offset: usize, step: usize) -> Self {
        Self {
            plane,
            offset,
            step,
            halved_x: false,
            halved_y: false,
        }
    }

    /// Creates chroma of 4:2:2.
    const fn narrow(plane: usize, offset: usize, step: usize) -> Self {
        Self {
            halved_x: true,
            ..Self::full(plane, offset, step)
        }
    }

    /// Creates chroma of 4:2:0.
    const fn quarter(plane: usize, offset: usize, step: usize) -> Self {
        Self {
            halved_y: true,
            ..Self::narrow(plane, offset, step)
        }
    }
}

/// Returns Y, U, V of a YUV format; R, G, B of an RGB format; one component for grey.
pub(super) fn components(format: PixelFormat) -> Vec<Component> {
    use PixelFormat::*;
    let packed = |r, g, b, step| [r, g, b].map(|offset| Component::full(0, offset, step));
    let chroma = |make: fn(usize, usize, usize) -> Component, step, luma, u, v| {
        let at = |(plane, offset)| make(plane, offset, step);
        [luma, at(u), at(v)]
    };
    let luma = Component::full(0, 0, 1);
    match format {
        I420 => chroma(Component::quarter, 1, luma, (1, 0), (2, 0)),
        Yv12 => chroma(Component::quarter, 1, luma, (2, 0), (1, 0)),
        Nv12 => chroma(Component::quarter, 2, luma, (1, 0), (1, 1)),
        Nv21 => chroma(Component::quarter, 2, luma, (1, 1), (1, 0)),
        Y42b => chroma(Component::narrow, 1, luma, (1, 0), (2, 0)),
        Nv16 => chroma(Component::narrow, 2, luma, (1, 0), (1, 1)),
        Y444 => chroma(Component::full, 1, luma, (1, 0), (2, 0)),
        Yuy2 => chroma(
            Component::narrow,
            4,
            Component::full(0, 0, 2),
            (0, 1),
            (0, 3),
        ),
        Yvyu => chroma(
            Component::narrow,
            4,
            Component::full(0, 0, 2),
            (0, 3),
            (0, 1),
        ),
        Uyvy => chroma(
            Component::narrow,
            4,
            Component::full(0, 1, 2),
            (0, 0),
            (0, 2),
        ),
        Bgrx | Bgra => packed(2, 1, 0, 4),
        Rgbx | Rgba => packed(0, 1, 2, 4),
        Xbgr | Abgr => packed(3, 2, 1, 4),
        Xrgb | Argb => packed(1, 2, 3, 4),
        Bgr => packed(2, 1, 0, 3),
        Rgb => packed(0, 1, 2, 3),
        Gray8 => return vec![luma],
    }
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::geometry::Size;

    #[test]
    fn no_sample_lies_beyond_its_row() {
        for format in PixelFormat::ALL {
            for (width, height) in [(1, 1), (2, 2), (5, 3), (6, 4)] {
                let planes = format.planes(Size::new(width, height));
                for c in components(format) {
                    let halve =
                        |length: u32, by: bool| (length as usize).div_ceil(1 + usize::from(by));
                    let (row, rows) = planes[c.plane];
                    let last = c.offset + (halve(width, c.halved_x) - 1) * c.step;
                    assert!(last < row, "{format:?} of {width}x{height}: {c:?}");
                    assert_eq!(halve(height, c.halved_y), rows, "{format:?}: {c:?}");
                }
            }
        }
    }

    #[test]
    fn the_components_of_a_format_are_three_places_or_one() {
        for format in PixelFormat::ALL {
            let all = components(format);
            assert_eq!(all.len(), if format == PixelFormat::Gray8 { 1 } else { 3 });
            for (i, a) in all.iter().enumerate() {
                for b in &all[..i] {
                    assert_ne!((a.plane, a.offset), (b.plane, b.offset), "{format:?}");
                }
            }
        }
    }
}
