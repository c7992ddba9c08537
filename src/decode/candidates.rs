//! From scores to detections: [`Labelling`], and what the heads of several families share.

use crate::detection::Detection;
use crate::geometry::BBox;

/// As how many classes one candidate may be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Labelling {
    /// As its best class; equal scores take the lower class. What a viewer wants.
    #[default]
    Best,
    /// As every class whose score reaches the threshold. What evaluations at very low thresholds assume: the second
    /// guess about an object then counts too.
    Every,
}

impl Labelling {
    /// Reports the class and score of a candidate whose class scores are `scores`, each times `factor`.
    ///
    /// Scores below `threshold`, and numbers that are not finite, are never reported.
    pub(super) fn choose(
        self,
        scores: impl Iterator<Item = f32>,
        factor: f32,
        threshold: f32,
        mut report: impl FnMut(u32, f32),
    ) {
        let passes = |score: f32| score >= threshold && score.is_finite();
        let finite = (0..).zip(scores).filter(|(_, score)| score.is_finite());
        match self {
            Self::Best => {
                let best = finite.reduce(|best, next| if next.1 > best.1 { next } else { best });
                if let Some((class, score)) = best
                    && passes(score * factor)
                {
                    report(class, score * factor);
                }
            }
            Self::Every => finite
                .map(|(class, score)| (class, score * factor))
                .filter(|&(_, score)| passes(score))
                .for_each(|(class, score)| report(class, score)),
        }
    }
}

/// Fields of a row before its class scores: box and objectness.
pub(super) const ROW_FIELDS: usize = 5;

/// Reads rows of `width` numbers: four of a box, objectness, then one probability a class; score is the product.
///
/// `bbox` makes the box of row `index` out of its first four numbers.
pub(super) fn decode_rows(
    values: &[f32],
    width: usize,
    labelling: Labelling,
    threshold: f32,
    bbox: impl Fn(usize, [f32; 4]) -> BBox,
    found: &mut Vec<Detection>,
) {
    for (index, row) in values.chunks_exact(width).enumerate() {
        let (fields, scores) = row.split_at(ROW_FIELDS);
        let objectness = fields[4];
        // Probabilities are at most 1, so the product is no higher. NaN is not at least the threshold either.
        if objectness >= threshold {
            labelling.choose(
                scores.iter().copied(),
                objectness,
                threshold,
                |class, score| {
                    let bbox = bbox(index, [fields[0], fields[1], fields[2], fields[3]]);
                    push(found, bbox, class, score);
                },
            );
        }
    }
}

/// Appends a detection unless its box is not finite.
pub(super) fn push(found: &mut Vec<Detection>, bbox: BBox, class: u32, score: f32) {
    if bbox.is_finite() {
        found.push(Detection { bbox, class, score });
    }
}

/// `1 / (1 + e^-x)`
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The sigmoid's inverse: a raw score is at least this if its sigmoid is at least `probability`, up to rounding.
fn logit(probability: f32) -> f32 {
    (probability / (1.0 - probability)).ln()
}

/// A raw score below this is below the threshold, with room for rounding.
pub(super) fn least_raw_score(score_threshold: f32) -> f32 {
    if score_threshold > 0.0 && score_threshold < 1.0 {
        logit(score_threshold) - 0.01
    } else {
        f32::NEG_INFINITY
    }
}

/// Length of a side given as logarithm of grid cells, in input pixels.
///
/// Held to a length whose square is still far from infinity; NaN if the logarithm is not finite.
pub(super) fn side_from_log(log: f32, stride: f32) -> f32 {
    const MAX_LOG: f32 = 20.0;
    if log.is_finite() {
        log.min(MAX_LOG).exp() * stride
    } else {
        f32::NAN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(labelling: Labelling, scores: &[f32], factor: f32) -> Vec<(u32, f32)> {
        let mut all = Vec::new();
        labelling.choose(scores.iter().copied(), factor, 0.5, |class, score| {
            all.push((class, score))
        });
        all
    }

    #[test]
    fn best_is_one_class_and_every_is_all_above() {
        let scores = [0.6, 0.2, 0.9, 0.5];
        assert_eq!(chosen(Labelling::Best, &scores, 1.0), [(2, 0.9)]);
        assert_eq!(
            chosen(Labelling::Every, &scores, 1.0),
            [(0, 0.6), (2, 0.9), (3, 0.5)]
        );
        assert_eq!(chosen(Labelling::Best, &scores, 0.5), []);
        assert_eq!(chosen(Labelling::Every, &[], 1.0), []);
    }

    #[test]
    fn numbers_that_are_not_finite_are_never_chosen() {
        let scores = [f32::NAN, f32::INFINITY, 0.6, f32::NEG_INFINITY];
        for labelling in [Labelling::Best, Labelling::Every] {
            assert_eq!(chosen(labelling, &scores, 1.0), [(2, 0.6)]);
            assert_eq!(chosen(labelling, &scores, f32::INFINITY), []);
            assert_eq!(chosen(labelling, &scores, f32::NAN), []);
        }
    }

    #[test]
    fn sides_from_huge_logarithms_are_finite() {
        assert_eq!(side_from_log(0.0, 8.0), 8.0);
        let huge = side_from_log(f32::MAX, 32.0);
        assert!((huge * huge).is_finite() && huge > 1e9, "{huge}");
        assert!(side_from_log(f32::INFINITY, 8.0).is_nan());
        assert!(side_from_log(f32::NAN, 8.0).is_nan());
        assert_eq!(side_from_log(f32::MIN, 8.0), 0.0);
    }

    #[test]
    fn sigmoid_and_its_inverse_agree() {
        assert_eq!(sigmoid(0.0), 0.5);
        assert_eq!(sigmoid(f32::INFINITY), 1.0);
        assert_eq!(sigmoid(-1000.0), 0.0, "no overflow");
        assert!(sigmoid(f32::NAN).is_nan());
        for p in [0.01, 0.3, 0.6, 0.99] {
            assert!((sigmoid(logit(p)) - p).abs() < 1e-6, "{p}");
        }
    }
}
