//! The figures of `detect-bench run` are those that GStreamer itself counts.
//!
//! `DETECT_BENCH_SECONDS` (4 if not set) is how long the live run lasts.

use crate::kept_in_one_of;
use crate::support::traced::{Traced, run, write_clip};
use crate::support::{Folder, micro_model};
use serde_json::Value;

const TRIES: u32 = 3;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len().div_ceil(2) - 1]
}

/// Frames a second of the first `count` frames.
fn rate(traced: &[Traced]) -> f64 {
    let span = traced[traced.len() - 1].at - traced[0].at;
    (traced.len() - 1) as f64 / (span / 1e9)
}

/// `told` is within `tolerance` of what was counted.
fn near(name: &str, told: &Value, counted: f64, tolerance: f64) -> Result<(), String> {
    let told = told.as_f64().unwrap_or_else(|| panic!("no {name}: {told}"));
    println!("{name}: {told:.3} told, {counted:.3} counted");
    match (told - counted).abs() <= tolerance * counted {
        true => Ok(()),
        false => Err(format!("{name}: {told} told, {counted} counted")),
    }
}

#[test]
fn fps_and_latency_of_a_live_run_are_those_of_the_tracer() {
    let seconds = std::env::var("DETECT_BENCH_SECONDS").unwrap_or("4".into());
    kept_in_one_of(TRIES, || {
        let folder = Folder::new();
        let (run, traced) = run(folder.path(), &["--source", "test", "--time", &seconds]);
        assert_eq!(
            (&run["live"], &run["mode"]),
            (&true.into(), &"newest".into())
        );
        let dropped = run["frames"]["dropped_busy"].as_u64();
        assert!(
            run["frames"]["received"].as_u64() > dropped
                && run["cpu"]["process"].as_f64() > Some(0.0)
        );
        // The last may have left after the end of the measurement.
        let count = run["inside"]["count"].as_u64().expect("frames") as usize;
        if count <= 5 || traced.len() < count {
            return Err(format!("{count} frames, and {} traced", traced.len()));
        }
        let traced = &traced[..count];
        let inside: Vec<_> = traced.iter().map(|t| t.inside / 1e6).collect();
        let mean = inside.iter().sum::<f64>() / count as f64;
        near("FPS", &run["fps"], rate(traced), 0.01)?;
        near(
            "latency, ms",
            &run["inside"]["p50_ms"],
            median(inside),
            0.05,
        )?;
        near("mean latency, ms", &run["inside"]["mean_ms"], mean, 0.05)
    });
}

#[test]
fn fps_of_a_clip_are_those_of_the_tracer() {
    let folder = Folder::new();
    let clip = folder.path().join("clip.avi");
    write_clip(&clip, 900);
    let model = micro_model("yolov8_micro.onnx");
    let arguments = [
        "--source",
        clip.to_str().expect("a path of the test"),
        "--model",
        model.to_str().expect("a path of the test"),
    ];
    kept_in_one_of(TRIES, || {
        let (run, traced) = run(folder.path(), &arguments);
        near("FPS", &run["fps"], rate(&traced), 0.01)
    });
}
