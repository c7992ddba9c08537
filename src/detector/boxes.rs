//! Which boxes of a decoded picture are reported.

use crate::base::detection::{Detection, Thresholds};
use crate::base::geometry::BBox;
use crate::vision::nms;

/// Suppresses detections among those of one class, or among all with `across`.
pub fn suppress(detections: &mut Vec<Detection>, thresholds: &Thresholds, across: bool) {
    let suppress = match across {
        true => nms::suppress_across_classes,
        false => nms::suppress,
    };
    suppress(detections, thresholds.iou, thresholds.max_detections);
}

/// Keeps those low candidates that do not show what a reported box already shows.
pub fn suppress_low(
    low: &mut Vec<Detection>,
    reported: &[Detection],
    thresholds: &Thresholds,
    across: bool,
) {
    suppress(low, thresholds, across);
    low.retain(|low| {
        let same = |r: &&Detection| across || r.class == low.class;
        let mut same = reported.iter().filter(same);
        !same.any(|r| r.bbox.iou(&low.bbox) > thresholds.iou)
    });
}

/// Returns whether a box shows anything: it has an area, and is not wholly in the padding.
pub fn visible(bbox: &BBox) -> bool {
    bbox.area() > 0.0
}

/// Returns whether both sides have at least `least` pixels.
pub fn is_of_size(bbox: &BBox, least: u32) -> bool {
    let least = least as f32;
    bbox.width() >= least && bbox.height() >= least
}
