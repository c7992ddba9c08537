//! From scores to detections: [`Labelling`], and what the heads of several families share.

use crate::base::classes::Cutoffs;
use crate::base::detection::Detection;
use crate::base::geometry::BBox;
use std::sync::Arc;

/// The classes as which one candidate is reported.
///
/// Where only some classes are wanted the decoder knows them, so that a class that nobody wants, or that does not reach
/// its own threshold, does not hide one that is wanted and does.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Labelling {
    /// Its best class; equal scores take the lower class. A viewer wants this.
    #[default]
    Best,
    /// Every class whose score reaches the threshold. Evaluations at very low thresholds assume this: the second
    /// guess about an object then counts too.
    Every,
    /// The best of the classes that are wanted and reach their own threshold.
    BestOf(Arc<Cutoffs>),
    /// Every class that is wanted and reaches its own threshold.
    EveryOf(Arc<Cutoffs>),
}

impl Labelling {
    /// Chooses among the classes that `cutoffs` admit; `None` admits all.
    pub fn new(every: bool, cutoffs: Option<Arc<Cutoffs>>) -> Self {
        match (every, cutoffs) {
            (false, None) => Self::Best,
            (true, None) => Self::Every,
            (false, Some(cutoffs)) => Self::BestOf(cutoffs),
            (true, Some(cutoffs)) => Self::EveryOf(cutoffs),
        }
    }

    /// Reports the class and score of a candidate whose class scores are `scores`, each times `factor`.
    ///
    /// Scores below `threshold`, and numbers that are not finite, are never reported.
    pub(crate) fn choose(
        &self,
        scores: impl Iterator<Item = f32>,
        factor: f32,
        threshold: f32,
        mut report: impl FnMut(u32, f32),
    ) {
        let passes = |score: f32| score >= threshold && score.is_finite();
        let finite = (0..).zip(scores).filter(|(_, score)| score.is_finite());
        let times_factor = |(class, score): (u32, f32)| (class, score * factor);
        match self {
            Self::Best => {
                if let Some((class, score)) = finite.reduce(better).map(times_factor)
                    && passes(score)
                {
                    report(class, score);
                }
            }
            Self::Every => finite
                .map(times_factor)
                .filter(|&(_, score)| passes(score))
                .for_each(|(class, score)| report(class, score)),
            Self::BestOf(cutoffs) => {
                let wanted = finite
                    .map(times_factor)
                    .filter(|&(class, score)| passes(score) && cutoffs.admits(class, score));
                if let Some((class, score)) = wanted.reduce(better) {
                    report(class, score);
                }
            }
            Self::EveryOf(cutoffs) => finite
                .map(times_factor)
                .filter(|&(class, score)| passes(score) && cutoffs.admits(class, score))
                .for_each(|(class, score)| report(class, score)),
        }
    }
}

/// The class of the higher score, or the first.
fn better(best: (u32, f32), next: (u32, f32)) -> (u32, f32) {
    if next.1 > best.1 { next } else { best }
}

/// Whether one of `scores` is at least `threshold`. Of most candidates none is, and this is told of many at a time.
pub(crate) fn reaches(scores: &[f32], threshold: f32) -> bool {
    let one_of = |some: &[f32]| some.iter().fold(false, |any, s| any | (*s >= threshold));
    let (blocks, rest) = scores.as_chunks::<16>();
    blocks.iter().any(|block| one_of(block)) || one_of(rest)
}

/// Columns looked at together: enough for the vector unit, little enough for the first cache.
pub(crate) const BLOCK: usize = 128;

/// The highest score of each column from `start` to `end`; NaN counts as none.
pub(crate) fn highest_scores(
    scores: &[f32],
    candidates: usize,
    start: usize,
    end: usize,
) -> [f32; BLOCK] {
    let mut highest = [f32::NEG_INFINITY; BLOCK];
    for row in scores.chunks_exact(candidates) {
        for (highest, &score) in highest.iter_mut().zip(&row[start..end]) {
            if score > *highest {
                *highest = score;
            }
        }
    }
    highest
}

/// Fields of a row before its class scores: box and objectness.
pub(crate) const ROW_FIELDS: usize = 5;

/// Reads rows of `width` numbers: four of a box, objectness, then one probability a class; score is the product.
///
/// `bbox` makes the box of row `index` out of its first four numbers.
pub(crate) fn decode_rows(
    values: &[f32],
    width: usize,
    labelling: &Labelling,
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
pub(crate) fn push(found: &mut Vec<Detection>, bbox: BBox, class: u32, score: f32) {
    if bbox.is_finite() {
        found.push(Detection { bbox, class, score });
    }
}

/// `1 / (1 + e^-x)`
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The sigmoid of a raw score; NaN, which is never a detection, of one that is not finite.
pub(crate) fn probability(raw: f32) -> f32 {
    if raw.is_finite() {
        sigmoid(raw)
    } else {
        f32::NAN
    }
}

/// The sigmoid's inverse: a raw score is at least this if its sigmoid is at least `probability`, up to rounding.
fn logit(probability: f32) -> f32 {
    (probability / (1.0 - probability)).ln()
}

/// A raw score below this is below the threshold, with room for rounding.
pub(crate) fn least_raw_score(score_threshold: f32) -> f32 {
    if score_threshold > 0.0 && score_threshold < 1.0 {
        logit(score_threshold) - 0.01
    } else {
        f32::NEG_INFINITY
    }
}

/// Length of a side given as logarithm of grid cells, in input pixels.
///
/// Held to a length whose square is still far from infinity; NaN if the logarithm is not finite.
pub(crate) fn side_from_log(log: f32, stride: f32) -> f32 {
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

    fn chosen(labelling: &Labelling, scores: &[f32], factor: f32) -> Vec<(u32, f32)> {
        let mut all = Vec::new();
        labelling.choose(scores.iter().copied(), factor, 0.5, |class, score| {
            all.push((class, score))
        });
        all
    }

    #[test]
    fn best_is_one_class_and_every_is_all_above() {
        let scores = [0.6, 0.2, 0.9, 0.5];
        assert_eq!(chosen(&Labelling::Best, &scores, 1.0), [(2, 0.9)]);
        assert_eq!(
            chosen(&Labelling::Every, &scores, 1.0),
            [(0, 0.6), (2, 0.9), (3, 0.5)]
        );
        assert_eq!(chosen(&Labelling::Best, &scores, 0.5), []);
        assert_eq!(chosen(&Labelling::Every, &[], 1.0), []);
    }

    #[test]
    fn what_nobody_wants_hides_nothing() {
        let labels = ["a", "b", "c", "d"].map(str::to_owned);
        let of = |text: &str, every| {
            let selection = crate::base::classes::Selection::new(text, &labels).expect("a list");
            Labelling::new(every, Some(Arc::new(selection.cutoffs(0.5))))
        };
        let scores = [0.6, f32::NAN, 0.9, 0.55];
        assert_eq!(chosen(&of("a,b,d", false), &scores, 1.0), [(0, 0.6)]);
        assert_eq!(chosen(&of("a=0.7,d", false), &scores, 1.0), [(3, 0.55)]);
        assert_eq!(
            chosen(&of("a,b,d", true), &scores, 1.0),
            [(0, 0.6), (3, 0.55)]
        );
        assert_eq!(chosen(&of("b", false), &scores, 1.0), []);
        assert_eq!(chosen(&of("a", false), &scores, 0.8), [], "0.48 after all");
        // The threshold of the call holds too: it is the lowest of all in the detector.
        assert_eq!(chosen(&of("a=0.1", false), &[0.4], 1.0), []);
    }

    #[test]
    fn numbers_that_are_not_finite_are_never_chosen() {
        let scores = [f32::NAN, f32::INFINITY, 0.6, f32::NEG_INFINITY];
        for labelling in [&Labelling::Best, &Labelling::Every] {
            assert_eq!(chosen(labelling, &scores, 1.0), [(2, 0.6)]);
            assert_eq!(chosen(labelling, &scores, f32::INFINITY), []);
            assert_eq!(chosen(labelling, &scores, f32::NAN), []);
        }
    }

    #[test]
    fn a_score_that_reaches_the_threshold_is_seen_wherever_it_is() {
        for count in [1, 15, 16, 17, 80] {
            let mut scores = vec![f32::NAN; count];
            assert!(!reaches(&scores, 0.0));
            for place in 0..count {
                scores.fill(0.1);
                assert!(!reaches(&scores, 0.2));
                scores[place] = 0.2;
                assert!(reaches(&scores, 0.2), "{place} of {count}");
            }
        }
        assert!(!reaches(&[], 0.0));
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
