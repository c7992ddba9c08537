//! A camera of four buffers that never waits for one, and a sink that keeps its last sample: at 60 pictures a second the camera
//! loses none, and frames leave in time.
//!
//! `DETECT_CAMERA_PICTURES` (1000 if not set) is how many pictures it takes.

use crate::kept_in_one_of;
use crate::support;
use crate::support::camera::{Camera, Counts, Plan};
use crate::support::copies::{
    MOST_MEMORIES, SIZE, copies, count_copies, count_lent, line, memories, until_eos,
};
use gst::prelude::*;
use gstdetect::bridge::message::DetectStats;
use gstdetect::engine::stub::Control;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const FPS: u32 = 60;
const MODEL: Duration = Duration::from_millis(150);
/// Frames that leave before the pipeline has taken the first delays into its latency.
const SETTLING: usize = 12;
const TRIES: u32 = 3;
/// So many pictures tell how old frames are: percentiles of few frames are those of the first.
const LONG: u64 = 500;

struct Run {
    camera: Counts,
    stats: DetectStats,
    /// Ages of the frames that left.
    ages: Vec<Duration>,
    left: u64,
    copies: u64,
    /// How many memories there are for copies.
    memories: u64,
    /// Frames that left in the camera's own memory.
    lent: u64,
}

fn run(pictures: u64, sink: &str) -> Run {
    let folder = support::Folder::new();
    let model = folder.path().join("slow.onnx");
    std::fs::copy(support::micro_model("yolov8_micro.onnx"), &model).expect("the model is there");
    Control::for_model(Some(&model)).set_duration(MODEL);
    let camera = Camera::new(Plan {
        size: SIZE,
        fps: FPS,
        pictures,
        on_demand: false,
    });
    let (pipeline, detect) = line(&camera, &model, sink, true);
    let lent = count_lent(&detect);
    let ages: Arc<Mutex<Vec<Duration>>> = support::watch_ages(&detect);
    let before = (copies(), memories());
    pipeline.set_state(gst::State::Playing).expect("it plays");
    until_eos(&pipeline);
    let stats: gst::Structure = detect.property("stats");
    let (copies, camera) = (copies() - before.0, camera.counts());
    let memories = memories() - before.1;
    pipeline.set_state(gst::State::Null).expect("it stops");
    let ages = std::mem::take(&mut *ages.lock().unwrap());
    Run {
        camera,
        stats: DetectStats::from_structure(&stats).expect("statistics of the element"),
        left: ages.len() as u64,
        ages: ages[SETTLING.min(ages.len())..].to_vec(),
        copies,
        memories,
        lent: lent.load(Relaxed),
    }
}

/// Prints the figures, and tells the first promise that they do not hold; that of the age is one of [`LONG`] runs.
fn judge(run: &Run, pictures: u64) -> Result<(), &'static str> {
    let snapshot = &run.stats.snapshot;
    let known = |time: Option<Duration>| time.expect("frames were analysed");
    let around = known(snapshot.preprocess_mean) + known(snapshot.postprocess_mean);
    let model_p95 = known(snapshot.model.map(|m| m.p95));
    let bound = model_p95 + around + Duration::from_secs(1) / FPS + Duration::from_millis(20);
    let age = |share| support::percentile(&run.ages, share);
    let counters = snapshot.counters;
    println!(
        "{pictures} pictures at {FPS}/s: lost {}, left {}, copies {} in {} memories, age p50 {:.1?} p95 {:.1?} (bound {bound:.1?}), \
         model p95 {model_p95:.1?}, around it {around:.2?}, analysed {}, dropped {}",
        run.camera.lost,
        run.left,
        run.copies,
        run.memories,
        age(0.5),
        age(0.95),
        counters.analysed,
        counters.dropped(),
    );
    let lasted = Duration::from_secs(pictures) / FPS;
    let fewest = lasted.as_secs_f64() / (MODEL + Duration::from_millis(30)).as_secs_f64();
    let promises = [
        (run.camera.lost == 0, "the pool has run dry"),
        (age(0.95) <= bound || pictures < LONG, "frames come too old"),
        (run.left as f64 >= fewest, "too few frames have left"),
    ];
    match promises.iter().find(|(held, _)| !held) {
        Some((_, broken)) => Err(broken),
        None => Ok(()),
    }
}

fn holds(pictures: u64, sink: &str) {
    kept_in_one_of(TRIES, || {
        let run = run(pictures, sink);
        // No matter of time: these hold in every run.
        assert!(!run.camera.must_copy, "the camera had to copy every frame");
        assert!(run.camera.buffers.is_some(), "what is held is not told");
        assert_eq!(run.copies, run.left, "a frame is copied once");
        assert!(run.memories <= MOST_MEMORIES, "{} memories", run.memories);
        assert_eq!(run.lent, 0, "a frame has left in the camera's memory");
        assert_eq!(run.camera.pushed + run.camera.lost, pictures);
        judge(&run, pictures).map_err(str::to_owned)
    });
}

#[test]
fn a_camera_of_four_buffers_loses_no_picture() {
    support::init();
    count_copies();
    let set = std::env::var("DETECT_CAMERA_PICTURES").ok();
    let pictures = set.and_then(|p| p.parse().ok()).unwrap_or(1000);
    holds(pictures, "fakevideosink");
    // This one follows no strides.
    holds(pictures / 4, "fakesink");
}
