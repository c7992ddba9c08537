//! A live source, a model slower than its frames, and a sink that throws late frames away: rate, age and losses.
//!
//! `DETECT_LIVE_SECONDS` (10 if not set; the first three are not counted) is how long each run lasts. The run with a
//! real model needs the folder of shared models in `DETECT_SHARED`; without it, it is skipped, and says so.

use crate::kept_in_one_of;
use crate::support::portrait::Pipeline;
use crate::support::{self, percentile, watch_ages};
use gst::prelude::*;
use gstdetect::bridge::message::DetectStats;
use gstdetect::engine::stub::Control;
use std::path::Path;
use std::time::{Duration, Instant};

const FPS: u32 = 30;
/// Until the pipeline has taken the first delays into its latency.
const SETTLING: Duration = Duration::from_secs(3);
const TRIES: u32 = 3;
/// Least time of the real model: nearly two frames of the camera.
const SLOW: Duration = Duration::from_millis(60);
/// Input sizes of the real model; the first that makes it slow on this machine is taken.
const SIDES: [u32; 6] = [544, 672, 832, 1024, 1280, 1600];

fn seconds() -> u64 {
    let set = std::env::var("DETECT_LIVE_SECONDS").ok();
    set.and_then(|s| s.parse().ok()).unwrap_or(10)
}

struct Run {
    /// How old the picture of every frame was that left after settling.
    ages: Vec<Duration>,
    /// Statistics of the whole run: their window is as long.
    stats: DetectStats,
    rendered: u64,
    lost: u64,
    lasted: Duration,
    warnings: Vec<String>,
}

/// Numbers of frames that a video sink has shown and thrown away.
fn sink_counts(sink: &gst::Element) -> (u64, u64) {
    let inner = sink.downcast_ref::<gst::Bin>().and_then(|bin| {
        let mut inner = bin.iterate_sinks();
        inner.next().ok().flatten()
    });
    let stats: gst::Structure = inner.as_ref().unwrap_or(sink).property("stats");
    let count = |field| stats.get::<u64>(field).expect("statistics of a base sink");
    (count("rendered"), count("dropped"))
}

/// Handles the bus as an application does, until `end`.
fn follow(pipeline: &gst::Pipeline, end: Instant, mut on: impl FnMut(&gst::MessageView)) {
    let bus = pipeline.bus().expect("a pipeline has a bus");
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        let left = gst::ClockTime::try_from(left).expect("seconds");
        let Some(message) = bus.timed_pop(left) else {
            break;
        };
        match message.view() {
            gst::MessageView::Error(err) => panic!("{err:?}"),
            gst::MessageView::Latency(_) => {
                let _ = pipeline.recalculate_latency();
            }
            view => on(&view),
        }
    }
}

fn run(properties: &str) -> Run {
    let launch = format!(
        "videotestsrc is-live=true ! video/x-raw,format=I420,width=1280,height=720,framerate={FPS}/1 \
         ! detect name=detect stats-interval={} {properties} ! fakevideosink name=sink",
        Duration::from_secs(seconds()).as_nanos()
    );
    let pipeline = gst::parse::launch(&launch).expect("the pipeline is right");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    let by_name = |name| pipeline.by_name(name).expect("it has this name");
    let ages = watch_ages(&by_name("detect"));
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let mut warnings = Vec::new();
    follow(&pipeline, Instant::now() + SETTLING, |_| {});
    ages.lock().unwrap().clear();
    let (shown, thrown) = sink_counts(&by_name("sink"));
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds()) - SETTLING;
    follow(&pipeline, end, |view| {
        if let gst::MessageView::Warning(warning) = view {
            warnings.push(format!("{warning:?}"));
        }
    });
    let stats: gst::Structure = by_name("detect").property("stats");
    let stats = DetectStats::from_structure(&stats).expect("statistics of the element");
    let lasted = begin.elapsed();
    let (rendered, lost) = sink_counts(&by_name("sink"));
    pipeline.set_state(gst::State::Null).expect("it stops");
    let ages = std::mem::take(&mut *ages.lock().unwrap());
    Run {
        ages,
        stats,
        rendered: rendered - shown,
        lost: lost - thrown,
        lasted,
        warnings,
    }
}

/// Prints the figures, and tells the first promise that they do not hold.
fn judge(name: &str, run: &Run) -> Result<(), &'static str> {
    let snapshot = &run.stats.snapshot;
    let known = |time: Option<Duration>| time.expect("frames were analysed");
    let model = known(snapshot.model_mean);
    let model_p95 = known(snapshot.model.map(|m| m.p95));
    let around = known(snapshot.preprocess_mean) + known(snapshot.postprocess_mean);
    let rate = (run.rendered + run.lost) as f64 / run.lasted.as_secs_f64();
    let possible = 1.0 / (model + around).as_secs_f64();
    let age = percentile(&run.ages, 0.95);
    let bound = model_p95 + around + Duration::from_secs(1) / FPS + Duration::from_millis(20);
    let halves = run.ages.split_at(run.ages.len() / 2);
    let (early, late) = (percentile(halves.0, 0.5), percentile(halves.1, 0.5));
    let counters = snapshot.counters;
    println!(
        "{name}, {:.0?}: {rate:.2} frames/s of {possible:.2} possible ({:.3}), model {model:.1?} (p95 {model_p95:.1?}), \
         around it {around:.2?}, age p50 {:.1?} p95 {age:.1?} (bound {bound:.1?}), first half {early:.1?}, second {late:.1?}, \
         received {} analysed {} dropped {}, lost at the sink {} of {}",
        run.lasted,
        rate / possible,
        percentile(&run.ages, 0.5),
        counters.received,
        counters.analysed,
        counters.dropped(),
        run.lost,
        run.lost + run.rendered,
    );
    let inside = counters.received - counters.analysed - counters.dropped();
    let promises = [
        (rate >= 0.95 * possible, "the model has waited"),
        (age <= bound, "frames come too old"),
        (
            late <= early.mul_f64(1.1) + Duration::from_millis(10),
            "the age grows",
        ),
        (
            inside <= 2,
            "frames are neither analysed nor counted as dropped",
        ),
        (
            run.lost * 100 <= run.rendered + run.lost,
            "the sink throws frames away",
        ),
        (run.warnings.is_empty(), "there were warnings"),
    ];
    match promises.iter().find(|(held, _)| !held) {
        Some((_, broken)) => Err(broken),
        None => Ok(()),
    }
}

fn holds(name: &str, run: impl Fn() -> Run) {
    kept_in_one_of(TRIES, || {
        let run = run();
        judge(name, &run).map_err(|broken| format!("{broken} {:?}", run.warnings))
    });
}

#[test]
fn a_stub_of_200_ms_keeps_rate_and_age() {
    support::init();
    let folder = support::Folder::new();
    let model = folder.path().join("slow.onnx");
    std::fs::copy(support::micro_model("yolov8_micro.onnx"), &model).expect("the model is there");
    Control::for_model(Some(&model)).set_duration(Duration::from_millis(200));
    let properties = format!("engine=stub model={}", model.display());
    holds("stub of 200 ms", || run(&properties));
}

#[test]
fn a_real_model_keeps_rate_and_age() {
    let Some(shared) = std::env::var_os("DETECT_SHARED") else {
        support::skipped("DETECT_SHARED does not name the folder of shared models");
        return;
    };
    support::init();
    let models = Path::new(&shared).join("models");
    let at = |side: u32| {
        format!(
            "model={m}/yolox_nano_dynamic.onnx model-config={m}/yolox_nano_dynamic.json input-size={side}",
            m = models.display()
        )
    };
    // Half more, for a machine that is slower now than it will be.
    let slow = |side: &u32| model_time(&at(*side)) >= SLOW * 3 / 2;
    let side = SIDES.into_iter().find(slow);
    let side = side.unwrap_or_else(|| panic!("none of {SIDES:?} makes the model slow here"));
    holds(&format!("yolox_nano at {side}x{side}"), || {
        let run = run(&at(side));
        let model = run.stats.snapshot.model_mean.unwrap_or_default();
        assert!(model >= SLOW, "{model:?} is no slow model");
        run
    });
}

/// Median time of the model over a few frames.
fn model_time(properties: &str) -> Duration {
    let pipeline = Pipeline::new(&format!(
        "videotestsrc num-buffers=7 ! video/x-raw,width=64,height=64 ! detect name=detect mode=every {properties}"
    ));
    pipeline.set_state(gst::State::Playing);
    pipeline.rest();
    let stats: gst::Structure = pipeline.element("detect").property("stats");
    let stats = DetectStats::from_structure(&stats).expect("statistics of the element");
    stats.snapshot.model.expect("frames were analysed").p50
}
