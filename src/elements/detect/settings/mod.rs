//! [`Settings`]: the properties that a user sets, and their defaults.

pub mod choices;
pub mod parallelism;
pub mod properties;

use crate::base::classes::{ClassesError, Selection};
use crate::base::detection::Thresholds;
use crate::engine::DEFAULT_MAX_COMPUTE;
use crate::flow::pace::PaceOptions;
use crate::host::affinity::{AffinityError, Processors};
use crate::vision::track::{LOW_SCORE, ShownOptions};
use choices::{DetectEngine, DetectPrecision, Mode};
use gst::glib;
use gst::prelude::*;
use parallelism::Parallelism;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(super) const PROP_MODEL: &str = "model";
pub(super) const PROP_LABELS: &str = "labels";
pub(super) const PROP_MODEL_CONFIG: &str = "model-config";
pub(super) const PROP_LOAD_TIMEOUT: &str = "load-timeout";
pub(super) const PROP_MAX_COMPUTE: &str = "max-compute";
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
pub(super) const PROP_SMOOTHING: &str = "smoothing";
pub(super) const PROP_PREDICTION: &str = "prediction";
pub(super) const PROP_TRACKING: &str = "tracking";
pub(super) const PROP_STATS_INTERVAL: &str = "stats-interval";
pub(super) const PROP_POST_DETECTIONS: &str = "post-detections";
pub(super) const PROP_STATS: &str = "stats";
pub(super) const PROP_MODEL_INFO: &str = "model-info";

/// Shortest interval of statistics, in nanoseconds: a shorter one would flood the bus.
const SHORTEST_STATS_INTERVAL: u64 = 10_000_000;

/// Unit of the property `max-compute`: a thousand million multiply-adds.
const COMPUTE_UNIT: u64 = 1_000_000_000;

/// Everything a user can set.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub model: Option<PathBuf>,
    pub labels: Option<PathBuf>,
    pub model_config: Option<PathBuf>,
    pub load_timeout: u64,
    pub max_compute: u32,
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
    pub smoothing: bool,
    pub prediction: bool,
    pub tracking: bool,
    pub stats_interval: u64,
    pub post_detections: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: None,
            labels: None,
            model_config: None,
            load_timeout: 60_000_000_000,
            max_compute: (DEFAULT_MAX_COMPUTE / COMPUTE_UNIT) as u32,
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
            smoothing: true,
            prediction: true,
            tracking: false,
            stats_interval: 1_000_000_000,
            post_detections: false,
        }
    }
}

impl Settings {
    /// Sets the property `name`. Opens no file and posts nothing.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        const CHECKED: &str = "GObject checks the type against the declaration";
        match name {
            PROP_MODEL => self.model = value.get().expect(CHECKED),
            PROP_LABELS => self.labels = value.get().expect(CHECKED),
            PROP_MODEL_CONFIG => self.model_config = value.get().expect(CHECKED),
            PROP_LOAD_TIMEOUT => self.load_timeout = value.get().expect(CHECKED),
            PROP_MAX_COMPUTE => self.max_compute = value.get().expect(CHECKED),
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
            PROP_SMOOTHING => self.smoothing = value.get().expect(CHECKED),
            PROP_PREDICTION => self.prediction = value.get().expect(CHECKED),
            PROP_TRACKING => self.tracking = value.get().expect(CHECKED),
            PROP_STATS_INTERVAL => {
                let interval: u64 = value.get().expect(CHECKED);
                self.stats_interval = match interval {
                    0 => 0,
                    interval => interval.max(SHORTEST_STATS_INTERVAL),
                };
            }
            PROP_POST_DETECTIONS => self.post_detections = value.get().expect(CHECKED),
            _ => {}
        }
    }

    /// Returns the property `name`; `None` for those that are not settings.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            PROP_MODEL => self.model.to_value(),
            PROP_LABELS => self.labels.to_value(),
            PROP_MODEL_CONFIG => self.model_config.to_value(),
            PROP_LOAD_TIMEOUT => self.load_timeout.to_value(),
            PROP_MAX_COMPUTE => self.max_compute.to_value(),
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
            PROP_SMOOTHING => self.smoothing.to_value(),
            PROP_PREDICTION => self.prediction.to_value(),
            PROP_TRACKING => self.tracking.to_value(),
            PROP_STATS_INTERVAL => self.stats_interval.to_value(),
            PROP_POST_DETECTIONS => self.post_detections.to_value(),
            _ => return None,
        })
    }

    /// Returns the name of the model for people.
    pub fn model_name(&self) -> String {
        let name = |path: &PathBuf| path.display().to_string();
        self.model.as_ref().map_or_else(|| "built-in".into(), name)
    }

    /// Returns the thresholds in force with a model whose own are `score` and `iou`, which apply where a property is 0.
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

    /// The processors that inference may use; `None` for all, as with an empty text.
    pub fn processors(&self) -> Result<Option<Processors>, AffinityError> {
        let Some(list) = self.cpu_affinity.as_ref().filter(|l| !l.trim().is_empty()) else {
            return Ok(None);
        };
        let processors: Processors = list.parse()?;
        processors.check()?;
        Ok(Some(processors))
    }

    /// How the workers share these processors, or with `None` all that this process may use.
    pub fn parallelism(&self, processors: Option<&Processors>) -> Parallelism {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        let count = processors.map_or_else(all, Processors::count);
        Parallelism::new(self.workers, self.threads, count)
    }

    pub fn pace(&self) -> PaceOptions {
        PaceOptions {
            interval: self.inference_interval,
            max_rate: self.max_rate,
        }
    }

    /// The delay to declare; `None` for the measured one.
    pub fn latency(&self) -> Option<Duration> {
        (self.latency > 0).then(|| Duration::from_nanos(self.latency))
    }

    /// Older boxes are not attached; `None` leaves the limit to the rate of analyses.
    pub fn max_age(&self) -> Option<gst::ClockTime> {
        (self.max_age > 0).then(|| gst::ClockTime::from_nseconds(self.max_age.min(u64::MAX - 1)))
    }

    /// How boxes are shown on frames that were not analysed.
    pub fn shown(&self) -> ShownOptions {
        ShownOptions {
            smoothing: self.smoothing,
            prediction: self.prediction,
            max_age: Duration::from_nanos(self.max_age),
        }
    }

    /// The lowest score of detections that only the tracker sees; `None` where no objects are tracked.
    pub fn low_score(&self) -> Option<f32> {
        (self.tracking || self.mode == Mode::Passthrough).then_some(LOW_SCORE)
    }

    /// The wanted classes; `None` for all, as with an empty text, for programs that cannot set null.
    pub fn wanted_classes(&self) -> Option<&Arc<str>> {
        let classes = self.classes.as_ref();
        classes.filter(|classes| !classes.trim().is_empty())
    }

    /// Returns which classes of a model with these labels are reported; `None` for all.
    pub fn selection(&self, labels: &[String]) -> Result<Option<Selection>, ClassesError> {
        let classes = self.wanted_classes();
        classes
            .map(|classes| Selection::new(classes, labels))
            .transpose()
    }

    /// Longest time for loading a model; `None` for any time.
    pub fn load_timeout(&self) -> Option<Duration> {
        (self.load_timeout > 0).then(|| Duration::from_nanos(self.load_timeout))
    }

    /// Most multiply-adds of an inference.
    pub fn max_compute(&self) -> u64 {
        u64::from(self.max_compute) * COMPUTE_UNIT
    }

    /// Time between two messages with statistics; `None` for never.
    pub fn stats_interval(&self) -> Option<Duration> {
        (self.stats_interval > 0).then(|| Duration::from_nanos(self.stats_interval))
    }
}

/// Reads a text as a path is read, because a string need not be UTF-8. Other bytes are no good value of any property.
fn text(value: &glib::Value) -> Option<String> {
    let text: Option<PathBuf> = value
        .get()
        .expect("GObject checks the type against the declaration");
    text.map(|text| text.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_interval_of_statistics_is_raised() {
        let mut settings = Settings::default();
        let mut set = |interval: u64| {
            settings.set(PROP_STATS_INTERVAL, &interval.to_value());
            let read = settings.get(PROP_STATS_INTERVAL).expect("it is a setting");
            read.get::<u64>().expect("it is a uint64")
        };
        assert_eq!(set(0), 0, "never");
        assert_eq!(set(1), 10_000_000);
        assert_eq!(set(9_999_999), 10_000_000);
        assert_eq!(set(10_000_000), 10_000_000);
        assert_eq!(set(u64::MAX), u64::MAX);
    }
}
