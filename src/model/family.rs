//! [`Family`]: models that are decoded alike.

use std::fmt;

/// One head of anchors of an SSD-like face detector: cells of `stride` input pixels, `anchors` in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnchorLayer {
    pub stride: u32,
    pub anchors: usize,
}

/// The point of a cell from which the distances to the four sides of a box are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnchorPoint {
    /// The left upper corner.
    Corner,
    /// Half a cell right and down of it.
    Middle,
    /// Half a pixel before the middle: the mean of the cell's pixel indices.
    MiddlePixel,
}

impl AnchorPoint {
    /// Input pixels from the left upper corner of a cell of `stride` pixels, along both axes.
    pub fn offset(self, stride: f32) -> f32 {
        match self {
            Self::Corner => 0.0,
            Self::Middle => stride / 2.0,
            Self::MiddlePixel => (stride - 1.0) / 2.0,
        }
    }
}

/// Which output is which, counted in the order of the file; see [`Family::Nms3`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nms3Places {
    pub boxes: usize,
    pub scores: usize,
    pub labels: usize,
}

/// Which output is which, counted in the order of the file; see [`Family::Detr`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetrPlaces {
    pub logits: usize,
    pub boxes: usize,
}

/// Which output is which, counted in the order of the file; see [`Family::TfSsd`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TfSsdPlaces {
    pub boxes: usize,
    pub classes: usize,
    pub scores: usize,
    pub count: usize,
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
    /// The same with its graph ended at the raw heads, sides as distributions over `bins` lengths, and classes, of each
    /// stride.
    Yolov8Heads { strides: Vec<u32>, bins: usize },
    /// libfacedetection's face detector: class, objectness, box and key points, each for every stride.
    YuNet { strides: Vec<u32> },
    /// Ultra-Light-Fast face detector: scores and corners as shares of the input.
    UltraFace,
    /// The same without its decoding: boxes beside SSD priors.
    UltraFaceRaw,
    /// NanoDet, PicoDet: distances to the sides of a box as distributions over `bins` lengths.
    Gfl {
        strides: Vec<u32>,
        bins: usize,
        anchor_point: AnchorPoint,
    },
    /// `[1, 5 + classes, rows, columns]`: one map of cells.
    FastestDet,
    /// `[1, n, 6]`, corners in input pixels, score and class, already suppressed: YOLOv10, YOLO26, Ultralytics with NMS.
    E2e6,
    /// Boxes `[n, 4]`, scores `[n]` and class numbers `[n]`, already suppressed, as many as were found: torchvision.
    Nms3(Nms3Places),
    /// Logits `[1, n, classes]` and boxes `[1, n, 4]` of queries, which need no suppression: RT-DETR, RF-DETR.
    Detr(DetrPlaces),
    /// TensorFlow's object detection API; its classes count from `first_class`.
    TfSsd {
        places: TfSsdPlaces,
        first_class: u32,
    },
}

impl Family {
    /// As cards write it in `decode`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BlazeFace { .. } => "blazeface",
            Self::YoloxRaw { .. } => "yolox_raw",
            Self::Yolov5 => "yolov5",
            Self::Yolov8 | Self::Yolov8Heads { .. } => "yolov8",
            Self::YuNet { .. } => "yunet",
            Self::UltraFace => "ultraface",
            Self::UltraFaceRaw => "ultraface_raw",
            Self::Gfl { .. } => "gfl",
            Self::FastestDet => "fastestdet",
            Self::E2e6 => "e2e6",
            Self::Nms3(_) => "nms3",
            Self::Detr(_) => "detr",
            Self::TfSsd { .. } => "tfssd",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
