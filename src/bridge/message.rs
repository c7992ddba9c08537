//! Element messages and statistics as types, to and from `gst::Structure`.
//!
//! One table names each field once, so that the element, the tests and the bench cannot differ. Times are guint64
//! nanoseconds and absent where nothing was measured; rates are gdouble a second; counters are guint64.

use crate::flow::stats::{Counters, Percentiles, Snapshot, StageTimes};
use crate::host::machine::MachineSample;
use gst::prelude::*;
use std::time::Duration;

/// Name of the message that tells statistics every `stats-interval`.
pub const STATS: &str = "detect-stats";
/// Name of the structure in the property `stats`, with the same fields.
pub const STATS_PROPERTY: &str = "application/x-detect-stats";
/// Name of the message that tells what was recognised of a model, once it is ready.
pub const MODEL: &str = "detect-model";
/// Name of the structure in the property `model-info`, with the same fields and more.
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

/// Each stands three times in the structure, with `-p50`, `-p95` and `-p99` behind the name.
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

/// Absent where the machine does not tell.
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

/// Of one analysed frame, in [`DETECTIONS`].
const STAGES: [Field<StageTimes, Duration>; 4] = [
    ("wait-time", |t| &mut t.wait),
    ("preprocess-time", |t| &mut t.preprocess),
    ("model-time", |t| &mut t.model),
    ("postprocess-time", |t| &mut t.postprocess),
];

/// Statistics of one window, and what was in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DetectStats {
    pub snapshot: Snapshot,
    pub machine: MachineSample,
    /// Nick of the mode in force: `newest` or `every`.
    pub mode: String,
    /// Lowest score reported.
    pub score_threshold: f32,
    /// See the property `iou-threshold`.
    pub iou_threshold: f32,
    /// What is declared to the pipeline as the delay of a frame.
    pub latency: Duration,
    /// Of the element's clock; absent where there is none.
    pub running_time: Option<gst::ClockTime>,
}

impl DetectStats {
    /// As a structure of the name of the message or of the property.
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
        let mut machine = self.machine;
        for (field, value) in LOADS {
            set_if_told(&mut s, field, *value(&mut machine));
        }
        for (field, value) in AMOUNTS {
            set_if_told(&mut s, field, *value(&mut machine));
        }
        set_if_told(&mut s, THROTTLED, machine.throttled);
        set_time(&mut s, "window", Some(snapshot.window));
        set_time(&mut s, "running-time", self.running_time.map(Into::into));
        s
    }

    /// Reads either structure back. A field that is missing keeps its default.
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
        stats.snapshot.window = time(s, "window").unwrap_or_default();
        stats.running_time = running_time(s);
        Some(stats)
    }
}

/// The number a person has written: 0.6, and not the 0.60000002384185791 that is nearest to it among f32.
fn as_written(threshold: f32) -> f64 {
    threshold
        .to_string()
        .parse()
        .unwrap_or_else(|_| threshold.into())
}

fn set_if_told<T: ToSendValue>(s: &mut gst::Structure, field: &str, value: Option<T>) {
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

/// Something that was concluded of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    pub topic: String,
    pub value: String,
    pub reason: String,
    /// Nothing said so; it is only what is usual.
    pub guessed: bool,
}

impl Decision {
    fn to_structure(&self) -> gst::Structure {
        gst::Structure::builder("decision")
            .field("topic", &self.topic)
            .field("value", &self.value)
            .field("reason", &self.reason)
            .field("guessed", self.guessed)
            .build()
    }

    fn from_structure(s: &gst::StructureRef) -> Self {
        Self {
            topic: s.get("topic").unwrap_or_default(),
            value: s.get("value").unwrap_or_default(),
            reason: s.get("reason").unwrap_or_default(),
            guessed: s.get("guessed").unwrap_or_default(),
        }
    }
}

/// A line for people.
impl std::fmt::Display for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} ({})", self.topic, self.value, self.reason)
    }
}

/// What decides whether a box is reported: the properties, with the model's own values where they are 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InForce {
    pub score_threshold: f32,
    pub iou_threshold: f32,
    pub max_detections: u32,
    pub class_agnostic_nms: bool,
    pub min_size: u32,
    /// `None` = all.
    pub kept_classes: Option<Vec<KeptClass>>,
}

/// A class of the property `classes`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeptClass {
    pub number: u32,
    pub label: String,
    /// Its own, or that of all.
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

/// What was recognised of a model, and what it cost to load.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DetectModel {
    /// Path of the file, or `built-in`.
    pub path: String,
    pub family: String,
    pub engine: String,
    /// Why this engine, with the times of all if they were measured, and which library it is.
    pub engine_reason: String,
    /// Width and height of the model's input.
    pub input: (u32, u32),
    pub classes: u32,
    pub labels: Vec<String>,
    pub labels_source: String,
    pub load_time: Duration,
    /// Of the first inference, made before any frame.
    pub warm_up_time: Duration,
    pub decisions: Vec<Decision>,
    /// What was changed in the graph.
    pub rewritten: Vec<String>,
    /// What is odd and does no harm; each was also posted as a warning.
    pub warnings: Vec<String>,
    pub in_force: InForce,
    /// Of the element's clock; absent where there is none, as before a pipeline plays for the first time.
    pub running_time: Option<gst::ClockTime>,
}

impl DetectModel {
    /// The message `detect-model`, or the property `model-info`, which also has the labels.
    pub fn to_structure(&self, name: &str) -> gst::Structure {
        let strings = |v: &[String]| gst::Array::new(v.iter().map(String::as_str));
        let mut s = gst::Structure::builder(name)
            .field("path", &self.path)
            .field("family", &self.family)
            .field("engine", &self.engine)
            .field("engine-reason", &self.engine_reason)
            .field("input-width", self.input.0)
            .field("input-height", self.input.1)
            .field("classes", self.classes)
            .field("labels-source", &self.labels_source)
            .field(
                "decisions",
                structures(&self.decisions, Decision::to_structure),
            )
            .field("guessed", gst::Array::new(self.guessed()))
            .field("rewritten", strings(&self.rewritten))
            .field("warnings", strings(&self.warnings))
            .build();
        self.in_force.add_to(&mut s);
        set_time(&mut s, "load-time", Some(self.load_time));
        set_time(&mut s, "warm-up-time", Some(self.warm_up_time));
        set_time(&mut s, "running-time", self.running_time.map(Into::into));
        if name == MODEL_PROPERTY {
            s.set("labels", strings(&self.labels));
        }
        s
    }

    /// The decisions that were guessed, as text: the first thing to look at where boxes are wrong.
    pub fn guessed(&self) -> impl Iterator<Item = String> {
        let guessed = self.decisions.iter().filter(|d| d.guessed);
        guessed.map(Decision::to_string)
    }

    /// Reads either structure back. A field that is missing keeps its default.
    pub fn from_structure(s: &gst::StructureRef) -> Option<Self> {
        if ![MODEL, MODEL_PROPERTY].contains(&s.name().as_str()) {
            return None;
        }
        let text = |field| s.get::<String>(field).unwrap_or_default();
        let number = |field| s.get::<u32>(field).unwrap_or_default();
        let texts = |field| {
            let array = s.get::<gst::Array>(field).ok();
            let values = array.iter().flat_map(|a| a.iter());
            values.filter_map(|v| v.get::<String>().ok()).collect()
        };
        Some(Self {
            path: text("path"),
            family: text("family"),
            engine: text("engine"),
            engine_reason: text("engine-reason"),
            input: (number("input-width"), number("input-height")),
            classes: number("classes"),
            labels: texts("labels"),
            labels_source: text("labels-source"),
            load_time: time(s, "load-time").unwrap_or_default(),
            warm_up_time: time(s, "warm-up-time").unwrap_or_default(),
            decisions: read_structures(s, "decisions", Decision::from_structure),
            rewritten: texts("rewritten"),
            warnings: texts("warnings"),
            in_force: InForce::read_from(s),
            running_time: running_time(s),
        })
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

/// The message with the boxes of one frame: `running-time`, the frame's `timestamp`, an array of structures named
/// `detection` in the field `detections`, and where the time of its analysis went.
pub fn detections(
    running_time: Option<gst::ClockTime>,
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
    set_time(&mut s, "running-time", running_time.map(Into::into));
    set_time(&mut s, "timestamp", timestamp.map(Into::into));
    let mut times = times;
    for (field, value) in STAGES {
        set_time(&mut s, field, Some(*value(&mut times)));
    }
    s
}

/// Reads back where the time of an analysis went; `None` of another message.
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
        let message = detections(None, Some(gst::ClockTime::SECOND), times, []);
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
