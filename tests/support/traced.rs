//! `detect-bench run` beside what GStreamer itself counts: its latency tracer notes every frame that leaves `detect`.

use super::{PATIENCE, init};
use gst::prelude::*;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// A frame that left `detect`, in nanoseconds.
pub struct Traced {
    pub inside: f64,
    pub at: f64,
}

/// The figures of a run, and what the tracer noted.
pub fn run(folder: &Path, arguments: &[&str]) -> (Value, Vec<Traced>) {
    let log = folder.join("trace.log");
    let output = Command::new(env!("CARGO_BIN_EXE_detect-bench"))
        .args(["run", "--warm-up", "0", "--json", "-"])
        .args(arguments)
        .env("GST_TRACERS", "latency(flags=element)")
        .env("GST_DEBUG", "GST_TRACER:7")
        .env("GST_DEBUG_NO_COLOR", "1")
        .env("GST_DEBUG_FILE", &log)
        .output()
        .expect("the program starts");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["schema"], "detect-bench/1");
    let log = std::fs::read_to_string(log).expect("GStreamer writes its log");
    let of_detect = log
        .lines()
        .filter(|line| line.contains("element=(string)bench-detect,"));
    let traced = of_detect.map(|line| Traced {
        inside: number(line, "time"),
        at: number(line, "ts"),
    });
    (report["runs"][0].clone(), traced.collect())
}

fn number(line: &str, field: &str) -> f64 {
    let behind = line
        .split_once(&format!(" {field}=(guint64)"))
        .expect(field)
        .1;
    let digits = behind.split([',', ';']).next().unwrap_or_default();
    digits.parse().expect("a number")
}

/// A moving ball at 30 frames/s. The clip is whole when the sink that writes it has seen the end.
pub fn write_clip(path: &Path, frames: usize) {
    init();
    let encoded = format!(
        "videotestsrc num-buffers={frames} pattern=ball ! video/x-raw,width=160,height=120,framerate=30/1 ! jpegenc ! avimux \
         ! filesink location=\"{}\"",
        path.display()
    );
    let pipeline = gst::parse::launch(&encoded).expect("the pipeline is right");
    let bus = pipeline.bus().expect("a pipeline has a bus");
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let patience = gst::ClockTime::try_from(PATIENCE).expect("seconds");
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(patience, &ends).expect("an end");
    pipeline.set_state(gst::State::Null).expect("it stops");
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
}
