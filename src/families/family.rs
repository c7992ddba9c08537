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

/// How a row of logits becomes scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Each class for itself.
    Sigmoid,
    /// Shares of 1; the last logit is that of no object and is no class.
    Softmax,
}

/// Which output is which, counted in the order of the file; see [`Family::Dets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetsPlaces {
    pub dets: usize,
    pub labels: usize,
}

/// Which output is which, counted in the order of the file; see [`Family::Counted`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountedPlaces {
    pub count: usize,
    pub boxes: usize,
    pub scores: usize,
    pub classes: usize,
}

/// Which output is which, counted in the order of the file; see [`Family::BoxesScores`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoxesScoresPlaces {
    pub boxes: usize,
    pub scores: usize,
}

/// What one number of a row says of a detection; see [`Family::Rows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Left,
    Top,
    Right,
    Bottom,
    Score,
    Class,
    /// The number of the picture, which is the only one, or anything else that is of no use.
    Other,
}

/// Which output is which, counted in the order of the file; see [`Family::TfSsd`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TfSsdPlaces {
    pub boxes: usize,
    pub classes: usize,
    pub scores: usize,
    pub count: usize,
}

impl Column {
    /// What every row has once.
    pub const WANTED: [Self; 6] = [
        Self::Left,
        Self::Top,
        Self::Right,
        Self::Bottom,
        Self::Score,
        Self::Class,
    ];
}

/// The anchors of one stride of YOLOv5: `sizes` are width and height in input pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct AnchorBoxes {
    pub stride: u32,
    pub sizes: Vec<[f32; 2]>,
}

/// One layer of SSD priors: rectangles of `sizes`, width and height in input pixels, around the middle of every cell.
#[derive(Debug, Clone, PartialEq)]
pub struct PriorLayer {
    pub columns: u32,
    pub rows: u32,
    /// Input pixels from cell to cell; `None`: the input's side over their number.
    pub step: Option<f32>,
    pub sizes: Vec<[f32; 2]>,
}

/// The priors of an SSD, and what offsets of centres and logarithms of sides are multiplied with.
#[derive(Debug, Clone, PartialEq)]
pub struct Priors {
    pub layers: Vec<PriorLayer>,
    pub variances: [f32; 2],
}

/// Set of models decoded alike; what the layout does not tell is a field of the variant.
#[derive(Debug, Clone, PartialEq)]
pub enum Family {
    /// MediaPipe's face detector: raw scores and boxes beside anchor centres.
    BlazeFace { anchor_layers: Vec<AnchorLayer> },
    /// YOLOX as exported by its authors: offsets and logarithms beside grid cells, `[1, n, 5 + classes]`.
    YoloxRaw { strides: Vec<u32> },
    /// The same with its graph ended at the raw heads, box, objectness and classes, of each stride.
    YoloxHeads { strides: Vec<u32> },
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
    /// Logits `[1, n, classes]` and boxes `[1, n, 4]` of queries, which need no suppression: DETR, RT-DETR, RF-DETR.
    Detr {
        places: DetrPlaces,
        activation: Activation,
    },
    /// `[1, n, 4 + classes]`, boxes and scores of queries: RT-DETR of Ultralytics.
    DetrRows,
    /// One output of rows, already suppressed, in which a detection is spread over `columns`: YOLOv7 and YOLOv6 with
    /// NMS, YOLO-NAS, PaddleDetection.
    Rows { place: usize, columns: Vec<Column> },
    /// Boxes with their scores `[1, n, 5]` and class numbers `[1, n]`, already suppressed: mmdeploy.
    Dets(DetsPlaces),
    /// Boxes `[1, n, 4]`, scores and class numbers `[1, n]`, already suppressed, and how many of the `n` there are.
    Counted(CountedPlaces),
    /// Boxes `[1, n, 4]` in pixels and scores of all candidates, `[1, n, classes]` or, class by class,
    /// `[1, classes, n]`: YOLO-NAS and PaddleDetection without NMS, DAMO-YOLO.
    BoxesScores {
        places: BoxesScoresPlaces,
        by_class: bool,
    },
    /// TensorFlow's object detection API; its classes count from `first_class`.
    TfSsd {
        places: TfSsdPlaces,
        first_class: u32,
    },
    /// InsightFace's face detector: scores and distances to the sides of a box, each for every stride.
    Scrfd { strides: Vec<u32>, anchors: usize },
    /// Scores with a background `[1, n, 1 + classes]` and boxes `[1, n, 4]`, as shares of the input or beside `priors`.
    Ssd {
        places: BoxesScoresPlaces,
        /// The graph has no softmax.
        logits: bool,
        priors: Option<Priors>,
    },
    /// YOLOv5, v7 without their decoding: an output for every stride, levels in the order of the outputs.
    Yolov5Raw {
        levels: Vec<AnchorBoxes>,
        /// The graph has a sigmoid.
        activated: bool,
    },
    /// libfacedetection's face detector as of 2021 and 2022: beside SSD priors.
    YuNet2022,
}

impl Family {
    /// As cards write it in `decode`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BlazeFace { .. } => "blazeface",
            Self::YoloxRaw { .. } | Self::YoloxHeads { .. } => "yolox_raw",
            Self::Yolov5 => "yolov5",
            Self::Yolov8 | Self::Yolov8Heads { .. } => "yolov8",
            Self::YuNet { .. } => "yunet",
            Self::UltraFace => "ultraface",
            Self::UltraFaceRaw => "ultraface_raw",
            Self::Gfl { .. } => "gfl",
            Self::FastestDet => "fastestdet",
            Self::E2e6 => "e2e6",
            Self::Nms3(_) => "nms3",
            Self::Detr { .. } => "detr",
            Self::DetrRows => "detr_rows",
            Self::Rows { .. } => "rows",
            Self::Dets(_) => "dets",
            Self::Counted(_) => "counted",
            Self::BoxesScores { .. } => "boxes_scores",
            Self::TfSsd { .. } => "tfssd",
            Self::Scrfd { .. } => "scrfd",
            Self::Ssd { .. } => "ssd",
            Self::Yolov5Raw { .. } => "yolov5_raw",
            Self::YuNet2022 => "yunet_2022",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
