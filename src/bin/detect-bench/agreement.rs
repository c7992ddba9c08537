//! Boxes of two who have looked at the same picture: which are pairs, and which stand alone.
//!
//! Boxes are paired in order of falling score of the expected one, each with the box of its label, not taken yet, of
//! the largest IoU, if that is large enough.

use crate::report::Agreement;
use gstdetect::base::geometry::BBox;

/// A box as told to others, in pixels of the picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub bbox: BBox,
    pub score: f64,
    pub label: String,
}

/// A pair: places in both lists, and the IoU.
pub type Pair = (usize, usize, f32);

/// Pairs of `expected` and `found`.
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

/// Sums over pictures.
#[derive(Debug, Default)]
pub struct Tally {
    agreement: Agreement,
    score_differences: f64,
    ious: f64,
}

impl Tally {
    /// One more picture.
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
        let told = tally.agreement();
        assert_eq!((told.expected, told.found), (2, 3));
        assert_eq!(
            (told.matched_50, told.matched_80),
            (1, 0),
            "the IoU is 10/14"
        );
        assert_eq!((told.missing, told.extra), (1, 2));
        assert!((told.mean_score_difference + 0.1).abs() < 1e-9);
    }

    #[test]
    fn the_same_boxes_agree() {
        let boxes = [found(0.0, 10.0, 0.9, "cat"), found(50.0, 10.0, 0.5, "cat")];
        let mut tally = Tally::default();
        tally.add(&boxes, &boxes);
        let told = tally.agreement();
        assert_eq!((told.matched_80, told.missing, told.extra), (2, 0, 0));
        assert_eq!((told.mean_iou, told.mean_score_difference), (1.0, 0.0));
    }
}
