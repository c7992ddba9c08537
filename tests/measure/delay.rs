//! The declared delay in a pipeline: steady, after steps, and on a ramp; and what it is for: that two branches of a `tee` stay
//! in step.

use crate::kept_in_one_of;
use crate::support::delays::{Left, Part, judge, part};
use crate::support::{self, Folder, PATIENCE, micro_model};
use gst::prelude::*;
use gstdetect::bridge::message::DetectStats;
use gstdetect::engine::stub::Control;
use gstdetect::flow::stats::percentile;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const TRIES: u32 = 3;

/// A pipeline with a stub engine, in a folder of its own.
fn pipeline(folder: &Folder, launch: &str) -> (gst::Pipeline, Arc<Control>) {
    support::init();
    let model = folder.path().join("micro.onnx");
    std::fs::copy(micro_model("yolov8_micro.onnx"), &model).expect("the micro model is there");
    let control = Control::for_model(Some(&model));
    let launch = launch.replace(
        "DETECT",
        &format!("detect name=detect engine=stub model={}", model.display()),
    );
    let pipeline = gst::parse::launch(&launch).expect("the pipeline is right");
    (pipeline.downcast().expect("a pipeline"), control)
}

fn declared(detect: &gst::Element) -> Duration {
    let stats: gst::Structure = detect.property("stats");
    DetectStats::from_structure(&stats)
        .expect("statistics of the element")
        .latency
}

/// The frames that leave `detect`, timed from outside.
fn watch(detect: &gst::Element) -> Arc<Mutex<Vec<Left>>> {
    let begin = Instant::now();
    let (came, left) = (
        Arc::new(Mutex::new(HashMap::new())),
        Arc::new(Mutex::new(Vec::new())),
    );
    let pad = |name| detect.static_pad(name).expect("an always pad");
    let inside = came.clone();
    pad("sink").add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(pts) = info.buffer().and_then(|buffer| buffer.pts()) {
            inside.lock().unwrap().insert(pts, begin.elapsed());
        }
        gst::PadProbeReturn::Ok
    });
    let (seen, element) = (left.clone(), detect.downgrade());
    pad("src").add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let at = begin.elapsed();
        let pts = info.buffer().and_then(|buffer| buffer.pts());
        let came = pts.and_then(|pts| came.lock().unwrap().remove(&pts));
        if let (Some(came), Some(detect)) = (came, element.upgrade()) {
            let declared = declared(&detect);
            let mut seen = seen.lock().unwrap();
            let told = seen
                .last()
                .map_or(declared, |before: &Left| before.declared);
            seen.push(Left {
                at,
                delay: at - came,
                told,
                declared,
            });
        }
        gst::PadProbeReturn::Ok
    });
    left
}

fn measured(script: &[Part]) -> Vec<Vec<Left>> {
    let folder = Folder::new();
    let (pipeline, control) = pipeline(
        &folder,
        "videotestsrc is-live=true ! video/x-raw,format=RGB,width=64,height=48,framerate=50/1 ! DETECT mode=newest \
         ! fakesink sync=false",
    );
    let left = watch(&pipeline.by_name("detect").expect("it has this name"));
    let count = || left.lock().unwrap().len();
    control.set_duration(script[0].from);
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let mut ends = Vec::new();
    for part in script {
        let begin = count();
        for number in 0..part.analyses {
            control.set_duration(part.duration(number));
            let patience = Instant::now() + PATIENCE;
            while count() <= begin + number {
                assert!(Instant::now() < patience, "no frame leaves");
                std::thread::park_timeout(Duration::from_millis(1));
            }
        }
        ends.push(count());
    }
    pipeline.set_state(gst::State::Null).expect("it stops");
    let left = left.lock().unwrap();
    let begins = std::iter::once(0).chain(ends.iter().copied());
    begins
        .zip(&ends)
        .map(|(begin, end)| left[begin..*end].to_vec())
        .collect()
}

#[test]
fn promises_hold_in_a_pipeline() {
    // Long enough for a window at each level, and for the ten seconds after the step down.
    let script = [
        part(120, 40, 40),
        part(120, 80, 80),
        part(380, 40, 40),
        part(120, 40, 60),
    ];
    kept_in_one_of(TRIES, || judge(&script, &measured(&script), false));
}

/// When frames were shown, by timestamp.
fn shown_at(pipeline: &gst::Pipeline, sink: &str) -> Arc<Mutex<HashMap<gst::ClockTime, Instant>>> {
    let times = Arc::new(Mutex::new(HashMap::new()));
    let sink = pipeline.by_name(sink).expect("it has this name");
    let seen = times.clone();
    sink.connect("handoff", false, move |values| {
        let buffer = values[1]
            .get::<gst::Buffer>()
            .expect("a handoff has a buffer");
        if let Some(pts) = buffer.pts() {
            seen.lock().unwrap().insert(pts, Instant::now());
        }
        None
    });
    times
}

/// How far apart the branches showed the same frames: median and 95th percentile; and how many frames that was.
fn apart(frames: usize) -> (Duration, Duration, usize) {
    let folder = Folder::new();
    let (pipeline, control) = pipeline(
        &folder,
        "videotestsrc is-live=true ! video/x-raw,format=RGB,width=64,height=48,framerate=25/1 ! tee name=t \
         t. ! DETECT mode=newest ! fakesink name=boxes sync=true signal-handoffs=true \
         t. ! queue max-size-time=1000000000 max-size-buffers=0 max-size-bytes=0 \
         ! fakesink name=plain sync=true signal-handoffs=true",
    );
    control.set_duration(Duration::from_millis(100));
    let (boxes, plain) = (shown_at(&pipeline, "boxes"), shown_at(&pipeline, "plain"));
    let left = AtomicUsize::new(0);
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let end = Instant::now() + PATIENCE;
    while left.load(Ordering::Relaxed) < frames {
        assert!(Instant::now() < end, "only {left:?} frames");
        if let Some(message) = bus.timed_pop(gst::ClockTime::from_mseconds(100)) {
            match message.view() {
                gst::MessageView::Latency(_) => {
                    let _ = pipeline.recalculate_latency();
                    // Before the pipeline knew, they were not in step.
                    boxes.lock().unwrap().clear();
                }
                gst::MessageView::Error(error) => panic!("{error:?}"),
                _ => {}
            }
        }
        left.store(boxes.lock().unwrap().len(), Ordering::Relaxed);
    }
    pipeline.set_state(gst::State::Null).expect("it stops");
    let (boxes, plain) = (boxes.lock().unwrap(), plain.lock().unwrap());
    let both = boxes
        .iter()
        .filter_map(|(pts, at)| Some((*at, *plain.get(pts)?)));
    let mut apart: Vec<_> = both
        .map(|(a, b)| a.max(b).duration_since(a.min(b)))
        .collect();
    apart.sort();
    let of = |share| percentile(&apart, share).unwrap_or_default();
    (of(0.5), of(0.95), apart.len())
}

#[test]
fn two_branches_of_a_tee_stay_in_step() {
    kept_in_one_of(TRIES, || {
        let (median, p95, frames) = apart(50);
        let figures =
            format!("{frames} frames were shown {median:?} apart at the median, p95 {p95:?}");
        // Half a frame; without a declared delay they are 100 ms apart.
        let in_step = median < Duration::from_millis(10) && p95 < Duration::from_millis(20);
        println!("{figures}");
        match frames >= 40 && in_step {
            true => Ok(()),
            false => Err(figures),
        }
    });
}
