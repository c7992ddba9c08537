//! [`Detection`]: a box, its class and its score. [`Thresholds`]: which detections are reported.

use crate::base::geometry::BBox;
use std::sync::Arc;

/// One object found. `bbox` is in input pixels until the detector has mapped it to the frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Bounding box.
    pub bbox: BBox,
    /// Index into the model's labels.
    pub class: u32,
    /// Score, 0 to 1.
    pub score: f32,
}

/// Limits that decide which detections of a frame are reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// Lowest score reported, inclusive, for classes without a threshold in `classes`.
    pub score: f32,
    /// Suppresses the lower-scoring of two boxes of one class whose IoU is strictly above this.
    pub iou: f32,
    /// Lets boxes of different classes suppress each other.
    pub class_agnostic: bool,
    /// Most detections of one frame, best first.
    pub max_detections: usize,
    /// Smallest width and height reported, in pixels of the frame.
    pub min_size: u32,
    /// Classes to report, as text of a [`Selection`](crate::base::classes::Selection); `None` = all.
    pub classes: Option<Arc<str>>,
}
