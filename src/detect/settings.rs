//! [`Settings`]: the properties a user sets, their defaults and their declaration.

use super::failure::Trouble;
use super::loading::Workers;
use crate::affinity::Processors;
use crate::classes::{ClassesError, Selection};
use crate::detection::Thresholds;
use crate::engine::{EngineKind, Precision};
use crate::pace::PaceOptions;
use gst::glib;
use gst::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(super) const PROP_MODEL: &str = "model";
pub(super) const PROP_LABELS: &str = "labels";
pub(super) const PROP_MODEL_CONFIG: &str = "model-config";
pub(super) const PROP_ENGINE: &str = "engine";
pub(super) const PROP_THREADS: &str = "threads";
pub(super) const PROP_WORKERS: &str = "workers";
pub(super) const PROP_CPU_AFFINITY: &str = "cpu-affinity";
pub(super) const PROP_PRECISION: &str = "precision";
pub(super) const PROP_INPUT_SIZE: &str = "input-size";
pub(super) const PROP_MODE: &str = "mode";
pub(super) const PROP_ACTIVE: &str = "active";
pub(super) const PROP_INFERENCE_INTERVAL: &str = "inference-interval";
pub(super) const PROP_MAX_RATE: &str = "max-rate";
pub(super) const PROP_MAX_AGE: &str = "max-age";
pub(super) const PROP_LATENCY: &str = "latency";
pub(super) const PROP_QOS: &str = "qos";
pub(super) const PROP_SCORE_THRESHOLD: &str = "score-threshold";
pub(super) const PROP_IOU_THRESHOLD: &str = "iou-threshold";
pub(super) const PROP_MAX_DETECTIONS: &str = "max-detections";
pub(super) const PROP_CLASSES: &str = "classes";
pub(super) const PROP_CLASS_AGNOSTIC_NMS: &str = "class-agnostic-nms";
pub(super) const PROP_MIN_SIZE: &str = "min-size";
pub(super) const PROP_STATS_INTERVAL: &str = "stats-interval";
pub(super) const PROP_POST_DETECTIONS: &str = "post-detections";
pub(super) const PROP_STATS: &str = "stats";
pub(super) const PROP_MODEL_INFO: &str = "model-info";

/// An hour, in nanoseconds.
const MOST_LATENCY: u64 = 3_600_000_000_000;

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
    pub workers: u32,
    pub cpu_affinity: Option<String>,
    pub precision: DetectPrecision,
    pub input_size: String,
    pub mode: Mode,
    pub active: bool,
    pub inference_interval: u32,
    pub max_rate: f64,
    pub max_age: u64,
    pub latency: u64,
    pub qos: bool,
    pub score_threshold: f32,
    pub iou_threshold: f32,
    pub max_detections: u32,
    pub classes: Option<Arc<str>>,
    pub class_agnostic_nms: bool,
    pub min_size: u32,
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
            workers: 1,
            cpu_affinity: None,
            precision: DetectPrecision::default(),
            input_size: "auto".into(),
            mode: Mode::default(),
            active: true,
            inference_interval: 1,
            max_rate: 0.0,
            max_age: 0,
            latency: 0,
            qos: false,
            score_threshold: 0.0,
            iou_threshold: 0.0,
            max_detections: 100,
            classes: None,
            class_agnostic_nms: false,
            min_size: 0,
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
            PROP_WORKERS => self.workers = value.get().expect(CHECKED),
            PROP_CPU_AFFINITY => self.cpu_affinity = text(value),
            PROP_PRECISION => self.precision = value.get().expect(CHECKED),
            PROP_INPUT_SIZE => {
                self.input_size = text(value).unwrap_or_else(|| Self::default().input_size);
            }
            PROP_MODE => self.mode = value.get().expect(CHECKED),
            PROP_ACTIVE => self.active = value.get().expect(CHECKED),
            PROP_INFERENCE_INTERVAL => self.inference_interval = value.get().expect(CHECKED),
            PROP_MAX_RATE => self.max_rate = value.get().expect(CHECKED),
            PROP_MAX_AGE => self.max_age = value.get().expect(CHECKED),
            PROP_LATENCY => self.latency = value.get().expect(CHECKED),
            PROP_QOS => self.qos = value.get().expect(CHECKED),
            PROP_SCORE_THRESHOLD => self.score_threshold = value.get().expect(CHECKED),
            PROP_IOU_THRESHOLD => self.iou_threshold = value.get().expect(CHECKED),
            PROP_MAX_DETECTIONS => self.max_detections = value.get().expect(CHECKED),
            PROP_CLASSES => self.classes = text(value).map(Arc::from),
            PROP_CLASS_AGNOSTIC_NMS => self.class_agnostic_nms = value.get().expect(CHECKED),
            PROP_MIN_SIZE => self.min_size = value.get().expect(CHECKED),
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
            PROP_WORKERS => self.workers.to_value(),
            PROP_CPU_AFFINITY => self.cpu_affinity.to_value(),
            PROP_PRECISION => self.precision.to_value(),
            PROP_INPUT_SIZE => self.input_size.to_value(),
            PROP_MODE => self.mode.to_value(),
            PROP_ACTIVE => self.active.to_value(),
            PROP_INFERENCE_INTERVAL => self.inference_interval.to_value(),
            PROP_MAX_RATE => self.max_rate.to_value(),
            PROP_MAX_AGE => self.max_age.to_value(),
            PROP_LATENCY => self.latency.to_value(),
            PROP_QOS => self.qos.to_value(),
            PROP_SCORE_THRESHOLD => self.score_threshold.to_value(),
            PROP_IOU_THRESHOLD => self.iou_threshold.to_value(),
            PROP_MAX_DETECTIONS => self.max_detections.to_value(),
            PROP_CLASSES => self.classes.as_deref().to_value(),
            PROP_CLASS_AGNOSTIC_NMS => self.class_agnostic_nms.to_value(),
            PROP_MIN_SIZE => self.min_size.to_value(),
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
            class_agnostic: self.class_agnostic_nms,
            max_detections: self.max_detections as usize,
            min_size: self.min_size,
            classes: self.wanted_classes().cloned(),
        }
    }

    /// Those that inference may use; `None` for all. An empty text is none too.
    pub fn processors(&self) -> Result<Option<Processors>, Trouble> {
        let Some(list) = self.cpu_affinity.as_ref().filter(|l| !l.trim().is_empty()) else {
            return Ok(None);
        };
        let processors: Result<Processors, _> = list.parse();
        let checked = processors.and_then(|p| p.check().map(|()| p));
        checked.map(Some).map_err(|err| {
            let sentence = format!("The property cpu-affinity cannot be {err}");
            Trouble::setting(&sentence, &err)
        })
    }

    /// How the workers share the processors.
    pub fn workers(&self, processors: Option<&Processors>) -> Workers {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        let count = processors.map_or_else(all, Processors::count);
        Workers::new(self.workers, self.threads, count)
    }

    pub fn pace(&self) -> PaceOptions {
        PaceOptions {
            interval: self.inference_interval,
            max_rate: self.max_rate,
        }
    }

    /// The delay to declare; `None` for the one that is measured.
    pub fn latency(&self) -> Option<Duration> {
        (self.latency > 0).then(|| Duration::from_nanos(self.latency))
    }

    /// Above it boxes are not attached any more; `None` for what the rate of analyses tells.
    pub fn max_age(&self) -> Option<gst::ClockTime> {
        (self.max_age > 0).then(|| gst::ClockTime::from_nseconds(self.max_age.min(u64::MAX - 1)))
    }

    /// `None` = all; so is an empty text, for those who can set texts but no null.
    pub fn wanted_classes(&self) -> Option<&Arc<str>> {
        let classes = self.classes.as_ref();
        classes.filter(|classes| !classes.trim().is_empty())
    }

    /// What is reported of a model with these labels; `None` = all its classes.
    pub fn selection(&self, labels: &[String]) -> Result<Option<Selection>, ClassesError> {
        let classes = self.wanted_classes();
        classes
            .map(|classes| Selection::new(classes, labels))
            .transpose()
    }

    /// How often statistics are posted; `None` for never.
    pub fn stats_interval(&self) -> Option<Duration> {
        (self.stats_interval > 0).then(|| Duration::from_nanos(self.stats_interval))
    }
}

/// A text, taken as a path is: a string need not be UTF-8. What is not, is no good value of any property.
fn text(value: &glib::Value) -> Option<String> {
    let text: Option<PathBuf> = value
        .get()
        .expect("GObject checks the type against the declaration");
    text.map(|text| text.to_string_lossy().into_owned())
}

/// The declaration of every property, in the order of the manual.
pub(super) fn properties() -> Vec<glib::ParamSpec> {
    let mut all = model_properties();
    all.extend(flow_properties());
    all.extend(threshold_properties());
    all.extend(report_properties());
    all
}

fn model_properties() -> Vec<glib::ParamSpec> {
    let default = Settings::default();
    vec![
        glib::ParamSpecString::builder(PROP_MODEL)
            .nick("Model")
            .blurb("Path of the .onnx file, read in the change from READY to PAUSED; null = the built-in face detector. Set while frames are under way it is loaded beside the one in use and takes its place between two frames; one that cannot be used is warned of, and the old one stays")
            .mutable_playing()
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
        glib::ParamSpecUInt::builder(PROP_WORKERS)
            .nick("Workers")
            .blurb("Frames analysed at the same time, leaving in order: more frames a second, each as late as before; 0 = as many as processors, four at the most")
            .maximum(64)
            .default_value(default.workers)
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder(PROP_CPU_AFFINITY)
            .nick("CPU Affinity")
            .blurb("The processors that inference may use, as taskset -c writes them: \"2,3\" or \"0-2\"; null = all")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default(PROP_PRECISION, default.precision)
            .nick("Precision")
            .blurb("Arithmetic of the inference, where engine and processor have a choice")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder(PROP_INPUT_SIZE)
            .nick("Input Size")
            .blurb("Size that the model runs at, as \"416\" or \"640x384\" (width x height) in pixels; auto = as exported, or as its metadata or card says, else 640 on the longer side in the shape of the picture")
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

fn flow_properties() -> Vec<glib::ParamSpec> {
    let default = Settings::default();
    vec![
        glib::ParamSpecBoolean::builder(PROP_ACTIVE)
            .nick("Active")
            .blurb("Analyses frames; false = they pass, and carry no boxes")
            .default_value(default.active)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder(PROP_INFERENCE_INTERVAL)
            .nick("Inference Interval")
            .blurb("Offer only every Nth frame for analysis; in mode every the frames between leave with the last boxes and their age, in mode newest they are dropped")
            .minimum(1)
            .default_value(default.inference_interval)
            .mutable_playing()
            .build(),
        glib::ParamSpecDouble::builder(PROP_MAX_RATE)
            .nick("Max Rate")
            .blurb("At most so many analyses a second, to save power and heat; 0 = no limit")
            .minimum(0.0)
            .maximum(1e6)
            .default_value(default.max_rate)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt64::builder(PROP_MAX_AGE)
            .nick("Max Age")
            .blurb("Boxes of an earlier frame are not attached any more when they are older than this, in nanoseconds; 0 = the larger of 1 s and 2.5 times what lies between two analyses")
            .default_value(default.max_age)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt64::builder(PROP_LATENCY)
            .nick("Latency")
            .blurb("The delay of a frame to declare to the pipeline, in nanoseconds, with a warning when a frame takes longer; 0 = as measured")
            .maximum(MOST_LATENCY)
            .default_value(default.latency)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder(PROP_QOS)
            .nick("QoS")
            .blurb("In mode every: drop frames that a sink has said it cannot show any more, and do not analyse them")
            .default_value(default.qos)
            .mutable_playing()
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
        glib::ParamSpecString::builder(PROP_CLASSES)
            .nick("Classes")
            .blurb("Comma list of the labels or class numbers to report, each with a threshold of its own if it shall have one, as \"person=0.6,car,2=0.3\"; a label with a comma or = in it stands in quotes; null or empty = all classes")
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder(PROP_CLASS_AGNOSTIC_NMS)
            .nick("Class Agnostic NMS")
            .blurb("Whether boxes of different classes that overlap more than iou-threshold remove each other too, so that one object is not reported as two classes")
            .default_value(default.class_agnostic_nms)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder(PROP_MIN_SIZE)
            .nick("Minimum Size")
            .blurb("Boxes narrower or lower than so many pixels of the frame are not reported; 0 = boxes of any size")
            .default_value(default.min_size)
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
