//! [`Report`]: what was measured, as JSON of schema `detect-bench/1`; `text.rs` and `html/` show the same.
//!
//! The names of the fields are the schema. Within one version fields may be added, but no field changes its name or
//! meaning. A name ends in its unit. A field that was not measured is absent.

use crate::failure::Failure;
use crate::machine::MachineInfo;
use gst::glib;
use gstdetect::bridge::message::{Decision, DetectModel};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

pub const SCHEMA: &str = "detect-bench/1";
/// Version and commit of the crate.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID"));

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub schema: &'static str,
    /// `run` or `compare`.
    pub command: &'static str,
    pub version: &'static str,
    /// ISO 8601.
    pub date: String,
    pub machine: MachineInfo,
    /// The run of `run`; for `compare` the last turn of each row.
    pub runs: Vec<Run>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

impl Report {
    pub fn new(command: &'static str, runs: Vec<Run>) -> Self {
        let now = glib::DateTime::now_utc().and_then(|now| now.format_iso8601());
        Self {
            schema: SCHEMA,
            command,
            version: VERSION,
            date: now.map(|text| text.to_string()).unwrap_or_default(),
            machine: MachineInfo::read(),
            runs,
            comparison: None,
        }
    }

    pub fn write_json(&self, path: &Path) -> Result<(), Failure> {
        let json = to_json(self)?;
        if path == Path::new("-") {
            return print(&json);
        }
        std::fs::write(path, json).map_err(|err| Failure::output(path, &err))
    }
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Writes a value as JSON that ends with a new line.
pub fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string_pretty(value);
    let json = json
        .map_err(|err| Failure::Output(format!("the result cannot be written as JSON: {err}")))?;
    Ok(json + "\n")
}

/// Prints to standard output. It is not a failure if nobody reads it any more (`| head`).
pub fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(err) if err.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::output(Path::new("standard output"), &err))
        }
        _ => Ok(()),
    }
}

/// Figures of one measured pipeline.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Run {
    pub name: String,
    pub source: String,
    pub live: bool,
    /// The mode in force.
    pub mode: String,
    pub model: ModelFacts,
    /// Properties of `detect` that were set.
    pub settings: BTreeMap<String, String>,
    pub warm_up_s: f64,
    pub measured_s: f64,
    /// Frames analysed a second.
    pub fps: f64,
    pub input_fps: f64,
    pub output_fps: f64,
    /// Time of the engine alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_time: Option<Times>,
    /// From the sink pad of `detect` to its source pad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inside: Option<Times>,
    /// Age of a frame's picture when it leaves; live sources only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<Times>,
    pub stages: Stages,
    pub frames: Frames,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sink: Option<SinkCounts>,
    pub cpu: Cpu,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_frequency_hz: Option<Span>,
    /// Throttling bits of a Raspberry Pi's firmware that were set at any time during the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled: Option<u32>,
    /// Figures of each second, roughly.
    pub seconds: Vec<Second>,
    pub warnings: Vec<String>,
}

/// Facts that `detect` reports about the model.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ModelFacts {
    pub path: String,
    pub family: String,
    pub engine: String,
    pub engine_reason: String,
    pub input_width: u32,
    pub input_height: u32,
    pub classes: u32,
    pub labels_source: String,
    pub load_ms: f64,
    pub warm_up_ms: f64,
    #[serde(serialize_with = "decisions")]
    pub decisions: Vec<Decision>,
    pub rewritten: Vec<String>,
    pub warnings: Vec<String>,
}

/// Writes the fields of the library's decisions.
fn decisions<S: Serializer>(decisions: &[Decision], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Row<'a> {
        topic: &'a str,
        value: &'a str,
        reason: &'a str,
        guessed: bool,
    }
    serializer.collect_seq(decisions.iter().map(|decision| Row {
        topic: &decision.topic,
        value: &decision.value,
        reason: &decision.reason,
        guessed: decision.guessed,
    }))
}

impl From<DetectModel> for ModelFacts {
    fn from(model: DetectModel) -> Self {
        Self {
            path: model.path,
            family: model.family,
            engine: model.engine,
            engine_reason: model.engine_reason,
            input_width: model.input.0,
            input_height: model.input.1,
            classes: model.classes,
            labels_source: model.labels_source,
            load_ms: ms(model.load_time),
            warm_up_ms: ms(model.warm_up_time),
            decisions: model.decisions,
            rewritten: model.rewritten,
            warnings: model.warnings,
        }
    }
}

/// Nearest-rank percentiles: each is one of the measured times.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Times {
    pub count: usize,
    pub mean_ms: f64,
    pub min_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    pub histogram: Histogram,
}

/// Bars of equal width; the last one counts all longer times.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Histogram {
    pub from_ms: f64,
    pub step_ms: f64,
    pub counts: Vec<u64>,
}

/// Mean times of an analysed frame.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Stages {
    pub wait_ms: f64,
    pub preprocess_ms: f64,
    pub model_ms: f64,
    pub postprocess_ms: f64,
}

impl Stages {
    /// Returns the stages in order, with the names that people read.
    pub fn named(&self) -> [(&'static str, f64); 4] {
        [
            ("waiting", self.wait_ms),
            ("pixels", self.preprocess_ms),
            ("model", self.model_ms),
            ("boxes", self.postprocess_ms),
        ]
    }
}

/// Frames counted during the measurement.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Frames {
    pub received: u64,
    pub analysed: u64,
    pub pushed: u64,
    pub dropped_busy: u64,
    pub dropped_interval: u64,
    pub dropped_late: u64,
}

/// Frames that the sink showed, and frames that came too late for it.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct SinkCounts {
    pub rendered: u64,
    pub dropped: u64,
}

/// Processors kept busy; 1.0 = one.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Cpu {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<f64>,
    /// Share of the time that each processor was busy with any program.
    pub cores: Vec<f64>,
}

/// First, lowest, highest and last value of a run.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Span {
    pub first: f64,
    pub min: f64,
    pub max: f64,
    pub last: f64,
}

impl Span {
    /// Returns `None` if there are no values.
    pub fn from_values(values: impl Iterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.collect();
        Some(Self {
            first: *values.first()?,
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            last: *values.last()?,
        })
    }
}

/// Figures of a part of a run, from one `detect-stats` message to the next.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Second {
    /// End of this part, in seconds since the measurement began.
    pub at_s: f64,
    pub fps: f64,
    /// Median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_ms: Option<f64>,
    /// Median age of the pictures of a live source, otherwise median time inside `detect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Frames dropped since the stream began.
    pub dropped: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_cpu: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_cpu: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_frequency_hz: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled: Option<u32>,
}

/// Rows compared with the first row.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Comparison {
    pub rounds: u32,
    /// Frames on which boxes were compared; 0 = boxes were not compared.
    pub frames: usize,
    pub rows: Vec<Row>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Row {
    pub name: String,
    /// Why this row could not be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Medians over the turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_p95_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p50_ms: Option<f64>,
    /// The first row's model time over this one's, median over the rounds of the ratio within a round: 2 = twice as
    /// fast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_up: Option<f64>,
    /// Median model time of each turn.
    pub turns_ms: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boxes: Option<Agreement>,
}

/// How far the boxes of a row agree with those of the first row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Agreement {
    /// Number of boxes of the first row.
    pub expected: usize,
    pub found: usize,
    /// Pairs of the same label with an IoU of at least 0.5, and of at least 0.8.
    pub matched_50: usize,
    pub matched_80: usize,
    /// At an IoU of 0.5: boxes of the first row without a partner in this row, and the other way round.
    pub missing: usize,
    pub extra: usize,
    /// Mean difference of the scores of a pair: this row's minus the first row's.
    pub mean_score_difference: f64,
    pub mean_iou: f64,
}
