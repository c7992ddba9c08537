//! [`BilinearSample`]: pictures sampled at places that the network computes, as deformable attention does.

use super::planes::{each_plane, of_dims};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::nn::{GridSample, InterpolationMode, PaddingMode};

/// Samples f32 maps `[n, channels, rows, columns]` at the places of a grid `[n, ..., 2]`, (x, y) from -1 to 1, with
/// weights of the four pixels around each place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct BilinearSample {
    output: [usize; 4],
    rows: usize,
    columns: usize,
    /// -1 and 1 are the centres of the outer pixels, not their outer edges.
    align_corners: bool,
    /// A place outside takes the nearest pixels, not zeros.
    to_border: bool,
}

impl BilinearSample {
    /// Returns the operator for `sample`, or `None` if it is of another kind or not of pictures.
    pub fn from_grid_sample(sample: &GridSample, inputs: &[&TypedFact]) -> Option<Self> {
        let [maps, grid] = inputs else {
            return None;
        };
        let plain = sample.mode == InterpolationMode::Bilinear
            && sample.padding_mode != PaddingMode::Reflection
            && [maps, grid].map(|fact| fact.datum_type) == [f32::datum_type(); 2];
        let &[n, channels, rows, columns] = maps.shape.as_concrete()? else {
            return None;
        };
        let &[pictures, height, width, 2] = grid.shape.as_concrete()? else {
            return None;
        };
        let some = ![n, channels, rows, columns, height, width].contains(&0);
        (plain && pictures == n && some && rows * columns <= u32::MAX as usize).then(|| Self {
            output: [n, channels, height, width],
            rows,
            columns,
            align_corners: sample.align_corners,
            to_border: sample.padding_mode == PaddingMode::Border,
        })
    }

    /// Returns the two neighbours along an axis of `size` pixels, with their weights, of a place from -1 to 1.
    ///
    /// A neighbour outside has the weight 0 and the index of a pixel inside.
    #[inline]
    fn neighbours(&self, place: f32, size: usize) -> [(usize, f32); 2] {
        let (length, last) = (size as f32, size as f32 - 1.0);
        let mut pixel = if self.align_corners {
            (place + 1.0) / 2.0 * last
        } else {
            ((place + 1.0) * length - 1.0) / 2.0
        };
        if self.to_border {
            pixel = pixel.clamp(0.0, last);
        } else if pixel <= -1.0 || pixel >= length {
            return [(0, 0.0); 2];
        }
        let low = pixel.floor();
        let inside = |index: f32| !(index < 0.0 || index > last);
        let neighbour = |index, weight| {
            if inside(index) {
                (index as usize, weight)
            } else {
                (0, 0.0)
            }
        };
        [
            neighbour(low, low + 1.0 - pixel),
            neighbour(low + 1.0, pixel - low),
        ]
    }

    /// Finds the pixels around each place of `grid`.
    fn find_corners(&self, grid: &[f32], corners: &mut Vec<Corners>) {
        corners.clear();
        corners.extend(grid.chunks_exact(2).map(|place| {
            let [(left, from_left), (right, from_right)] = self.neighbours(place[0], self.columns);
            let [(top, from_top), (bottom, from_bottom)] = self.neighbours(place[1], self.rows);
            let index = |row: usize, column: usize| (row * self.columns + column) as u32;
            Corners {
                pixels: [
                    index(top, left),
                    index(top, right),
                    index(bottom, left),
                    index(bottom, right),
                ],
                weights: [
                    from_top * from_left,
                    from_top * from_right,
                    from_bottom * from_left,
                    from_bottom * from_right,
                ],
            }
        }));
    }
}

/// The four pixels around a place, and their weights.
struct Corners {
    pixels: [u32; 4],
    weights: [f32; 4],
}

impl Corners {
    #[inline]
    fn sample(&self, map: &[f32]) -> f32 {
        let [a, b, c, d] = self.pixels.map(|pixel| map[pixel as usize]);
        let [wa, wb, wc, wd] = self.weights;
        a * wa + b * wb + (c * wc + d * wd)
    }
}

of_dims!(BilinearSample, "DetectGridSample", output);

impl EvalOp for BilinearSample {
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (maps, grid) = args_2!(inputs);
        let [n, channels, height, width] = self.output;
        let (area, places) = (self.rows * self.columns, height * width);
        ensure!(
            maps.len() == n * channels * area && grid.len() == n * places * 2,
            "maps {:?} and a grid {:?} for samples {:?}",
            maps.shape(),
            grid.shape(),
            self.output
        );
        let grid = grid.try_as_plain_ram()?;
        let grid = grid.as_slice::<f32>()?;
        each_plane(
            &maps,
            &self.output,
            [channels * area, channels * places],
            || Vec::with_capacity(places),
            |corners, picture, maps, output| {
                let grid = &grid[picture * places * 2..][..places * 2];
                self.find_corners(grid, corners);
                let maps = maps.chunks_exact(area);
                for (map, output) in maps.zip(output.chunks_exact_mut(places)) {
                    for (output, corners) in output.iter_mut().zip(corners.iter()) {
                        *output = corners.sample(map);
                    }
                }
            },
        )
    }

    op_out_of_plan!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_far_outside_have_pixels_inside() {
        let sample = |to_border| BilinearSample {
            output: [1, 1, 1, 1],
            rows: 1,
            columns: 5,
            align_corners: false,
            to_border,
        };
        for (place, nearest) in [(9e9, 4), (f32::INFINITY, 4), (-9e9, 0)] {
            let outside = sample(false).neighbours(place, 5);
            assert_eq!(outside, [(0, 0.0); 2], "{place}");
            let [(pixel, weight), (next, rest)] = sample(true).neighbours(place, 5);
            assert_eq!((pixel, weight, rest), (nearest, 1.0, 0.0), "{place}");
            assert!(next < 5, "{place}");
        }
        let [(pixel, weight), (next, _)] = sample(false).neighbours(f32::NAN, 5);
        assert!(pixel < 5 && next < 5 && weight.is_nan());
    }
}
