//! Element messages and statistics as types, converted to and from `gst::Structure`.
//!
//! Tables name each field once, so the element, the tests and the bench cannot differ. Times are guint64 nanoseconds,
//! absent where nothing was measured. Rates are gdouble a second, counters guint64.

mod model;

pub use crate::families::Decision;
use crate::flow::stats::{Counters, Percentiles, Snapshot, StageTimes};
use crate::host::machine::MachineSample;
use gst::prelude::*;
pub use model::DetectModel;
use std::time::Duration;

/// Name of the message with statistics, posted every `stats-interval`.
pub const STATS: &str = "detect-stats";
/// Name of the structure in the property `stats`, which has the same fields.
pub const STATS_PROPERTY: &str = "application/x-detect-stats";
/// Name of the message about a model, posted when the model is ready.
pub const MODEL: &str = "detect-model";
/// Name of the structure in the property `model-info`, which has the same fields and `labels`.
pub const MODEL_PROPERTY: &str = "application/x-detect-model-info";
/// Name of the message with the boxes of one frame.
pub const DETECTIONS: &str = "detect-detections";

type Field<T, V> = (&'static str, fn(&mut T) -> &mut V);

const RATES: [Field<Snapshot, f64>; 3] = [
    ("fps", |s| &mut s.fps),
    ("input-fps", |s| &mut s.input_fps),
    ("output-fps", |s| &mut s.output_fps),
];

const MEANS: [Field<Snapshot, Option<Duration>>; 4] = [
    ("model-time", |s| &mut s.model_mean),
    ("wait-time", |s| &mut s.wait_mean),
    ("preprocess-time", |s| &mut s.preprocess_mean),
    ("postprocess-time", |s| &mut s.postprocess_mean),
];

/// Each has three fields, with `-p50`, `-p95` and `-p99` after the name.
const PERCENTILES: [Field<Snapshot, Option<Percentiles>>; 3] = [
    ("model-time", |s| &mut s.model),
    ("total-time", |s| &mut s.total),
    ("age", |s| &mut s.age),
];

const COUNTERS: [Field<Counters, u64>; 6] = [
    ("received", |c| &mut c.received),
    ("analysed", |c| &mut c.analysed),
    ("pushed", |c| &mut c.pushed),
    ("dropped-busy", |c| &mut c.dropped_busy),
    ("dropped-interval", |c| &mut c.dropped_interval),
    ("dropped-late", |c| &mut c.dropped_late),
];

/// Absent where the machine does not provide them.
const LOADS: [Field<MachineSample, Option<f64>>; 3] = [
    ("process-cpu", |m| &mut m.process_cpu),
    ("system-cpu", |m| &mut m.system_cpu),
    ("temperature", |m| &mut m.temperature),
];

const AMOUNTS: [Field<MachineSample, Option<u64>>; 2] = [
    ("rss", |m| &mut m.rss),
    ("cpu-frequency", |m| &mut m.cpu_frequency),
];

const THROTTLED: &str = "throttled";

const STUCK_LOADS: &str = "stuck-loads";

/// Stage times of one analysed frame, in [`DETECTIONS`].
const STAGES: [Field<StageTimes, Duration>; 4] = [
    ("wait-time", |t| &mut t.wait),
    ("preprocess-time", |t| &mut t.preprocess),
    ("model-time", |t| &mut t.model),
    ("postprocess-time", |t| &mut t.postprocess),
];

/// Statistics of one window, and the settings in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DetectStats {
    /// Rates, times and counters of the stream.
    pub snapshot: Snapshot,
    /// Load and temperature of the machine.
    pub machine: MachineSample,
    /// Nick of the mode in force.
    pub mode: String,
    /// Lowest score reported.
    pub score_threshold: f32,
    /// IoU above which boxes are suppressed.
    pub iou_threshold: f32,
    /// Delay declared to the pipeline.
    pub latency: Duration,
    /// Loads of models in this process that have outlasted `load-timeout` and not ended.
    pub stuck_loads: u64,
    /// Running time of the message; absent without a clock.
    pub running_time: Option<gst::ClockTime>,
}

impl DetectStats {
    /// Converts to a structure with the name of the message or of the property.
    pub fn to_structure(&self, name: &str) -> gst::Structure {
        let mut snapshot = self.snapshot.clone();
        let mut s = gst::Structure::new_empty(name);
        for (field, value) in RATES {
            s.set(field, *value(&mut snapshot));
        }
        for (field, value) in MEANS {
            set_time(&mut s, field, *value(&mut snapshot));
        }
        for (field, value) in PERCENTILES {
            if let Some(p) = value(&mut snapshot) {
                for (suffix, time) in [("p50", p.p50), ("p95", p.p95), ("p99", p.p99)] {
                    set_time(&mut s, &format!("{field}-{suffix}"), Some(time));
                }
            }
        }
        for (field, value) in COUNTERS {
            s.set(field, *value(&mut snapshot.counters));
        }
        s.set("mode", &self.mode);
        s.set("score-threshold", as_written(self.score_threshold));
        s.set("iou-threshold", as_written(self.iou_threshold));
        set_time(&mut s, "latency", Some(self.latency));
        s.set(STUCK_LOADS, self.stuck_loads);
        let mut machine = self.machine;
        for (field, value) in LOADS {
            set_if_measured(&mut s, field, *value(&mut machine));
        }
        for (field, value) in AMOUNTS {
            set_if_measured(&mut s, field, *value(&mut machine));
        }
        set_if_measured(&mut s, THROTTLED, machine.throttled);
        set_time(&mut s, "window", Some(snapshot.window));
        set_time(&mut s, "running-time", self.running_time.map(Into::into));
        s
    }

    /// Reads a message or the property. A missing field gets its default.
    pub fn from_structure(s: &gst::StructureRef) -> Option<Self> {
        if ![STATS, STATS_PROPERTY].contains(&s.name().as_str()) {
            return None;
        }
        let mut stats = Self::default();
        for (field, value) in RATES {
            *value(&mut stats.snapshot) = s.get(field).unwrap_or_default();
        }
        for (field, value) in MEANS {
            *value(&mut stats.snapshot) = time(s, field);
        }
        for (field, value) in PERCENTILES {
            let part = |suffix: &str| time(s, &format!("{field}-{suffix}"));
            *value(&mut stats.snapshot) = match (part("p50"), part("p95"), part("p99")) {
                (Some(p50), Some(p95), Some(p99)) => Some(Percentiles { p50, p95, p99 }),
                _ => None,
            };
        }
        for (field, value) in COUNTERS {
            *value(&mut stats.snapshot.counters) = s.get(field).unwrap_or_default();
        }
        for (field, value) in LOADS {
            *value(&mut stats.machine) = s.get(field).ok();
        }
        for (field, value) in AMOUNTS {
            *value(&mut stats.machine) = s.get(field).ok();
        }
        stats.machine.throttled = s.get(THROTTLED).ok();
        stats.mode = s.get("mode").unwrap_or_default();
        stats.score_threshold = s.get::<f64>("score-threshold").unwrap_or_default() as f32;
        stats.iou_threshold = s.get::<f64>("iou-threshold").unwrap_or_default() as f32;
        stats.latency = time(s, "latency").unwrap_or_default();
        stats.stuck_loads = s.get(STUCK_LOADS).unwrap_or_default();
        stats.snapshot.window = time(s, "window").unwrap_or_default();
        stats.running_time = running_time(s);
        Some(stats)
    }
}

/// Returns the number as a person wrote it: 0.6 rather than 0.60000002384185791, the nearest f32.
fn as_written(threshold: f32) -> f64 {
    threshold
        .to_string()
        .parse()
        .unwrap_or_else(|_| threshold.into())
}

fn set_if_measured<T: ToSendValue>(s: &mut gst::Structure, field: &str, value: Option<T>) {
    if let Some(value) = value {
        s.set(field, value.to_send_value());
    }
}

fn set_time(s: &mut gst::Structure, field: &str, time: Option<Duration>) {
    if let Some(time) = time {
        s.set(field, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
}

fn time(s: &gst::StructureRef, field: &str) -> Option<Duration> {
    s.get(field).ok().map(Duration::from_nanos)
}

/// Limits in force: the properties, or the model's own values where those are 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InForce {
    /// Lowest score reported.
    pub score_threshold: f32,
    /// IoU above which boxes are suppressed.
    pub iou_threshold: f32,
    /// Most boxes of one frame.
    pub max_detections: u32,
    /// Whether boxes of different classes suppress each other.
    pub class_agnostic_nms: bool,
    /// Smallest side of a box in pixels of the frame.
    pub min_size: u32,
    /// Classes reported; `None` = all.
    pub kept_classes: Option<Vec<KeptClass>>,
}

/// One class of the property `classes`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeptClass {
    /// Class number.
    pub number: u32,
    /// Label of the class.
    pub label: String,
    /// Its own threshold, or the general one.
    pub score_threshold: f32,
}

impl InForce {
    fn add_to(&self, s: &mut gst::Structure) {
        s.set("score-threshold", as_written(self.score_threshold));
        s.set("iou-threshold", as_written(self.iou_threshold));
        s.set("max-detections", self.max_detections);
        s.set("class-agnostic-nms", self.class_agnostic_nms);
        s.set("min-size", self.min_size);
        if let Some(classes) = &self.kept_classes {
            s.set("kept-classes", structures(classes, KeptClass::to_structure));
        }
    }

    fn read_from(s: &gst::StructureRef) -> Self {
        Self {
            score_threshold: s.get::<f64>("score-threshold").unwrap_or_default() as f32,
            iou_threshold: s.get::<f64>("iou-threshold").unwrap_or_default() as f32,
            max_detections: s.get("max-detections").unwrap_or_default(),
            class_agnostic_nms: s.get("class-agnostic-nms").unwrap_or_default(),
            min_size: s.get("min-size").unwrap_or_default(),
            kept_classes: (s.has_field("kept-classes"))
                .then(|| read_structures(s, "kept-classes", KeptClass::from_structure)),
        }
    }
}

impl KeptClass {
    fn to_structure(&self) -> gst::Structure {
        gst::Structure::builder("class")
            .field("number", self.number)
            .field("label", &self.label)
            .field("score-threshold", as_written(self.score_threshold))
            .build()
    }

    fn from_structure(s: &gst::StructureRef) -> Self {
        Self {
            number: s.get("number").unwrap_or_default(),
            label: s.get("label").unwrap_or_default(),
            score_threshold: s.get::<f64>("score-threshold").unwrap_or_default() as f32,
        }
    }
}

fn structures<T>(items: &[T], to_structure: fn(&T) -> gst::Structure) -> gst::Array {
    gst::Array::new(items.iter().map(|item| to_structure(item).to_send_value()))
}

fn read_structures<T>(
    s: &gst::StructureRef,
    field: &str,
    from_structure: fn(&gst::StructureRef) -> T,
) -> Vec<T> {
    let array = s.get::<gst::Array>(field).ok();
    let values = array.iter().flat_map(|a| a.iter());
    let structures = values.filter_map(|v| v.get::<gst::Structure>().ok());
    structures.map(|s| from_structure(&s)).collect()
}

fn running_time(s: &gst::StructureRef) -> Option<gst::ClockTime> {
    gst::ClockTime::try_from(time(s, "running-time")?).ok()
}

/// Creates the message with the boxes of one frame: `running-time` and `timestamp` of the frame, its stage times, and
/// an array `detections` of structures named `detection`.
pub fn detections(
    running_time: Duration,
    timestamp: Option<gst::ClockTime>,
    times: StageTimes,
    detections: impl IntoIterator<Item = gst::Structure>,
) -> gst::Structure {
    let mut s = gst::Structure::builder(DETECTIONS)
        .field(
            "detections",
            gst::Array::new(detections.into_iter().map(|d| d.to_send_value())),
        )
        .build();
    set_time(&mut s, "running-time", Some(running_time));
    set_time(&mut s, "timestamp", timestamp.map(Into::into));
    let mut times = times;
    for (field, value) in STAGES {
        set_time(&mut s, field, Some(*value(&mut times)));
    }
    s
}

/// Reads the stage times of an analysis; `None` for another message.
pub fn stage_times(s: &gst::StructureRef) -> Option<StageTimes> {
    if s.name() != DETECTIONS {
        return None;
    }
    let mut times = StageTimes::default();
    for (field, value) in STAGES {
        *value(&mut times) = time(s, field)?;
    }
    Some(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_survives_the_way_through_a_structure() {
        gst::init().expect("GStreamer starts");
        let texts = |all: &[&str]| all.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let model = DetectModel {
            path: "x.onnx".into(),
            family: "yolov8".into(),
            engine: "tract".into(),
            engine_reason: "asked for".into(),
            input: (640, 384),
            classes: 2,
            labels: texts(&["cat", "chien"]),
            labels_source: "metadata".into(),
            load_time: Duration::from_millis(100),
            warm_up_time: Duration::from_millis(40),
            decisions: vec![
                Decision {
                    topic: "colour".into(),
                    value: "RGB".into(),
                    reason: "usual, \"as always\"".into(),
                    guessed: true,
                },
                Decision {
                    topic: "labels".into(),
                    value: "2".into(),
                    reason: "metadata".into(),
                    guessed: false,
                },
            ],
            rewritten: texts(&["the input has 640x384 pixels"]),
            warnings: texts(&["x.txt has 1 label"]),
            in_force: InForce {
                score_threshold: 0.4,
                iou_threshold: 0.45,
                max_detections: 100,
                class_agnostic_nms: true,
                min_size: 8,
                kept_classes: Some(vec![KeptClass {
                    number: 1,
                    label: "chien".into(),
                    score_threshold: 0.3,
                }]),
            },
            running_time: Some(gst::ClockTime::SECOND),
        };
        let property = model.to_structure(MODEL_PROPERTY);
        assert_eq!(DetectModel::from_structure(&property), Some(model.clone()));
        let message = DetectModel::from_structure(&model.to_structure(MODEL)).expect("its name");
        assert_eq!(
            (message.decisions, message.labels),
            (model.decisions, Vec::new()),
            "the message leaves out the labels"
        );
        let guessed = property.get::<gst::Array>("guessed").expect("an array");
        let guessed: Vec<_> = guessed.iter().map(|g| g.get::<&str>()).collect();
        assert_eq!(guessed, [Ok("colour: RGB (usual, \"as always\")")]);
    }

    #[test]
    fn the_times_of_one_frame_survive_the_way_through_a_message() {
        gst::init().expect("GStreamer starts");
        let times = StageTimes {
            wait: Duration::from_millis(1),
            preprocess: Duration::from_millis(2),
            model: Duration::from_millis(3),
            postprocess: Duration::from_millis(4),
        };
        let message = detections(
            Duration::from_secs(2),
            Some(gst::ClockTime::SECOND),
            times,
            [],
        );
        assert_eq!(message.get::<u64>("model-time"), Ok(3_000_000));
        assert_eq!(stage_times(&message), Some(times));
        assert_eq!(stage_times(&gst::Structure::new_empty(STATS)), None);
    }

    #[test]
    fn statistics_survive_the_way_through_a_structure() {
        gst::init().expect("GStreamer starts");
        let ms = Duration::from_millis;
        let percentiles = |n| Percentiles {
            p50: ms(n),
            p95: ms(n + 1),
            p99: ms(n + 2),
        };
        let stats = DetectStats {
            snapshot: Snapshot {
                window: ms(5000),
                fps: 4.5,
                input_fps: 30.0,
                output_fps: 4.4,
                model_mean: Some(ms(200)),
                model: Some(percentiles(199)),
                wait_mean: Some(ms(17)),
                preprocess_mean: Some(ms(3)),
                postprocess_mean: None,
                total: Some(percentiles(220)),
                age: None,
                counters: Counters {
                    received: 300,
                    analysed: 45,
                    pushed: 44,
                    dropped_busy: 255,
                    dropped_interval: 0,
                    dropped_late: 1,
                },
            },
            machine: MachineSample {
                process_cpu: Some(1.5),
                system_cpu: Some(1.75),
                rss: Some(80 << 20),
                temperature: Some(61.5),
                cpu_frequency: None,
                throttled: Some(0x50000),
            },
            mode: "newest".into(),
            score_threshold: 0.6,
            iou_threshold: 0.25,
            latency: ms(240),
            stuck_loads: 1,
            running_time: Some(gst::ClockTime::from_seconds(10)),
        };
        for name in [STATS, STATS_PROPERTY] {
            let structure = stats.to_structure(name);
            assert_eq!(structure.get::<u64>("model-time-p99"), Ok(201_000_000));
            assert_eq!(structure.get::<f64>("score-threshold"), Ok(0.6));
            assert!(!structure.has_field("age-p50"), "not live: absent");
            assert!(!structure.has_field("cpu-frequency"), "not told: absent");
            assert_eq!(structure.get::<u32>("throttled"), Ok(0x50000));
            assert_eq!(DetectStats::from_structure(&structure), Some(stats.clone()));
        }
        assert_eq!(
            DetectStats::from_structure(&gst::Structure::new_empty("other")),
            None
        );
    }
}
