//! [`suppress`]: greedy non-maximum suppression.
//!
//! Boxes are visited by falling score, ties in the order they came. A box is removed when its IoU with a kept box *of
//! the same class* is strictly above the threshold. The IoU is [`BBox::iou`](crate::base::geometry::BBox::iou): in
//! float, continuous coordinates, no +1.
//!
//! A kept box must not be compared with every other box. If the IoU of two boxes is above `t`, then along each axis
//! their intersection is longer than `t` times the longer side. That limits how much their sides differ, and how far
//! apart they begin. So boxes of a class are sorted into groups of similar height, within a group into horizontal
//! strips, and within a strip by their left edge. A kept box visits a part of a few strips. Kept boxes overlap little,
//! so each box is visited by few of them, and the cost stays that of sorting. Only near a threshold of 1, where all
//! boxes may be kept and overlap, must every pair be compared.

use crate::base::detection::Detection;
use crate::base::geometry::BBox;
use std::ops::Range;

/// Keeps boxes in order of falling score (ties: lower index first), at most `max` of them.
///
/// A box is removed when its IoU with a kept box *of the same class* is strictly above `iou_threshold`, 0 to 1; from 1
/// on nothing is suppressed. A box without area, or with a coordinate that is not finite, neither removes nor is
/// removed. All boxes must be in the same space.
pub fn suppress(detections: &mut Vec<Detection>, iou_threshold: f32, max: usize) {
    run(detections, iou_threshold, max, |detection| detection.class);
}

/// Suppresses like [`suppress`], but also between boxes of different classes.
pub fn suppress_across_classes(detections: &mut Vec<Detection>, iou_threshold: f32, max: usize) {
    run(detections, iou_threshold, max, |_| 0);
}

fn run(
    detections: &mut Vec<Detection>,
    iou_threshold: f32,
    max: usize,
    class: impl Fn(&Detection) -> u32,
) {
    // A stable sort gives the rule for ties.
    detections.sort_by(|a, b| b.score.total_cmp(&a.score));
    if iou_threshold < 1.0 && max > 0 {
        let field = Field::new(detections, &class);
        let mut removed = vec![false; detections.len()];
        let mut kept = 0;
        for rank in 0..detections.len() {
            if removed[rank] {
                continue;
            }
            // `kept <= rank`: only places already read are overwritten.
            let detection = detections[rank];
            detections[kept] = detection;
            kept += 1;
            if kept == max {
                break;
            }
            field.remove(
                &detection.bbox,
                class(&detection),
                iou_threshold,
                &mut removed,
            );
        }
        detections.truncate(kept);
    }
    detections.truncate(max);
}

/// Position of a box among those it may be compared with. Ordered by its fields in sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    class: u32,
    /// Heights from a quarter of [`top`] up to all of it.
    level: u32,
    /// Upper edge, in whole multiples of `top`.
    strip: i64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    bbox: BBox,
    /// Index of the detection, in order of falling score.
    rank: u32,
}

/// Boxes at one place.
#[derive(Debug)]
struct Strip {
    number: i64,
    entries: Range<usize>,
}

/// Boxes of one class and level.
#[derive(Debug)]
struct Group {
    class: u32,
    level: u32,
    strips: Range<usize>,
    lowest: f64,
    tallest: f64,
    widest: f64,
}

/// All boxes that can remove or be removed, sorted by place, and at one place by their left edge.
#[derive(Debug, Default)]
struct Field {
    entries: Vec<Entry>,
    strips: Vec<Strip>,
    /// Sorted by class.
    groups: Vec<Group>,
}

impl Field {
    fn new(detections: &[Detection], class: impl Fn(&Detection) -> u32) -> Self {
        let mut placed: Vec<(Place, Entry)> = (0..)
            .zip(detections)
            .filter(|(_, d)| d.bbox.is_finite() && d.bbox.width() > 0.0 && d.bbox.height() > 0.0)
            .map(|(rank, d)| {
                let bbox = d.bbox;
                (Place::from_box(&bbox, class(d)), Entry { bbox, rank })
            })
            .collect();
        placed.sort_unstable_by(|(a, x), (b, y)| a.cmp(b).then(x.bbox.x1.total_cmp(&y.bbox.x1)));
        let mut field = Self::default();
        for (place, entry) in placed {
            field.add(place, entry);
        }
        field
    }

    /// Adds the next box in the order of places.
    fn add(&mut self, place: Place, entry: Entry) {
        let (index, strip) = (self.entries.len(), self.strips.len());
        self.entries.push(entry);
        let (width, height) = (width(&entry.bbox), height(&entry.bbox));
        let new_group = match self.groups.last_mut() {
            Some(group) if (group.class, group.level) == (place.class, place.level) => {
                group.lowest = group.lowest.min(height);
                group.tallest = group.tallest.max(height);
                group.widest = group.widest.max(width);
                false
            }
            _ => {
                self.groups.push(Group {
                    class: place.class,
                    level: place.level,
                    strips: strip..strip,
                    lowest: height,
                    tallest: height,
                    widest: width,
                });
                true
            }
        };
        match self.strips.last_mut() {
            Some(last) if !new_group && last.number == place.strip => last.entries.end += 1,
            _ => {
                self.strips.push(Strip {
                    number: place.strip,
                    entries: index..index + 1,
                });
                if let Some(group) = self.groups.last_mut() {
                    group.strips.end += 1;
                }
            }
        }
    }

    /// Marks the boxes that the kept box `bbox` of this class removes. It may also mark boxes kept before, itself
    /// included, which nobody looks at again.
    fn remove(&self, bbox: &BBox, class: u32, iou_threshold: f32, removed: &mut [bool]) {
        if !bbox.is_finite() {
            return;
        }
        let first = self.groups.partition_point(|group| group.class < class);
        let reach = Reach::of_partners(bbox, iou_threshold);
        for group in self.groups[first..]
            .iter()
            .take_while(|group| group.class == class)
            .filter(|group| reach.meets(group))
        {
            let (upper, lower) = reach.upper_edges(group);
            let (left, right) = reach.left_edges(group);
            let (from, to) = (strip(upper, group.level), strip(lower, group.level));
            let strips = &self.strips[group.strips.clone()];
            let from = strips.partition_point(|strip| strip.number < from);
            for strip in strips[from..].iter().take_while(|strip| strip.number <= to) {
                let entries = &self.entries[strip.entries.clone()];
                let from = entries.partition_point(|entry| f64::from(entry.bbox.x1) < left);
                for entry in entries[from..]
                    .iter()
                    .take_while(|entry| f64::from(entry.bbox.x1) <= right)
                {
                    // Without a branch, which would often be mispredicted.
                    removed[entry.rank as usize] |= bbox.iou(&entry.bbox) > iou_threshold;
                }
            }
        }
    }
}

impl Place {
    /// Returns the place of a box that is finite and has a height.
    fn from_box(bbox: &BBox, class: u32) -> Self {
        /// Below it are the bits of the mantissa; above it, as a height is positive, only the exponent.
        const EXPONENT: u32 = f32::MANTISSA_DIGITS - 1;
        let level = bbox.height().to_bits() >> EXPONENT >> 1;
        Self {
            class,
            level,
            strip: strip(f64::from(bbox.y1), level),
        }
    }
}

/// Returns the exclusive upper bound of heights of a level: a power of four. A level is half a biased exponent of
/// `f32`.
fn top(level: u32) -> f64 {
    /// The exponent of 1.
    const BIAS: i32 = 127;
    2.0_f64.powi(2 * level as i32 + 2 - BIAS)
}

fn strip(y: f64, level: u32) -> i64 {
    // Clamped to the numbers of an i64, in the same order.
    (y / top(level)).floor() as i64
}

fn width(bbox: &BBox) -> f64 {
    f64::from(bbox.x2) - f64::from(bbox.x1)
}

fn height(bbox: &BBox) -> f64 {
    f64::from(bbox.y2) - f64::from(bbox.y1)
}

/// Bounds of the boxes whose IoU with one box is above the threshold. In f64, where differences of coordinates are
/// practically exact.
#[derive(Debug)]
struct Reach {
    x: (f64, f64),
    y: (f64, f64),
    /// Smallest IoU of a partner.
    iou: f64,
}

impl Reach {
    fn of_partners(bbox: &BBox, iou_threshold: f32) -> Self {
        /// Rounding of the IoU in f32, with room to spare.
        const ROUNDING: f64 = 1e-4;
        /// Smallest area that f32 measures. Below it only an overlap is certain.
        const LEAST_AREA: f64 = 1e-35;
        let iou = f64::from(iou_threshold).max(0.0) * (1.0 - ROUNDING);
        let measurable = width(bbox) * height(bbox) * iou > LEAST_AREA;
        Self {
            x: (bbox.x1.into(), bbox.x2.into()),
            y: (bbox.y1.into(), bbox.y2.into()),
            iou: if measurable { iou } else { 0.0 },
        }
    }

    /// Returns whether the sides of boxes in the group are long and short enough.
    fn meets(&self, group: &Group) -> bool {
        let height = self.y.1 - self.y.0;
        group.tallest >= self.iou * height
            && group.lowest * self.iou <= height
            && group.widest >= self.iou * (self.x.1 - self.x.0)
    }

    /// Returns the first and last left edge of a partner in the group.
    fn left_edges(&self, group: &Group) -> (f64, f64) {
        self.edges(self.x, group.widest)
    }

    /// Returns the first and last upper edge of a partner in the group.
    fn upper_edges(&self, group: &Group) -> (f64, f64) {
        self.edges(self.y, group.tallest)
    }

    /// Returns where partners with sides up to `longest` begin: more than `iou` of the longer side is within both.
    fn edges(&self, (begin, end): (f64, f64), longest: f64) -> (f64, f64) {
        let side = end - begin;
        let longest = if self.iou > 0.0 {
            longest.min(side / self.iou)
        } else {
            longest
        };
        (begin - longest * (1.0 - self.iou), end - self.iou * side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Implements the definition word by word.
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

    /// Returns boxes on a coarse raster, so that equal boxes, equal scores and touching edges are frequent.
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

    /// Returns boxes of one layout: typical results of models, and cases that an implementation may trip over.
    fn layout(kind: usize, random: &mut Random, count: usize) -> Vec<Detection> {
        let mut bboxes: Vec<BBox> = (0..count)
            .map(|index| {
                let (a, b) = (random.next() * 640.0, random.next() * 640.0);
                let (w, h) = (1.0 + random.next() * 90.0, 1.0 + random.next() * 90.0);
                let place = index as f32;
                let (x, y, w, h) = match kind {
                    0 => (a, b, w, h),
                    // All overlap.
                    1 => (a / 100.0, b / 100.0, 300.0 + w / 10.0, 300.0 + h / 10.0),
                    // All are disjoint, then all touch.
                    2 => (place % 90.0 * 7.0, (place / 90.0).floor() * 7.0, 6.0, 6.0),
                    3 => (place % 90.0 * 7.0, (place / 90.0).floor() * 7.0, 7.0, 7.0),
                    // One row, one column, one diagonal.
                    4 => (a, 100.0, w, 20.0),
                    5 => (100.0, b, 20.0, h),
                    6 => (a, a, w, w),
                    // Sides of every order of size, from points to the whole plane.
                    7 => (a, b, (w / 5.0).exp2(), (h / 5.0).exp2()),
                    8 => {
                        let scale = 10_f32.powf(random.next() * 60.0 - 30.0);
                        (a * scale, b * scale, w * scale * 5.0, h * scale * 5.0)
                    }
                    // Long and thin, either way.
                    9 if index.is_multiple_of(2) => (a, b, 600.0, 1.0 + h / 90.0),
                    9 => (a, b, 1.0 + w / 90.0, 600.0),
                    // Areas below what an f32 can tell apart.
                    10 => (a * 1e-24, b * 1e-24, w * 1e-22, h * 1e-22),
                    // Far out, where coordinates are coarse.
                    11 => (a + 1e7, b - 1e7, w, h),
                    // A few tall boxes beside one another, each over its own column of flat ones.
                    12 if index.is_multiple_of(50) => (place, 0.0, 49.0, 640.0),
                    _ => (place, b, 1.0 + w / 40.0, 1.0 + h / 40.0),
                };
                BBox::new(x, y, x + w, y + h)
            })
            .collect();
        if kind.is_multiple_of(2) {
            // What is no box, and what is as large as can be, among the others.
            for (bbox, odd) in bboxes.iter_mut().step_by(17).zip([
                BBox::new(50.0, 50.0, 50.0, 90.0),
                BBox::new(90.0, 90.0, 50.0, 50.0),
                BBox::new(f32::MIN, f32::MIN, f32::MAX, f32::MAX),
                BBox::new(-1e19, -1e18, 1e19, 1e18),
                BBox::new(0.0, 0.0, f32::MIN_POSITIVE, f32::MAX),
                BBox::new(0.0, 0.0, 1e-40, 1e-40),
                BBox::new(-0.0, f32::NEG_INFINITY, 5.0, 5.0),
                BBox::new(0.0, 0.0, 640.0, 640.0),
            ]) {
                *bbox = odd;
            }
        }
        let detection = |bbox| Detection {
            bbox,
            class: (random.next() * 2.0) as u32,
            score: (random.next() * 100.0).floor() / 100.0,
        };
        bboxes.into_iter().map(detection).collect()
    }

    const LAYOUTS: usize = 14;

    #[test]
    fn agrees_with_the_naive_definition_in_every_layout() {
        for seed in 0..40 {
            let mut random = Random(seed * 2 + 1);
            for kind in 0..LAYOUTS {
                let boxes = layout(kind, &mut random, 250);
                for iou in [0.0, 1e-6, 0.01, 0.2, 0.45, 0.6, 0.9, 0.9999] {
                    let found = fast(&boxes, iou, usize::MAX);
                    assert_eq!(
                        in_words(&found),
                        in_words(&naive(&boxes, iou, usize::MAX)),
                        "layout {kind}, seed {seed}, {iou}"
                    );
                }
            }
        }
    }

    /// Returns text that can be compared even with NaN coordinates.
    fn in_words(detections: &[Detection]) -> String {
        format!("{detections:?}")
    }

    #[test]
    fn across_classes_is_as_if_all_were_of_one_class() {
        let of_one_class = |boxes: &[Detection]| -> Vec<Detection> {
            boxes.iter().map(|d| Detection { class: 7, ..*d }).collect()
        };
        for seed in 0..100 {
            let boxes = random_boxes(seed);
            let mut found = boxes.clone();
            suppress_across_classes(&mut found, 0.45, usize::MAX);
            let expected = naive(&of_one_class(&boxes), 0.45, usize::MAX);
            assert_eq!(of_one_class(&found), expected, "seed {seed}");
            assert!(
                found.iter().all(|d| boxes.contains(d)),
                "with their classes"
            );
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
