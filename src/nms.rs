//! [`suppress`]: greedy non-maximum suppression.
//!
//! Boxes are looked at in order of falling score, equal scores in the order they came in. A box is removed when its
//! IoU with a kept box *of the same class* is strictly above the threshold. IoU is that of
//! [`BBox::iou`](crate::geometry::BBox::iou): in float, continuous coordinates, no +1.
//!
//! The kept boxes of a class lie sorted by their left edge, so that a candidate meets only those that can reach
//! the threshold: of two boxes with IoU above `t` the intersection is wider than `t` times either box, which bounds
//! how far left and how far right the partner may begin.

use crate::detection::Detection;
use crate::geometry::BBox;
use std::collections::HashMap;

/// Keeps boxes in order of falling score (ties: lower index first), at most `max` of them.
///
/// A box is removed when its IoU with a kept box *of the same class* is strictly above `iou_threshold`, which is
/// 0..=1; at 1 and above nothing is suppressed. A box with a coordinate that is not finite neither removes nor is
/// removed. Boxes may be in any space, all in the same.
///
/// Cost: the sort, then for each candidate the kept boxes of its class near it; it ends with the `max`th kept box.
pub fn suppress(detections: &mut Vec<Detection>, iou_threshold: f32, max: usize) {
    // Stable, which is the rule for ties.
    detections.sort_by(|a, b| b.score.total_cmp(&a.score));
    if iou_threshold >= 1.0 {
        detections.truncate(max);
        return;
    }
    let mut classes: HashMap<u32, Kept> = HashMap::new();
    let mut count = 0;
    for index in 0..detections.len() {
        if count == max {
            break;
        }
        let detection = detections[index];
        let kept = classes.entry(detection.class).or_default();
        if kept.admit(&detection.bbox, iou_threshold) {
            // `count <= index`: only places already read are overwritten.
            detections[count] = detection;
            count += 1;
        }
    }
    detections.truncate(count);
}

/// The kept boxes of one class, sorted by `x1`.
#[derive(Default)]
struct Kept {
    boxes: Vec<BBox>,
    /// Width of the widest of them.
    widest: f32,
}

impl Kept {
    /// Adds the box unless one of those already there suppresses it; says whether it was added.
    fn admit(&mut self, bbox: &BBox, iou_threshold: f32) -> bool {
        if !bbox.is_finite() {
            return true;
        }
        let (width, t) = (bbox.width(), iou_threshold.max(0.0));
        // Room for the rounding of IoU itself, in the unit of the coordinates.
        let slack = (bbox.x1.abs() + bbox.x2.abs()) * 1e-6 + width * 1e-3;
        // A partner is narrower than `width / t`, and more than `t` of it lies inside; so does more than `t` of `bbox`.
        let reach = self.widest.min(width * (1.0 - t) / t);
        let first = bbox.x1 - reach - slack;
        let last = bbox.x2 - t * width + slack;
        let from = self.boxes.partition_point(|kept| kept.x1 < first);
        let suppressed = self.boxes[from..]
            .iter()
            .take_while(|kept| kept.x1 <= last)
            .any(|kept| kept.iou(bbox) > iou_threshold);
        if suppressed {
            return false;
        }
        let place = self.boxes.partition_point(|kept| kept.x1 < bbox.x1);
        self.boxes.insert(place, *bbox);
        self.widest = self.widest.max(bbox.width());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, word by word.
    fn naive(detections: &[Detection], iou_threshold: f32, max: usize) -> Vec<Detection> {
        let mut order: Vec<usize> = (0..detections.len()).collect();
        order.sort_by(|&a, &b| {
            let by_score = detections[b].score.total_cmp(&detections[a].score);
            by_score.then(a.cmp(&b))
        });
        let mut kept: Vec<Detection> = Vec::new();
        for index in order {
            let candidate = detections[index];
            let removed = kept
                .iter()
                .any(|k| k.class == candidate.class && k.bbox.iou(&candidate.bbox) > iou_threshold);
            if !removed {
                kept.push(candidate);
            }
        }
        kept.truncate(max);
        kept
    }

    fn fast(detections: &[Detection], iou_threshold: f32, max: usize) -> Vec<Detection> {
        let mut detections = detections.to_vec();
        suppress(&mut detections, iou_threshold, max);
        detections
    }

    /// Numbers 0.0..1.0 that are the same on every machine (a multiplicative congruential generator).
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> f32 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (self.0 >> 40) as f32 / (1u64 << 24) as f32
        }
    }

    /// Boxes on a coarse raster, so that equal boxes, equal scores and touching edges are frequent.
    fn random_boxes(seed: u64) -> Vec<Detection> {
        let mut random = Random(seed.wrapping_mul(2).wrapping_add(1));
        let count = (random.next() * 120.0) as usize;
        (0..count)
            .map(|_| {
                let x1 = (random.next() * 40.0).floor() - 10.0;
                let y1 = (random.next() * 40.0).floor() - 10.0;
                let width = (random.next() * 20.0).floor();
                let height = (random.next() * 20.0).floor();
                Detection {
                    bbox: BBox::new(x1, y1, x1 + width, y1 + height),
                    class: (random.next() * 3.0) as u32,
                    score: (random.next() * 8.0).floor() / 8.0,
                }
            })
            .collect()
    }

    fn detection(x1: f32, x2: f32, class: u32, score: f32) -> Detection {
        Detection {
            bbox: BBox::new(x1, 0.0, x2, 1.0),
            class,
            score,
        }
    }

    #[test]
    fn agrees_with_the_naive_definition() {
        let thresholds = [0.0, 0.2, 0.45, 0.5, 0.7, 0.999, 1.0];
        for seed in 0..500 {
            let boxes = random_boxes(seed);
            let iou = thresholds[seed as usize % thresholds.len()];
            for max in [0, 1, 7, 1000] {
                assert_eq!(
                    fast(&boxes, iou, max),
                    naive(&boxes, iou, max),
                    "seed {seed}, {iou}, {max}"
                );
            }
        }
    }

    #[test]
    fn the_threshold_itself_does_not_suppress() {
        // Intersection 1, union 3.
        let boxes = [detection(0.0, 2.0, 0, 0.9), detection(1.0, 3.0, 0, 0.8)];
        assert_eq!(fast(&boxes, 1.0 / 3.0, 100).len(), 2);
        assert_eq!(fast(&boxes, 0.333, 100).len(), 1);
    }

    #[test]
    fn classes_do_not_suppress_each_other() {
        let boxes = [detection(0.0, 2.0, 0, 0.9), detection(0.0, 2.0, 1, 0.8)];
        assert_eq!(fast(&boxes, 0.5, 100), boxes);
    }

    #[test]
    fn ties_keep_the_lower_index() {
        let boxes = [detection(0.0, 2.0, 0, 0.5), detection(0.0, 2.1, 0, 0.5)];
        assert_eq!(fast(&boxes, 0.5, 100), boxes[..1]);
    }

    #[test]
    fn a_removed_box_removes_nothing() {
        let boxes = [
            detection(0.0, 4.0, 0, 0.9),
            detection(1.0, 5.0, 0, 0.8),
            detection(2.0, 6.0, 0, 0.7),
        ];
        assert_eq!(fast(&boxes, 0.5, 100), [boxes[0], boxes[2]]);
    }

    #[test]
    fn numbers_that_are_none_do_no_harm() {
        let boxes = [
            detection(f32::NAN, 2.0, 0, 0.9),
            detection(0.0, f32::INFINITY, 0, 0.8),
            detection(0.0, 2.0, 0, f32::NAN),
            detection(0.0, 2.0, 0, 0.7),
        ];
        let kept = fast(&boxes, 0.5, 100);
        assert_eq!(kept.len(), 3, "{kept:?}");
        assert_eq!(fast(&boxes[3..], f32::NAN, 100).len(), 1);
    }

    #[test]
    fn no_candidates_are_no_detections() {
        assert_eq!(fast(&[], 0.5, 100), []);
    }
}
