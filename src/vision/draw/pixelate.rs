//! [`PictureMut::pixelate`]: replaces a part of the picture by squares of one colour each, in place, in any format.

use super::blend::{Layout, PictureMut};
use super::canvas::Rect;

/// Squares across the longer side: too few to know a face or read a plate.
const BLOCKS: i32 = 6;
/// Smallest side of a square in pixels, so that a small part is unrecognisable too.
const MIN_BLOCK: i32 = 8;
/// Most pixels that are pixelated, those of overlapping parts counted more than once, in areas of the picture.
const MOST_TIMES: u64 = 4;

/// Position of the samples of one component, as in [`Layout`].
struct Samples {
    plane: usize,
    offset: usize,
    step: usize,
    x_shift: u32,
    y_shift: u32,
}

impl PictureMut<'_> {
    /// Pixelates each of `rects`, as [`Self::pixelate`] does. If they overlap so much that it would take more than a few
    /// times the area of the picture, the last ones become one: the rectangle around them, which covers more.
    pub fn pixelate_all(&mut self, rects: &[Rect]) {
        let picture = Rect::of_size(self.info.size);
        let least = MIN_BLOCK.pow(2) as u64;
        let mut budget = MOST_TIMES * self.info.size.area().max(least);
        let inside: Vec<_> = rects.iter().map(|rect| rect.intersect(&picture)).collect();
        let parts = inside.iter().filter(|part| !part.is_empty());
        for (index, part) in parts.clone().enumerate() {
            let cost = part.size().area().max(least);
            let Some(rest) = budget.checked_sub(cost) else {
                let rest = parts
                    .skip(index)
                    .copied()
                    .reduce(|all, part| all.around(&part));
                return self.pixelate(rest.unwrap_or(picture));
            };
            budget = rest;
            self.pixelate(*part);
        }
    }

    /// Gives every square in `rect` the mean of its samples. A chroma cell that `rect` covers in part becomes part of a
    /// square as a whole. The alpha of the picture stays.
    pub fn pixelate(&mut self, rect: Rect) {
        let picture = Rect::of_size(self.info.size);
        let area = rect.intersect(&picture);
        if area.is_empty() {
            return;
        }
        // Even corners and sides, so that no chroma sample belongs to two squares.
        let (left, top) = (area.x1 & !1, area.y1 & !1);
        let longer = (area.x2 - left).max(area.y2 - top);
        let block = ((longer + BLOCKS - 1) / BLOCKS).max(MIN_BLOCK);
        let block = block + block % 2;
        let end = |from: i32, to: i32, limit: i32| (from + block).min(to + to % 2).min(limit);
        let samples = self.layout.samples();
        for y in (top..area.y2).step_by(block as usize) {
            for x in (left..area.x2).step_by(block as usize) {
                let square = Rect::new(
                    x,
                    y,
                    end(x, area.x2, picture.x2),
                    end(y, area.y2, picture.y2),
                );
                for component in &samples {
                    let plane = &mut self.planes[component.plane];
                    component.level(plane.data, plane.stride, square);
                }
            }
        }
    }
}

impl Layout {
    fn samples(&self) -> Vec<Samples> {
        match self {
            Self::Rgb(layout) => {
                let sample = |offset| Samples {
                    plane: 0,
                    offset,
                    step: layout.step,
                    x_shift: 0,
                    y_shift: 0,
                };
                layout.rgb.into_iter().map(sample).collect()
            }
            Self::Components(components) => components
                .iter()
                .map(|c| Samples {
                    plane: c.plane,
                    offset: c.offset,
                    step: c.step,
                    x_shift: c.x_shift,
                    y_shift: c.y_shift,
                })
                .collect(),
        }
    }
}

impl Samples {
    /// Levels one square, which is not empty and lies inside the picture.
    fn level(&self, data: &mut [u8], stride: usize, square: Rect) {
        let cells = |from: i32, to: i32, shift: u32| {
            (from >> shift) as usize..((to - 1) >> shift) as usize + 1
        };
        let columns = cells(square.x1, square.x2, self.x_shift);
        let rows = cells(square.y1, square.y2, self.y_shift);
        let (mut sum, mut count) = (0_u64, 0_u64);
        let (first, length) = (columns.start * self.step, columns.len());
        let start = |row: usize| row * stride + self.offset + first;
        for row in rows.clone() {
            let line = data[start(row)..].iter().step_by(self.step).take(length);
            sum += line.map(|&sample| u64::from(sample)).sum::<u64>();
            count += length as u64;
        }
        let mean = ((sum + count / 2) / count) as u8;
        for row in rows {
            let line = data[start(row)..].iter_mut().step_by(self.step);
            line.take(length).for_each(|sample| *sample = mean);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::PlaneMut;
    use super::*;
    use crate::base::geometry::Size;
    use crate::base::image::{PictureInfo, PixelFormat};
    use std::collections::HashSet;

    const PADDING: usize = 3;

    /// Pixelates a picture of noise whose rows are padded by bytes of 7. Returns the planes before and after.
    fn pixelated(format: PixelFormat, size: Size, rect: Rect) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let rows = format.planes(size);
        let noise = |at: usize| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0];
        let before: Vec<Vec<u8>> = rows
            .iter()
            .map(|&(row, count)| {
                let stride = row + PADDING;
                (0..stride * count)
                    .map(|at| if at % stride < row { noise(at) } else { 7 })
                    .collect()
            })
            .collect();
        let mut after = before.clone();
        let planes = after
            .iter_mut()
            .zip(rows.iter())
            .map(|(data, (row, _))| PlaneMut {
                data,
                stride: row + PADDING,
            });
        PictureMut::new(PictureInfo::new(format, size), planes.collect())
            .expect("planes of the right size")
            .pixelate(rect);
        (before, after)
    }

    #[test]
    fn every_format_is_coarse_inside_and_as_it_was_outside() {
        let size = Size::new(61, 47);
        let rect = Rect::new(11, 9, 44, 40);
        for format in PixelFormat::ALL {
            let (before, after) = pixelated(format, size, rect);
            let rows = format.planes(size);
            for (plane, (row, count)) in rows.into_iter().enumerate() {
                // Shares of the picture: exact enough for any subsampling.
                let (across, down) = (row as f64 / 61.0, count as f64 / 47.0);
                let stride = row + PADDING;
                let mut seen = HashSet::new();
                for (at, (old, new)) in before[plane].iter().zip(&after[plane]).enumerate() {
                    let (x, y) = ((at % stride) as f64 / across, (at / stride) as f64 / down);
                    let inside = (15.0..40.0).contains(&x) && (13.0..36.0).contains(&y);
                    let outside = !(6.0..=48.0).contains(&x) || !(5.0..=44.0).contains(&y);
                    if inside {
                        seen.insert(*new);
                    } else if outside || at % stride >= row {
                        assert_eq!(old, new, "{format:?}: plane {plane} at {x:.0},{y:.0}");
                    }
                }
                // At most 6 x 6 squares of up to four components, alpha apart.
                let alpha = matches!(
                    format,
                    PixelFormat::Bgra
                        | PixelFormat::Rgba
                        | PixelFormat::Abgr
                        | PixelFormat::Argb
                        | PixelFormat::Bgrx
                        | PixelFormat::Rgbx
                        | PixelFormat::Xbgr
                        | PixelFormat::Xrgb
                );
                assert!(
                    alpha || seen.len() <= 25 * 3,
                    "{format:?}: {} values",
                    seen.len()
                );
            }
        }
    }

    /// Whether the samples of a grey picture have at most so many different values inside `rect`.
    fn is_coarse(data: &[u8], stride: usize, rect: Rect, most: usize) -> bool {
        let rows = (rect.y1..rect.y2).map(|y| &data[y as usize * stride..]);
        let samples = rows.flat_map(|row| row[rect.x1 as usize..rect.x2 as usize].to_vec());
        samples.collect::<HashSet<_>>().len() <= most
    }

    #[test]
    fn ten_thousand_parts_take_no_longer_than_a_few_and_all_are_coarse() {
        let size = Size::new(1920, 1080);
        let noise = |at: usize| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0];
        let samples: Vec<_> = (0..size.area() as usize).map(noise).collect();
        let info = PictureInfo::new(PixelFormat::Gray8, size);
        let time = |rects: &[Rect]| {
            let mut data = samples.clone();
            let planes = vec![PlaneMut {
                data: &mut data,
                stride: 1920,
            }];
            let mut picture = PictureMut::new(info, planes).expect("planes of this size");
            let begin = std::time::Instant::now();
            picture.pixelate_all(rects);
            let time = begin.elapsed();
            for rect in rects.iter().step_by(1 + rects.len() / 8) {
                let rect = rect.intersect(&Rect::of_size(size));
                assert!(is_coarse(&data, 1920, rect, 64), "{rect:?} can be seen");
            }
            time
        };
        let large = |number: i32| Rect::new(number % 97, number % 89, 1800 + number % 50, 1000);
        let all: Vec<_> = (0..10_000).map(large).collect();
        let few = time(&all[..4]).max(std::time::Duration::from_millis(1));
        assert!(time(&all[..]) < few * 20, "four take {few:?}");
        // Parts that do not overlap are not joined.
        let apart = [Rect::new(0, 0, 48, 48), Rect::new(1800, 1000, 1848, 1048)];
        let mut data = samples.clone();
        let planes = vec![PlaneMut {
            data: &mut data,
            stride: 1920,
        }];
        let mut picture = PictureMut::new(info, planes).expect("planes of this size");
        picture.pixelate_all(&apart);
        let between = 500 * 1920..501 * 1920;
        assert_eq!(data[between.clone()], samples[between]);
    }

    #[test]
    fn a_square_has_the_mean_of_what_it_covers_and_alpha_stays() {
        let (before, after) = pixelated(PixelFormat::Gray8, Size::new(8, 8), Rect::new(0, 0, 8, 8));
        let samples = |data: &[u8]| -> Vec<u8> {
            data.chunks(8 + PADDING)
                .flat_map(|row| row[..8].to_vec())
                .collect()
        };
        let old = samples(&before[0]);
        let mean = old.iter().map(|v| u32::from(*v)).sum::<u32>() + 32;
        assert_eq!(samples(&after[0]), [(mean / 64) as u8; 64]);

        let (before, after) = pixelated(PixelFormat::Rgba, Size::new(8, 8), Rect::new(0, 0, 8, 8));
        let alpha = |data: &[u8]| -> Vec<u8> {
            let rows = data.chunks(32 + PADDING);
            rows.flat_map(|row| {
                row[..32]
                    .iter()
                    .skip(3)
                    .step_by(4)
                    .copied()
                    .collect::<Vec<_>>()
            })
            .collect()
        };
        assert_eq!(alpha(&before[0]), alpha(&after[0]));
        assert_ne!(before, after);
    }

    #[test]
    fn nothing_is_written_outside_the_picture_whatever_the_rectangle() {
        let size = Size::new(7, 5);
        for format in PixelFormat::ALL {
            for rect in [
                Rect::new(-30, -30, 100, 100),
                Rect::new(6, 4, 7, 5),
                Rect::new(i32::MIN, 2, i32::MAX, 3),
                Rect::new(9, 9, 12, 12),
                Rect::new(4, 4, 2, 2),
            ] {
                let (before, after) = pixelated(format, size, rect);
                for ((old, new), (row, _)) in before.iter().zip(&after).zip(format.planes(size)) {
                    for (old, new) in old.chunks(row + PADDING).zip(new.chunks(row + PADDING)) {
                        assert_eq!(old[row..], new[row..], "{format:?} {rect:?}");
                    }
                }
            }
        }
    }
}
