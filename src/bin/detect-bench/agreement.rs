//! Compares the boxes that two models or engines found in the same picture.
//!
//! Expected boxes are paired in order of falling score. Each takes the box of its label with the largest IoU that is not
//! paired yet, if this IoU is large enough.

use crate::report::Agreement;
use gstdetect::base::geometry::BBox;

/// A found box, in pixels of the picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub bbox: BBox,
    pub score: f64,
    pub label: String,
}

/// Index in the expected list, index in the found list, IoU.
pub type Pair = (usize, usize, f32);

/// Pairs expected with found boxes whose IoU is at least `least_iou`.
pub fn pairs(expected: &[Found], found: &[Found], least_iou: f32) -> Vec<Pair> {
    let mut order: Vec<usize> = (0..expected.len()).collect();
    order.sort_by(|a, b| expected[*b].score.total_cmp(&expected[*a].score));
    let mut taken = vec![false; found.len()];
    let mut pairs = Vec::new();
    for place in order {
        let wanted = &expected[place];
        let candidates = found
            .iter()
            .enumerate()
            .filter(|(n, f)| !taken[*n] && f.label == wanted.label);
        let best = candidates
            .map(|(n, f)| (n, f.bbox.iou(&wanted.bbox)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((n, iou)) = best
            && iou >= least_iou
        {
            taken[n] = true;
            pairs.push((place, n, iou));
        }
    }
    pairs
}

/// Adds up the agreement of several pictures.
#[derive(Debug, Default)]
pub struct Tally {
    agreement: Agreement,
    score_differences: f64,
    ious: f64,
}

impl Tally {
    /// Adds a picture.
    pub fn add(&mut self, expected: &[Found], found: &[Found]) {
        let pairs_50 = pairs(expected, found, 0.5);
        let sums = &mut self.agreement;
        sums.expected += expected.len();
        sums.found += found.len();
        sums.matched_50 += pairs_50.len();
        sums.matched_80 += pairs(expected, found, 0.8).len();
        sums.missing += expected.len() - pairs_50.len();
        sums.extra += found.len() - pairs_50.len();
        for (wanted, got, iou) in pairs_50 {
            self.score_differences += found[got].score - expected[wanted].score;
            self.ious += f64::from(iou);
        }
    }

    pub fn agreement(&self) -> Agreement {
        let pairs = self.agreement.matched_50.max(1) as f64;
        Agreement {
            mean_score_difference: self.score_differences / pairs,
            mean_iou: self.ious / pairs,
            ..self.agreement
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(x: f32, width: f32, score: f64, label: &str) -> Found {
        Found {
            bbox: BBox::new(x, 0.0, x + width, 10.0),
            score,
            label: label.into(),
        }
    }

    #[test]
    fn a_box_has_one_partner_of_its_label() {
        let expected = [found(0.0, 10.0, 0.5, "cat"), found(1.0, 10.0, 0.9, "cat")];
        let got = [found(1.0, 10.0, 0.8, "cat"), found(0.0, 10.0, 0.8, "dog")];
        assert_eq!(pairs(&expected, &got, 0.5), [(1, 0, 1.0)]);
        assert!(pairs(&expected, &[], 0.5).is_empty());
    }

    #[test]
    fn what_stands_alone_is_missing_or_extra() {
        let mut tally = Tally::default();
        let expected = [found(0.0, 10.0, 0.9, "cat"), found(50.0, 10.0, 0.5, "cat")];
        let got = [found(0.0, 14.0, 0.8, "cat"), found(90.0, 10.0, 0.4, "cat")];
        tally.add(&expected, &got);
        tally.add(&[], &got[..1]);
        let sums = tally.agreement();
        assert_eq!((sums.expected, sums.found), (2, 3));
        assert_eq!(
            (sums.matched_50, sums.matched_80),
            (1, 0),
            "the IoU is 10/14"
        );
        assert_eq!((sums.missing, sums.extra), (1, 2));
        assert!((sums.mean_score_difference + 0.1).abs() < 1e-9);
    }

    #[test]
    fn the_same_boxes_agree() {
        let boxes = [found(0.0, 10.0, 0.9, "cat"), found(50.0, 10.0, 0.5, "cat")];
        let mut tally = Tally::default();
        tally.add(&boxes, &boxes);
        let sums = tally.agreement();
        assert_eq!((sums.matched_80, sums.missing, sums.extra), (2, 0, 0));
        assert_eq!((sums.mean_iou, sums.mean_score_difference), (1.0, 0.0));
    }
}
