//! [`PictureMut`]: a picture of any [`PixelFormat`] that is painted on in place.
//!
//! `gst_video_overlay_composition_blend` of GStreamer 1.22 knows one matrix (BT.709, limited range), so a yellow line
//! has another yellow in a camera's BT.601. It also unpacks and packs whole rows for every line of an overlay. Here
//! colours are converted with the matrix and range of the picture, and only the bytes under them are touched.
//!
//! A chroma sample covers up to 2x2 pixels; it is blended with their mean. Alpha is straight.

use super::canvas::{Canvas, Rect, Rgba};
use super::weights::Weights;
use crate::base::image::{ImageError, ImageView, PictureInfo, PixelFormat, Plane};

/// One writable plane of a picture.
#[derive(Debug)]
pub struct PlaneMut<'a> {
    /// The bytes of all rows.
    pub data: &'a mut [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// A borrowed picture that can be painted on.
#[derive(Debug)]
pub struct PictureMut<'a> {
    pub(super) info: PictureInfo,
    pub(super) planes: Vec<PlaneMut<'a>>,
    pub(super) layout: Layout,
}

/// Position of the samples of one component.
#[derive(Debug, Clone, Copy)]
pub(super) struct Component {
    pub(super) plane: usize,
    /// Bytes from the start of a row to its first sample.
    pub(super) offset: usize,
    /// Bytes from one sample to the next.
    pub(super) step: usize,
    /// A sample covers `1 << x_shift` by `1 << y_shift` pixels.
    pub(super) x_shift: u32,
    pub(super) y_shift: u32,
    weights: Weights,
}

/// Bytes of a pixel, and the places of red, green, blue, and alpha if there is any.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interleaved {
    pub(super) step: usize,
    pub(super) rgb: [usize; 3],
    alpha: Option<usize>,
}

#[derive(Debug)]
pub(super) enum Layout {
    Rgb(Interleaved),
    Components(Vec<Component>),
}

impl<'a> PictureMut<'a> {
    /// Creates a picture from planes in the order of GStreamer's format.
    ///
    /// # Errors
    /// [`ImageError`] if a plane is missing or too short for the size.
    pub fn new(info: PictureInfo, planes: Vec<PlaneMut<'a>>) -> Result<Self, ImageError> {
        let shared: Vec<_> = planes
            .iter()
            .map(|p| Plane {
                data: &*p.data,
                stride: p.stride,
            })
            .collect();
        ImageView::new(info, &shared)?;
        let layout = Layout::from_info(&info);
        Ok(Self {
            info,
            planes,
            layout,
        })
    }

    /// Blends `colour` over the part of `rect` inside the picture.
    pub fn fill(&mut self, rect: Rect, colour: Rgba) {
        let picture = Rect::of_size(self.info.size);
        let area = rect.intersect(&picture);
        if area.is_empty() {
            return;
        }
        match &self.layout {
            Layout::Rgb(layout) => layout.blend(&mut self.planes[0], area, |_, _| colour),
            Layout::Components(components) => {
                for component in components {
                    component.fill(&mut self.planes[component.plane], area, picture, colour);
                }
            }
        }
    }

    /// Blends `canvas` over the picture with its top left corner at `x`, `y`, which may lie outside.
    pub fn draw(&mut self, canvas: &Canvas, x: i32, y: i32) {
        let picture = Rect::of_size(self.info.size);
        let area = Rect::of_size(canvas.size).moved(x, y).intersect(&picture);
        if area.is_empty() {
            return;
        }
        match &self.layout {
            Layout::Rgb(layout) => layout.blend(&mut self.planes[0], area, |px, py| {
                canvas.row((py - y) as usize)[(px - x) as usize]
            }),
            Layout::Components(components) => {
                for component in components {
                    let plane = &mut self.planes[component.plane];
                    component.draw(plane, area, picture, canvas, (x, y));
                }
            }
        }
    }
}

impl Layout {
    fn from_info(info: &PictureInfo) -> Self {
        use PixelFormat as F;
        let rgb = |step, rgb, alpha| Self::Rgb(Interleaved { step, rgb, alpha });
        match info.format {
            F::Bgrx => rgb(4, [2, 1, 0], None),
            F::Rgbx => rgb(4, [0, 1, 2], None),
            F::Xbgr => rgb(4, [3, 2, 1], None),
            F::Xrgb => rgb(4, [1, 2, 3], None),
            F::Bgra => rgb(4, [2, 1, 0], Some(3)),
            F::Rgba => rgb(4, [0, 1, 2], Some(3)),
            F::Abgr => rgb(4, [3, 2, 1], Some(0)),
            F::Argb => rgb(4, [1, 2, 3], Some(0)),
            F::Bgr => rgb(3, [2, 1, 0], None),
            F::Rgb => rgb(3, [0, 1, 2], None),
            F::I420 => yuv(info, [(0, 0, 1), (1, 0, 1), (2, 0, 1)], (1, 1)),
            F::Yv12 => yuv(info, [(0, 0, 1), (2, 0, 1), (1, 0, 1)], (1, 1)),
            F::Nv12 => yuv(info, [(0, 0, 1), (1, 0, 2), (1, 1, 2)], (1, 1)),
            F::Nv21 => yuv(info, [(0, 0, 1), (1, 1, 2), (1, 0, 2)], (1, 1)),
            F::Y42b => yuv(info, [(0, 0, 1), (1, 0, 1), (2, 0, 1)], (1, 0)),
            F::Nv16 => yuv(info, [(0, 0, 1), (1, 0, 2), (1, 1, 2)], (1, 0)),
            F::Y444 => yuv(info, [(0, 0, 1), (1, 0, 1), (2, 0, 1)], (0, 0)),
            F::Yuy2 => yuv(info, [(0, 0, 2), (0, 1, 4), (0, 3, 4)], (1, 0)),
            F::Yvyu => yuv(info, [(0, 0, 2), (0, 3, 4), (0, 1, 4)], (1, 0)),
            F::Uyvy => yuv(info, [(0, 1, 2), (0, 0, 4), (0, 2, 4)], (1, 0)),
            F::Gray8 => Self::Components(vec![component(info, 0, (0, 0, 1), (0, 0))]),
        }
    }
}

/// Lays out YUV: plane, offset and step of Y, U and V, and the shifts of U and V.
fn yuv(info: &PictureInfo, samples: [(usize, usize, usize); 3], shifts: (u32, u32)) -> Layout {
    Layout::Components(vec![
        component(info, 0, samples[0], (0, 0)),
        component(info, 1, samples[1], shifts),
        component(info, 2, samples[2], shifts),
    ])
}

fn component(
    info: &PictureInfo,
    index: usize,
    (plane, offset, step): (usize, usize, usize),
    (x_shift, y_shift): (u32, u32),
) -> Component {
    Component {
        plane,
        offset,
        step,
        x_shift,
        y_shift,
        weights: Weights::for_component(info, index),
    }
}

impl Component {
    fn fill(&self, plane: &mut PlaneMut<'_>, area: Rect, picture: Rect, colour: Rgba) {
        let new = u32::from(self.weights.apply(colour));
        let alpha = u32::from(colour[3]);
        let columns = samples(area.x1, area.x2, picture.x2, self.x_shift);
        let (first, last) = (columns.clone().next(), columns.clone().next_back());
        for (row, rows, of_rows) in samples(area.y1, area.y2, picture.y2, self.y_shift) {
            let line = &mut plane.data[row * plane.stride + self.offset..];
            let mut blend = |column: usize, covered: u32, of: u32| {
                let weight = covered * alpha;
                let sample = &mut line[column * self.step];
                *sample = mix(*sample, new * weight, weight, of);
            };
            // Only the outermost samples of a row can be partly covered.
            for (column, covered, of) in [first, last.filter(|l| Some(*l) != first)]
                .into_iter()
                .flatten()
            {
                blend(column, covered * rows, of * of_rows);
            }
            let (Some((first, ..)), Some((last, ..))) = (first, last) else {
                return;
            };
            if first + 1 >= last {
                continue;
            }
            let inner = &mut line[(first + 1) * self.step..=(last - 1) * self.step];
            let (of, weight) = (of_rows << self.x_shift, (rows << self.x_shift) * alpha);
            if weight == 255 * of {
                inner
                    .iter_mut()
                    .step_by(self.step)
                    .for_each(|s| *s = new as u8);
            } else {
                inner
                    .iter_mut()
                    .step_by(self.step)
                    .for_each(|s| *s = mix(*s, new * weight, weight, of));
            }
        }
    }

    /// Blends the part of `canvas` inside `area`. The canvas has its top left corner at `corner`.
    fn draw(
        &self,
        plane: &mut PlaneMut<'_>,
        area: Rect,
        picture: Rect,
        canvas: &Canvas,
        corner: (i32, i32),
    ) {
        for (row, rows, of_rows) in samples(area.y1, area.y2, picture.y2, self.y_shift) {
            let top = (area.y1.max((row << self.y_shift) as i32) - corner.1) as usize;
            let (upper, lower) = (canvas.row(top), canvas.row(top + rows as usize - 1));
            let lower = if rows > 1 { lower } else { &[] };
            let line = &mut plane.data[row * plane.stride + self.offset..];
            let left = (area.x1 - corner.0) as usize;
            let width = (area.x2 - area.x1) as usize;
            let (mut upper, mut lower) = (&upper[left..left + width], lower);
            lower = lower.get(left..left + width).unwrap_or_default();
            if self.x_shift == 0 {
                let first = area.x1 as usize * self.step;
                let samples = line[first..].iter_mut().step_by(self.step);
                for (sample, pixel) in samples.zip(upper) {
                    let (sum, alpha) = self.weights.apply_all(&[*pixel], &[]);
                    *sample = mix(*sample, sum, alpha, of_rows);
                }
                continue;
            }
            for (column, columns, of) in samples(area.x1, area.x2, picture.x2, self.x_shift) {
                let (above, below);
                (above, upper) = upper.split_at(columns as usize);
                (below, lower) = lower.split_at(lower.len().min(columns as usize));
                let (sum, alpha) = match (above, below) {
                    // The usual case, with lengths known to the compiler.
                    (&[a, b], &[c, d]) => self.weights.apply_all(&[a, b], &[c, d]),
                    _ => self.weights.apply_all(above, below),
                };
                let sample = &mut line[column * self.step];
                *sample = mix(*sample, sum, alpha, of * of_rows);
            }
        }
    }
}

/// Returns the samples under the pixels `from..to`: index of the sample, how many of its pixels are covered, and how
/// many it has in a picture that ends at `end`.
fn samples(
    from: i32,
    to: i32,
    end: i32,
    shift: u32,
) -> impl DoubleEndedIterator<Item = (usize, u32, u32)> + Clone {
    (from >> shift..((to - 1) >> shift) + 1).map(move |sample| {
        let (start, stop) = (sample << shift, (sample + 1) << shift);
        let covered = stop.min(to) - start.max(from);
        (
            sample as usize,
            covered as u32,
            (stop.min(end) - start) as u32,
        )
    })
}

/// Mixes an old value with `sum`, new values times their alpha, where `alpha` is the sum of alpha of `pixels` pixels.
#[inline]
fn mix(old: u8, sum: u32, alpha: u32, pixels: u32) -> u8 {
    // Constant divisors, because division by a variable would take most of the time.
    let share = |full: u32, divide: fn(u32) -> u32| {
        divide(u32::from(old) * (full - alpha) + sum + full / 2) as u8
    };
    match pixels {
        1 => share(255, |v| v / 255),
        2 => share(510, |v| v / 510),
        _ => share(1020, |v| v / 1020),
    }
}

impl Interleaved {
    fn blend(&self, plane: &mut PlaneMut<'_>, area: Rect, source: impl Fn(i32, i32) -> Rgba) {
        for y in area.y1..area.y2 {
            let row = &mut plane.data[y as usize * plane.stride..];
            let row = &mut row[area.x1 as usize * self.step..area.x2 as usize * self.step];
            for (x, pixel) in (area.x1..).zip(row.chunks_exact_mut(self.step)) {
                self.blend_pixel(pixel, source(x, y));
            }
        }
    }

    /// Blends `colour` over one pixel, and over its alpha if it has one.
    #[inline]
    fn blend_pixel(&self, pixel: &mut [u8], colour: Rgba) {
        let over = u32::from(colour[3]);
        if over == 0 {
            return;
        }
        let Some(place) = self.alpha else {
            for (place, new) in self.rgb.into_iter().zip(colour) {
                pixel[place] = mix(pixel[place], u32::from(new) * over, over, 1);
            }
            return;
        };
        // Weight of the old colour, and of both together; both times 255.
        let under = u32::from(pixel[place]) * (255 - over);
        let total = 255 * over + under;
        pixel[place] = ((total + 127) / 255) as u8;
        for (place, new) in self.rgb.into_iter().zip(colour) {
            let sum = u32::from(pixel[place]) * under + u32::from(new) * over * 255;
            pixel[place] = ((sum + total / 2) / total) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::geometry::Size;
    use crate::base::image::{YuvMatrix, YuvRange};

    const RED: Rgba = [255, 0, 0, 255];

    /// Paints on a picture of zeros. Rows are padded with three bytes of 7, which must stay.
    fn painted(info: PictureInfo, paint: impl Fn(&mut PictureMut<'_>)) -> Vec<Vec<u8>> {
        let planes = info.format.planes(info.size);
        let mut data: Vec<Vec<u8>> = planes
            .iter()
            .map(|&(row, rows)| [vec![0; row], vec![7; 3]].concat().repeat(rows))
            .collect();
        let mutable = data
            .iter_mut()
            .zip(planes.iter())
            .map(|(data, (row, _))| PlaneMut {
                data,
                stride: row + 3,
            })
            .collect();
        paint(&mut PictureMut::new(info, mutable).expect("planes of the right size"));
        for (data, (row, _)) in data.iter().zip(planes.iter()) {
            for line in data.chunks(row + 3) {
                assert_eq!(line[*row..], [7; 3], "{info:?}: padding was painted");
            }
        }
        data
    }

    #[test]
    fn no_format_writes_outside_its_rows_whatever_the_rectangle() {
        let size = Size::new(7, 5);
        for format in PixelFormat::ALL {
            for rect in [
                Rect::new(-3, -3, 100, 100),
                Rect::new(6, 4, 7, 5),
                Rect::new(3, 1, 4, 2),
                Rect::new(i32::MIN, 2, i32::MAX, 3),
                Rect::new(9, 9, 12, 12),
                Rect::new(4, 4, 2, 2),
            ] {
                painted(PictureInfo::new(format, size), |picture| {
                    picture.fill(rect, [200, 100, 50, 128]);
                    picture.draw(&Canvas::new(Size::new(3, 3), RED), rect.x1.max(-9), rect.y1);
                });
            }
        }
    }

    #[test]
    fn red_has_the_values_of_the_standards() {
        let cases = [
            (YuvMatrix::Bt601, YuvRange::Limited, [81, 90, 240]),
            (YuvMatrix::Bt709, YuvRange::Limited, [63, 102, 240]),
            (YuvMatrix::Bt601, YuvRange::Full, [76, 85, 255]),
            (YuvMatrix::Bt2020, YuvRange::Limited, [74, 97, 240]),
        ];
        for (matrix, range, yuv) in cases {
            let info = PictureInfo {
                matrix,
                range,
                ..PictureInfo::new(PixelFormat::Y444, Size::new(1, 1))
            };
            let planes = painted(info, |p| p.fill(Rect::new(0, 0, 1, 1), RED));
            assert_eq!([planes[0][0], planes[1][0], planes[2][0]], yuv, "{info:?}");
        }
    }

    #[test]
    fn a_chroma_sample_takes_the_share_that_is_covered() {
        let info = PictureInfo::new(PixelFormat::I420, Size::new(3, 2));
        // One pixel of the four under the first chroma sample; the second stands for two pixels only, one is covered.
        let planes = painted(info, |p| {
            p.fill(Rect::new(1, 1, 2, 2), RED);
            p.fill(Rect::new(2, 0, 3, 1), RED);
        });
        assert_eq!(planes[0][..3], [0, 0, 81]);
        assert_eq!(planes[0][6..9], [0, 81, 0]);
        assert_eq!(planes[2][..2], [240 / 4, 240 / 2]);
    }

    #[test]
    fn alpha_mixes_and_shows_on_transparent_ground() {
        let one = Size::new(1, 1);
        let half = |format, old: [u8; 4]| {
            let mut data = old;
            let plane = PlaneMut {
                data: &mut data,
                stride: 4,
            };
            let info = PictureInfo::new(format, one);
            let mut picture = PictureMut::new(info, vec![plane]).expect("four bytes");
            picture.fill(Rect::of_size(one), [200, 100, 50, 128]);
            data
        };
        assert_eq!(half(PixelFormat::Rgbx, [0, 0, 0, 9]), [100, 50, 25, 9]);
        assert_eq!(half(PixelFormat::Rgba, [0, 0, 0, 255]), [100, 50, 25, 255]);
        assert_eq!(half(PixelFormat::Rgba, [9, 9, 9, 0]), [200, 100, 50, 128]);
        assert_eq!(half(PixelFormat::Argb, [0, 9, 9, 9]), [128, 200, 100, 50]);
    }
}
