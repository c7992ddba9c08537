//! Two workers analyse nearly as many frames a second as two elements with one worker each, and frames keep their order.

use crate::kept_in_one_of;
use crate::support;
use crate::support::PATIENCE;
use gst::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::Instant;

const FRAMES: usize = 60;
/// Least rate of two workers, as a share of the rate of two elements.
const LEAST: f64 = 0.93;
const TRIES: u32 = 5;

/// One pipeline, and when its frames came out.
struct Line {
    pipeline: gst::Pipeline,
    came: Arc<Mutex<Vec<(gst::ClockTime, Instant)>>>,
}

impl Line {
    fn new(workers: usize, frames: usize) -> Self {
        let launch = format!(
            "videotestsrc num-buffers={frames} pattern=ball ! video/x-raw,format=I420,width=320,height=240 \
             ! detect mode=every threads=1 workers={workers} ! fakesink name=sink"
        );
        let pipeline = gst::parse::launch(&launch).expect("the pipeline is right");
        let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
        let came = Arc::new(Mutex::new(Vec::new()));
        let sink = pipeline.by_name("sink").expect("it has this name");
        let (pad, seen) = (
            sink.static_pad("sink").expect("an always pad"),
            came.clone(),
        );
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let pts = info.buffer().and_then(|buffer| buffer.pts());
            seen.lock()
                .unwrap()
                .extend(pts.map(|pts| (pts, Instant::now())));
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Paused).expect("it starts");
        let patience = gst::ClockTime::try_from(PATIENCE).ok();
        pipeline.state(patience).0.expect("the first frame comes");
        Self { pipeline, came }
    }

    fn play(&self) {
        self.pipeline
            .set_state(gst::State::Playing)
            .expect("it plays");
    }

    /// Waits for the end; frames a second from the fifth on, which have come in order.
    fn rate(&self) -> f64 {
        let bus = self.pipeline.bus().expect("a pipeline has a bus");
        let types = [gst::MessageType::Eos, gst::MessageType::Error];
        let patience = gst::ClockTime::try_from(PATIENCE * 3).ok();
        let message = bus.timed_pop_filtered(patience, &types).expect("it ends");
        assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
        let came = self.came.lock().unwrap();
        assert!(came.is_sorted_by_key(|(pts, _)| *pts), "out of order");
        let counted = &came[4..];
        let lasted = counted[counted.len() - 1].1 - counted[0].1;
        (counted.len() - 1) as f64 / lasted.as_secs_f64()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn of_two_workers() -> f64 {
    let line = Line::new(2, 2 * FRAMES);
    line.play();
    line.rate()
}

/// The sum of both, at the same time.
fn of_two_elements() -> f64 {
    let lines = [Line::new(1, FRAMES), Line::new(1, FRAMES)];
    lines.iter().for_each(Line::play);
    lines.iter().map(Line::rate).sum()
}

#[test]
fn two_workers_are_as_fast_as_two_elements() {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if processors < 2 {
        support::skipped("there is one processor alone");
        return;
    }
    support::init();
    kept_in_one_of(TRIES, || {
        // In turns: what disturbs one is likely to disturb the other.
        let rates = [
            of_two_elements(),
            of_two_workers(),
            of_two_elements(),
            of_two_workers(),
        ];
        let (elements, workers) = ((rates[0] + rates[2]) / 2.0, (rates[1] + rates[3]) / 2.0);
        let share = workers / elements;
        println!(
            "two workers {workers:.1} frames/s, two elements {elements:.1}, {share:.3}; {rates:.1?}"
        );
        match share >= LEAST {
            true => Ok(()),
            false => Err(format!(
                "two workers are {share:.3} times as fast as two elements"
            )),
        }
    });
}
