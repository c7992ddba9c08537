//! [`Axis`]: the source pixels, and their weights, that make each target pixel along one axis.
//!
//! Pixel centres lie at one half, `s = (t + 0.5) · source / target - 0.5`. A tap beyond the border uses the border's
//! pixel.
//!
//! - linear: `floor(s)` and the next, with weights `1 - f` and `f`;
//! - cubic: four taps around `s`, Keys' kernel with `a = -0.75`;
//! - area: every pixel that `[t, t + 1) · source / target` covers, weighted by the covered part.

use crate::base::tensor::Interpolation;

/// Keys' parameter, as in OpenCV.
const CUBIC_A: f64 = -0.75;
/// Share of a pixel that is too small for a tap.
const NEGLIGIBLE: f64 = 1e-6;

/// One source pixel and its weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tap {
    pub index: usize,
    pub weight: f32,
}

/// Taps of all target pixels of an axis. Every pixel has at least one, and its weights sum to 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    taps: Vec<Tap>,
    /// Index of the first tap of each target pixel, and the end.
    starts: Vec<usize>,
}

impl Axis {
    /// Computes the taps. Neither length may be 0. [`Interpolation::Area`] is meant for `target <= source`.
    pub fn new(source: usize, target: usize, interpolation: Interpolation) -> Self {
        let ratio = source as f64 / target as f64;
        let mut axis = Self {
            taps: Vec::new(),
            starts: vec![0],
        };
        for t in 0..target {
            let position = (t as f64 + 0.5) * ratio - 0.5;
            match interpolation {
                Interpolation::Linear => axis.push_linear(position, source),
                Interpolation::Cubic => axis.push_cubic(position, source),
                Interpolation::Area => axis.push_area(t as f64 * ratio, ratio, source),
            }
            axis.starts.push(axis.taps.len());
        }
        axis
    }

    /// Returns the axis of a component with one sample for two pixels, as if every sample were written twice.
    pub fn halved(&self) -> Self {
        let mut halved = self.clone();
        for tap in &mut halved.taps {
            tap.index /= 2;
        }
        halved
    }

    /// Returns the taps of target pixel `t`, by rising index.
    pub fn taps(&self, t: usize) -> &[Tap] {
        &self.taps[self.starts[t]..self.starts[t + 1]]
    }

    /// Returns the number of target pixels.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Returns the first sample of each pixel and the weight of the next one, for axes with two taps per pixel
    /// ([`Interpolation::Linear`]).
    ///
    /// The next sample lies beyond the border only where its weight is 0.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, f32)> {
        self.taps
            .as_chunks()
            .0
            .iter()
            .map(|[first, second]: &[Tap; 2]| {
                let apart = first.index != second.index;
                (first.index, if apart { second.weight } else { 0.0 })
            })
    }

    fn push_linear(&mut self, position: f64, source: usize) {
        let base = position.floor();
        let fraction = position - base;
        let first = clamp(base, source);
        // A tap without weight repeats its neighbour's pixel, so that no row is read in vain.
        let second = if fraction > 0.0 {
            clamp(base + 1.0, source)
        } else {
            first
        };
        self.push(first, 1.0 - fraction);
        self.push(second, fraction);
    }

    fn push_cubic(&mut self, position: f64, source: usize) {
        let base = position.floor();
        let near = |d: f64| ((CUBIC_A + 2.0) * d - (CUBIC_A + 3.0)) * d * d + 1.0;
        let far = |d: f64| ((CUBIC_A * d - 5.0 * CUBIC_A) * d + 8.0 * CUBIC_A) * d - 4.0 * CUBIC_A;
        let f = position - base;
        for (offset, weight) in [
            (-1.0, far(f + 1.0)),
            (0.0, near(f)),
            (1.0, near(1.0 - f)),
            (2.0, far(2.0 - f)),
        ] {
            self.push(clamp(base + offset, source), weight);
        }
    }

    fn push_area(&mut self, start: f64, length: f64, source: usize) {
        let end = (start + length).min(source as f64);
        let (first, last) = (
            clamp(start.floor(), source),
            clamp(end.ceil() - 1.0, source),
        );
        let part = |index: usize| (index as f64 + 1.0).min(end) - (index as f64).max(start);
        let kept = |index: &usize| part(*index) > NEGLIGIBLE;
        let covered: f64 = (first..=last).filter(kept).map(part).sum();
        for index in (first..=last).filter(kept) {
            self.push(index, part(index) / covered);
        }
    }

    fn push(&mut self, index: usize, weight: f64) {
        self.taps.push(Tap {
            index,
            weight: weight as f32,
        });
    }
}

/// Returns the pixel at `position`, or the border's.
fn clamp(position: f64, source: usize) -> usize {
    position.clamp(0.0, (source - 1) as f64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taps(axis: &Axis, t: usize) -> Vec<(usize, f32)> {
        axis.taps(t)
            .iter()
            .map(|tap| (tap.index, tap.weight))
            .collect()
    }

    #[test]
    fn linear_taps_lie_around_the_centre_and_stop_at_the_border() {
        let half = Axis::new(4, 2, Interpolation::Linear);
        assert_eq!(taps(&half, 0), [(0, 0.5), (1, 0.5)]);
        assert_eq!(taps(&half, 1), [(2, 0.5), (3, 0.5)]);
        let double = Axis::new(2, 4, Interpolation::Linear);
        assert_eq!(taps(&double, 0), [(0, 0.25), (0, 0.75)]);
        assert_eq!(taps(&double, 3), [(1, 0.75), (1, 0.25)]);
        let same = Axis::new(3, 3, Interpolation::Linear);
        assert_eq!(
            taps(&same, 1),
            [(1, 1.0), (1, 0.0)],
            "the neighbour is not read"
        );
    }

    #[test]
    fn cubic_weights_at_the_middle_are_those_of_keys() {
        let axis = Axis::new(8, 4, Interpolation::Cubic);
        let weights: Vec<f32> = axis.taps(1).iter().map(|tap| tap.weight).collect();
        assert_eq!(weights, [-0.09375, 0.59375, 0.59375, -0.09375]);
        assert_eq!(axis.taps(0)[0].index, 0, "clamped");
    }

    #[test]
    fn area_weighs_by_the_part_covered() {
        let axis = Axis::new(5, 2, Interpolation::Area);
        assert_eq!(taps(&axis, 0), [(0, 0.4), (1, 0.4), (2, 0.2)]);
        assert_eq!(taps(&axis, 1), [(2, 0.2), (3, 0.4), (4, 0.4)]);
        assert_eq!(
            taps(&Axis::new(6, 2, Interpolation::Area), 1).len(),
            3,
            "no tap without share"
        );
    }

    #[test]
    fn every_pixel_is_whole_and_inside_at_any_ratio() {
        for interpolation in [
            Interpolation::Linear,
            Interpolation::Cubic,
            Interpolation::Area,
        ] {
            for (source, target) in [
                (1, 1),
                (1, 7),
                (2, 1),
                (1080, 234),
                (3840, 64),
                (1919, 640),
                (100, 99),
            ] {
                if interpolation == Interpolation::Area && target > source {
                    continue;
                }
                let axis = Axis::new(source, target, interpolation);
                assert_eq!(axis.len(), target);
                for t in 0..target {
                    let sum: f32 = axis.taps(t).iter().map(|tap| tap.weight).sum();
                    assert!(
                        (sum - 1.0).abs() < 1e-5,
                        "{interpolation:?} {source}->{target} at {t}: {sum}"
                    );
                    assert!(axis.taps(t).iter().all(|tap| tap.index < source));
                    assert!(axis.taps(t).is_sorted_by_key(|tap| tap.index));
                }
            }
        }
    }

    #[test]
    fn a_pair_across_the_border_has_no_share() {
        for (source, target) in [(1, 5), (2, 9), (7, 5), (640, 640)] {
            let axis = Axis::new(source, target, Interpolation::Linear);
            for (base, share) in axis.pairs() {
                assert!(
                    base + 1 < source || share == 0.0,
                    "{source}->{target}: {base} {share}"
                );
            }
        }
    }
}
