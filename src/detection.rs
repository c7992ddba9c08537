//! [`Detection`]: a box, its class and its score; [`Thresholds`]: which of them are reported.

use crate::geometry::BBox;

/// One object found. The space of `bbox` is the model's input until the detector has mapped it to the frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    pub bbox: BBox,
    /// Index into the model's labels.
    pub class: u32,
    /// 0..=1
    pub score: f32,
}

/// The cut-offs in force for one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Lowest score reported, inclusive.
    pub score: f32,
    /// Of two boxes of one class whose IoU is strictly above this, the lower score goes.
    pub iou: f32,
    /// Per frame, best first.
    pub max_detections: usize,
}
