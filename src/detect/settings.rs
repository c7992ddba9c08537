//! [`Settings`]: the properties a user sets, their defaults and their declaration.

use crate::detection::Thresholds;
use crate::engine::{EngineKind, Precision};
use gst::glib;
use gst::prelude::*;
use std::path::PathBuf;
use std::time::Duration;

pub(super) const PROP_MODEL: &str = "model";
pub(super) const PROP_LABELS: &str = "labels";
pub(super) const PROP_MODEL_CONFIG: &str = "model-config";
pub(super) const PROP_ENGINE: &str = "engine";
pub(super) const PROP_THREADS: &str = "threads";
pub(super) const PROP_PRECISION: &str = "precision";
pub(super) const PROP_INPUT_SIZE: &str = "input-size";
pub(super) const PROP_MODE: &str = "mode";
pub(super) const PROP_SCORE_THRESHOLD: &str = "score-threshold";
pub(super) const PROP_IOU_THRESHOLD: &str = "iou-threshold";
pub(super) const PROP_MAX_DETECTIONS: &str = "max-detections";
pub(super) const PROP_STATS_INTERVAL: &str = "stats-interval";
pub(super) const PROP_POST_DETECTIONS: &str = "post-detections";
pub(super) const PROP_STATS: &str = "stats";
pub(super) const PROP_MODEL_INFO: &str = "model-info";

/// Which frames leave the element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstDetectMode")]
#[non_exhaustive]
pub enum Mode {
    #[default]
    #[enum_value(name = "newest if the source is live, else every", nick = "auto")]
    Auto,
    #[enum_value(
        name = "Only analysed frames leave; while one is analysed the newest waits, older ones are dropped",
        nick = "newest"
    )]
    Newest,
    #[enum_value(
        name = "No frame is dropped; upstream waits for the analysis",
        nick = "every"
    )]
    Every,
}

impl Mode {
    pub(super) fn nick(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Newest => "newest",
            Self::Every => "every",
        }
    }
}

/// What runs the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstDetectEngine")]
#[non_exhaustive]
pub enum DetectEngine {
    #[default]
    #[enum_value(name = "tract: built in, needs nothing", nick = "tract")]
    Tract,
    #[enum_value(
        name = "ONNX Runtime: its library must be installed",
        nick = "onnxruntime"
    )]
    OnnxRuntime,
    #[enum_value(name = "OpenVINO: its library must be installed", nick = "openvino")]
    OpenVino,
    #[enum_value(
        name = "The fastest that is installed and can run the model, measured when it is loaded",
        nick = "auto"
    )]
    Auto,
    #[cfg(feature = "stub-engine")]
    #[enum_value(name = "Canned answers, for tests", nick = "stub")]
    Stub,
}

impl From<DetectEngine> for EngineKind {
    fn from(engine: DetectEngine) -> Self {
        match engine {
            DetectEngine::Tract => Self::Tract,
            DetectEngine::OnnxRuntime => Self::OnnxRuntime,
            DetectEngine::OpenVino => Self::OpenVino,
            DetectEngine::Auto => Self::Auto,
            #[cfg(feature = "stub-engine")]
            DetectEngine::Stub => Self::Stub,
        }
    }
}

/// The arithmetic of an inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstDetectPrecision")]
#[non_exhaustive]
pub enum DetectPrecision {
    #[default]
    #[enum_value(
        name = "f16 where the processor computes with it and the engine would by itself, else f32",
        nick = "auto"
    )]
    Auto,
    #[enum_value(name = "Numbers of 32 bits", nick = "f32")]
    F32,
    #[enum_value(
        name = "Numbers of 16 bits; an error where it cannot be had",
        nick = "f16"
    )]
    F16,
}

impl From<DetectPrecision> for Precision {
    fn from(precision: DetectPrecision) -> Self {
        match precision {
            DetectPrecision::Auto => Self::Auto,
            DetectPrecision::F32 => Self::F32,
            DetectPrecision::F16 => Self::F16,
        }
    }
}

/// Everything a user can set.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub model: Option<PathBuf>,
    pub labels: Option<PathBuf>,
    pub model_config: Option<PathBuf>,
    pub engine: DetectEngine,
    pub threads: u32,
    pub precision: DetectPrecision,
    pub input_size: String,
    pub mode: Mode,
    pub score_threshold: f32,
    pub iou_threshold: f32,
    pub max_detections: u32,
    pub stats_interval: u64,
    pub post_detections: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: None,
            labels: None,
            model_config: None,
            engine: DetectEngine::default(),
            threads: 0,
            precision: DetectPrecision::default(),
            input_size: "auto".into(),
            mode: Mode::default(),
            score_threshold: 0.0,
            iou_threshold: 0.0,
            max_detections: 100,
            stats_interval: 1_000_000_000,
            post_detections: false,
        }
    }
}

impl Settings {
    /// Takes a new value of the property `name`. Nothing else happens: no file is opened, nothing is posted.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        const CHECKED: &str = "GObject checks the type against the declaration";
        match name {
            PROP_MODEL => self.model = value.get().expect(CHECKED),
            PROP_LABELS => self.labels = value.get().expect(CHECKED),
            PROP_MODEL_CONFIG => self.model_config = value.get().expect(CHECKED),
            PROP_ENGINE => self.engine = value.get().expect(CHECKED),
            PROP_THREADS => self.threads = value.get().expect(CHECKED),
            PROP_PRECISION => self.precision = value.get().expect(CHECKED),
            PROP_INPUT_SIZE => {
                // As a path, for a string need not be UTF-8. What is not, is no size either.
                let size: Option<PathBuf> = value.get().expect(CHECKED);
                let size = size.map(|size| size.to_string_lossy().into_owned());
                self.input_size = size.unwrap_or_else(|| Self::default().input_size);
            }
            PROP_MODE => self.mode = value.get().expect(CHECKED),
            PROP_SCORE_THRESHOLD => self.score_threshold = value.get().expect(CHECKED),
            PROP_IOU_THRESHOLD => self.iou_threshold = value.get().expect(CHECKED),
            PROP_MAX_DETECTIONS => self.max_detections = value.get().expect(CHECKED),
            PROP_STATS_INTERVAL => self.stats_interval = value.get().expect(CHECKED),
            PROP_POST_DETECTIONS => self.post_detections = value.get().expect(CHECKED),
            _ => {}
        }
    }

    /// The value of the property `name`; `None` for those that are not settings.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            PROP_MODEL => self.model.to_value(),
            PROP_LABELS => self.labels.to_value(),
            PROP_MODEL_CONFIG => self.model_config.to_value(),
            PROP_ENGINE => self.engine.to_value(),
            PROP_THREADS => self.threads.to_value(),
            PROP_PRECISION => self.precision.to_value(),
            PROP_INPUT_SIZE => self.input_size.to_value(),
            PROP_MODE => self.mode.to_value(),
            PROP_SCORE_THRESHOLD => self.score_threshold.to_value(),
            PROP_IOU_THRESHOLD => self.iou_threshold.to_value(),
            PROP_MAX_DETECTIONS => self.max_detections.to_value(),
            PROP_STATS_INTERVAL => self.stats_interval.to_value(),
            PROP_POST_DETECTIONS => self.post_detections.to_value(),
            _ => return None,
        })
    }

    /// Name of the model for people.
    pub fn model_name(&self) -> String {
        let name = |path: &PathBuf| path.display().to_string();
        self.model.as_ref().map_or_else(|| "built-in".into(), name)
    }

    /// The cut-offs in force with a model whose own are `score` and `iou`: 0 means these.
    pub fn thresholds(&self, score: f32, iou: f32) -> Thresholds {
        let or_own = |set: f32, own: f32| if set > 0.0 { set } else { own };
        Thresholds {
            score: or_own(self.score_threshold, score),
            iou: or_own(self.iou_threshold, iou),
            max_detections: self.max_detections as usize,
        }
    }

    /// How often statistics are posted; `None` for never.
    pub fn stats_interval(&self) -> Option<Duration> {
        (self.stats_interval > 0).then(|| Duration::from_nanos(self.stats_interval))
    }
}

/// The declaration of every property, in the order of the manual.
pub(super) fn properties() -> Vec<glib::ParamSpec> {
    let mut all = model_properties();
    all.extend(threshold_properties());
    all.extend(report_properties());
    all
}

fn model_properties() -> Vec<glib::ParamSpec> {
    let default = Settings::default();
    vec![
        glib::ParamSpecString::builder(PROP_MODEL)
            .nick("Model")
            .blurb("Path of the .onnx file, read in the change from READY to PAUSED; null = the built-in face detector")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder(PROP_LABELS)
            .nick("Labels")
            .blurb("Path of a text file with a label a line; null = the labels in the model, else x.labels.txt or x.names beside x.onnx, else COCO's names where the number of classes is COCO's, else \"class N\"")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder(PROP_MODEL_CONFIG)
            .nick("Model Config")
            .blurb("Path of a card (JSON) that overrides what was recognised of the model; null = x.detect.json beside x.onnx if it is there")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default(PROP_ENGINE, default.engine)
            .nick("Engine")
            .blurb("What runs the model")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder(PROP_THREADS)
            .nick("Threads")
            .blurb("Threads for one inference; 0 = a good choice for this machine")
            .maximum(256)
            .default_value(default.threads)
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default(PROP_PRECISION, default.precision)
            .nick("Precision")
            .blurb("Arithmetic of the inference, where engine and processor have a choice")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder(PROP_INPUT_SIZE)
            .nick("Input Size")
            .blurb("Size that a model of free size runs at, as \"416\" or \"640x384\" (width x height) in pixels; auto = as exported, or as its metadata or card says")
            .default_value(Some(default.input_size.as_str()))
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default(PROP_MODE, default.mode)
            .nick("Mode")
            .blurb("Which frames leave, and whether frames are dropped to keep the latency low")
            .mutable_ready()
            .build(),
    ]
}

fn threshold_properties() -> Vec<glib::ParamSpec> {
    let default = Settings::default();
    vec![
        glib::ParamSpecFloat::builder(PROP_SCORE_THRESHOLD)
            .nick("Score Threshold")
            .blurb("Lowest score reported; 0 = the model's own, else 0.4")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(default.score_threshold)
            .mutable_playing()
            .build(),
        glib::ParamSpecFloat::builder(PROP_IOU_THRESHOLD)
            .nick("IoU Threshold")
            .blurb("Of two boxes of one class overlapping more than this, the lower score is removed; 0 = the model's own, else 0.45")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(default.iou_threshold)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder(PROP_MAX_DETECTIONS)
            .nick("Max Detections")
            .blurb("Detections reported for one frame at the most, those of the highest scores; 0 = none")
            .default_value(default.max_detections)
            .mutable_playing()
            .build(),
    ]
}

fn report_properties() -> Vec<glib::ParamSpec> {
    let default = Settings::default();
    vec![
        glib::ParamSpecUInt64::builder(PROP_STATS_INTERVAL)
            .nick("Statistics Interval")
            .blurb("How often the message detect-stats is posted, in nanoseconds; 0 = never")
            .default_value(default.stats_interval)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder(PROP_POST_DETECTIONS)
            .nick("Post Detections")
            .blurb("Posts a message detect-detections with the boxes of every analysed frame")
            .default_value(default.post_detections)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>(PROP_STATS)
            .nick("Statistics")
            .blurb("Rates, times (nanoseconds) and counters of now, and the mode and thresholds in force")
            .read_only()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>(PROP_MODEL_INFO)
            .nick("Model Info")
            .blurb("What was recognised of the model, and what of it was guessed; null before a model is loaded")
            .read_only()
            .build(),
    ]
}
