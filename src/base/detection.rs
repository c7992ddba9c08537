//! [`Detection`]: a box, its class and its score; [`Thresholds`]: which of them are reported.

use crate::base::geometry::BBox;
use std::sync::Arc;

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
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// Lowest score reported, inclusive; of classes that have no other in `classes`.
    pub score: f32,
    /// Of two boxes of one class whose IoU is strictly above this, the lower score goes.
    pub iou: f32,
    /// Boxes of different classes remove each other too.
    pub class_agnostic: bool,
    /// Per frame, best first.
    pub max_detections: usize,
    /// Boxes narrower or lower than so many pixels of the frame are not reported.
    pub min_size: u32,
    /// The classes reported, as a [`Selection`](crate::base::classes::Selection) is written; `None` = all.
    pub classes: Option<Arc<str>>,
}
