//! One picture and EOS are one picture with its boxes and EOS; a file loses nothing before its first frame.

use crate::support::{PATIENCE, Pipeline, face, portrait, run};
use gstdetect::bridge::message::DetectStats;
use gstdetect::bridge::meta;
use std::time::Instant;

const MODES: [&str; 3] = ["auto", "newest", "every"];

#[test]
fn a_picture_leaves_with_its_face_in_every_mode() {
    for mode in MODES.into_iter().chain(["passthrough"]) {
        let frames = run(&format!(
            "{} ! videoconvert ! detect mode={mode}",
            portrait()
        ));
        assert_eq!(frames.len(), 1, "{mode}");
        let (bbox, score) = face(frames[0].buffer().expect("a frame"));
        assert!(score > 0.6 && bbox.area() > 0.0, "{mode}: {bbox:?} {score}");
    }
}

#[test]
fn a_picture_of_a_live_source_leaves_with_its_face_in_every_mode() {
    for mode in MODES {
        let frames = run(&format!(
            "{} ! imagefreeze is-live=true num-buffers=1 ! videoconvert ! detect mode={mode}",
            portrait()
        ));
        assert_eq!(frames.len(), 1, "{mode}");
        face(frames[0].buffer().expect("a frame"));
    }
}

#[test]
fn a_picture_of_a_live_source_waits_for_nothing_in_passthrough() {
    let frames = run(&format!(
        "{} ! imagefreeze is-live=true num-buffers=1 ! videoconvert ! detect mode=passthrough",
        portrait()
    ));
    assert_eq!(frames.len(), 1);
    let rois = meta::read(frames[0].buffer().expect("a frame"));
    assert_eq!(rois, []);
}

#[test]
fn newest_loses_nothing_of_a_file_before_it_plays() {
    let pipeline = Pipeline::new(
        "videotestsrc num-buffers=30 ! video/x-raw,format=I420,width=64,height=48,framerate=30/1 \
         ! detect name=detect mode=newest",
    );
    pipeline.set_state(gst::State::Paused);
    // One frame in the sink, two behind it, one that waits, and one that upstream holds until it is taken.
    let waiting = wait_for_stats(&pipeline, |stats| stats.snapshot.counters.received == 5);
    assert_eq!(waiting.snapshot.counters.dropped(), 0);
    pipeline.set_state(gst::State::Playing);
    let frames = pipeline.rest();
    let numbers: Vec<_> = frames.iter().map(number).collect();
    assert_eq!(numbers[..3], [0, 1, 2], "analysed while paused");
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert_eq!(numbers.last(), Some(&29), "the last waits until EOS");
    let counters = wait_for_stats(&pipeline, |stats| stats.snapshot.counters.received == 30)
        .snapshot
        .counters;
    assert_eq!(counters.pushed, numbers.len() as u64);
    assert_eq!(counters.pushed + counters.dropped(), 30);
}

/// Number of a frame by its timestamp, at 30 a second.
fn number(frame: &gst::Sample) -> u64 {
    let pts = frame.buffer().and_then(gst::BufferRef::pts);
    let pts = pts.expect("videotestsrc gives timestamps");
    (pts.nseconds() * 30 + 500_000_000) / 1_000_000_000
}

fn wait_for_stats(pipeline: &Pipeline, done: impl Fn(&DetectStats) -> bool) -> DetectStats {
    use gst::prelude::*;
    let (detect, end) = (pipeline.element("detect"), Instant::now() + PATIENCE);
    loop {
        let stats: gst::Structure = detect.property("stats");
        let stats = DetectStats::from_structure(&stats).expect("the property has the fields");
        if done(&stats) {
            return stats;
        }
        assert!(Instant::now() < end, "statistics stay at {stats:?}");
        std::thread::yield_now();
    }
}
