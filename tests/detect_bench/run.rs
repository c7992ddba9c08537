//! `detect-bench run` against what GStreamer itself counts: its latency tracer notes every frame that leaves `detect`.
//!
//! `DETECT_BENCH_SECONDS` (4 if not set) is how long the live run lasts.

use crate::support::{self, Folder, PATIENCE, micro_model};
use gst::prelude::*;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// A frame that left `detect`, in nanoseconds.
struct Traced {
    inside: f64,
    at: f64,
}

/// The figures of a run, and what the tracer noted.
fn run(folder: &Path, arguments: &[&str]) -> (Value, Vec<Traced>) {
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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len().div_ceil(2) - 1]
}

/// Frames a second of the first `count` frames.
fn rate(traced: &[Traced]) -> f64 {
    let span = traced[traced.len() - 1].at - traced[0].at;
    (traced.len() - 1) as f64 / (span / 1e9)
}

fn assert_near(name: &str, told: &Value, counted: f64, tolerance: f64) {
    let told = told.as_f64().unwrap_or_else(|| panic!("no {name}: {told}"));
    println!("{name}: {told:.3} told, {counted:.3} counted");
    assert!(
        (told - counted).abs() <= tolerance * counted,
        "{name}: {told} told, {counted} counted"
    );
}

#[test]
fn fps_and_latency_of_a_live_run_are_those_of_the_tracer() {
    let folder = Folder::new();
    let seconds = std::env::var("DETECT_BENCH_SECONDS").unwrap_or("4".into());
    let (run, traced) = run(folder.path(), &["--source", "test", "--time", &seconds]);
    assert_eq!(
        (&run["live"], &run["mode"]),
        (&true.into(), &"newest".into())
    );
    // The last may have left after the end of the measurement.
    let count = run["inside"]["count"].as_u64().expect("frames") as usize;
    assert!(
        count > 5 && traced.len() >= count,
        "{count} of {}",
        traced.len()
    );
    let traced = &traced[..count];
    assert_near("FPS", &run["fps"], rate(traced), 0.01);
    let inside = median(traced.iter().map(|t| t.inside / 1e6).collect());
    assert_near("latency, ms", &run["inside"]["p50_ms"], inside, 0.05);
    let mean = traced.iter().map(|t| t.inside / 1e6).sum::<f64>() / count as f64;
    assert_near("mean latency, ms", &run["inside"]["mean_ms"], mean, 0.05);
    let dropped = run["frames"]["dropped_busy"].as_u64();
    assert!(
        run["frames"]["received"].as_u64() > dropped && run["cpu"]["process"].as_f64() > Some(0.0)
    );
}

/// A moving ball at 30 frames/s. The clip is whole when the sink that writes it has seen the end.
fn write_clip(path: &Path, frames: usize) {
    support::init();
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

#[test]
fn every_frame_of_a_clip_of_30_s_is_counted() {
    let folder = Folder::new();
    let clip = folder.path().join("clip.avi");
    let frames = 900;
    write_clip(&clip, frames);
    let model = micro_model("yolov8_micro.onnx");
    let (run, traced) = run(
        folder.path(),
        &[
            "--source",
            clip.to_str().expect("a path of the test"),
            "--model",
            model.to_str().expect("a path of the test"),
        ],
    );
    assert_eq!(
        (&run["live"], &run["mode"]),
        (&false.into(), &"every".into())
    );
    assert_eq!(traced.len(), frames, "the tracer sees every frame");
    assert_eq!(run["frames"]["analysed"], frames);
    assert_eq!(run["model_time"]["count"], frames);
    assert_near("FPS", &run["fps"], rate(&traced), 0.01);
    assert_eq!(run["frames"]["dropped_busy"], 0);
}

#[test]
fn latency_of_each_second_is_the_time_inside_where_the_source_is_not_live() {
    let folder = Folder::new();
    let source = "videotestsrc ! video/x-raw,width=320,height=240,framerate=30/1";
    let (run, _) = run(folder.path(), &["--source", source, "--time", "3"]);
    assert_eq!(run["live"], false);
    let seconds = run["seconds"].as_array().expect("a list");
    assert!(!seconds.is_empty());
    for second in seconds {
        let [latency, model] = ["latency_ms", "model_ms"].map(|field| second[field].as_f64());
        // Every frame is inside for as long as the model needs, and the frames of both medians differ by one or two.
        assert!(latency > model.map(|ms| 0.8 * ms), "{second}");
    }
}
