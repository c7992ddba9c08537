//! [`Family`]: models that are decoded alike.

use std::fmt;

/// One head of anchors of an SSD-like face detector: cells of `stride` input pixels, `anchors` in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnchorLayer {
    pub stride: u32,
    pub anchors: usize,
}

/// Set of models decoded alike; what the layout does not tell is a field of the variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Family {
    /// MediaPipe's face detector: raw scores and boxes beside anchor centres.
    BlazeFace { anchor_layers: Vec<AnchorLayer> },
    /// YOLOX as exported by its authors: offsets and logarithms beside grid cells, `[1, n, 5 + classes]`.
    YoloxRaw { strides: Vec<u32> },
    /// `[1, n, 5 + classes]`, boxes in input pixels: YOLOv5, v7, YOLOX exported with its decoding.
    Yolov5,
    /// `[1, 4 + classes, n]`, boxes in input pixels, no objectness: YOLOv8, v9, v11, v12.
    Yolov8,
}

impl Family {
    /// As cards write it in `decode`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BlazeFace { .. } => "blazeface",
            Self::YoloxRaw { .. } => "yolox_raw",
            Self::Yolov5 => "yolov5",
            Self::Yolov8 => "yolov8",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
