//! What the element itself costs: frames a second with an engine that answers at once, and locks taken for each frame.
//!
//! ```text
//! cargo bench --features stub-engine --bench own_cost -- [--rounds 10] [--seconds 1]
//! ```
//!
//! Frames of 64x48 RGB are pushed from one thread into the sink pad; the source pad's peer counts what leaves. `flood`
//! pushes without pause, `step` pushes the next frame when the one before has left. One line of JSON for each round, then
//! the medians.

#[path = "support/mod.rs"]
mod bench_support;
#[path = "../support/mod.rs"]
mod support;

use bench_support::Spread;
use bench_support::arguments::Arguments;
use gst::prelude::*;
use gstdetect::elements::detect::Detect;
use std::error::Error;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use support::{Source, frame, init, micro_model, source_pad_for};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Frames of a round that are not counted.
const WARM_UP: u64 = 200;

/// Name, properties and source, and whether each frame waits until the one before has left.
const CASES: [(&str, &str, Source, bool); 5] = [
    ("every flood", "mode=every", Source::File, false),
    ("every step", "mode=every", Source::File, true),
    ("newest flood", "mode=newest", Source::LIVE, false),
    ("newest step", "mode=newest", Source::LIVE, true),
    ("passthrough flood", "mode=passthrough", Source::LIVE, false),
];

fn main() -> Outcome<()> {
    let words = std::env::args().skip(1);
    let arguments = Arguments::read(words, &["rounds", "seconds"])?;
    let rounds = arguments.count("rounds", 10)?;
    let lasts = Duration::from_secs_f64(arguments.value("seconds", 1.0)?);
    init();
    for (name, properties, source, in_step) in CASES {
        let mut all = Vec::new();
        for round in 0..rounds {
            let turn = measure(properties, source, in_step, lasts)?;
            println!(
                "{{\"case\":\"{name}\",\"round\":{round},\"in-fps\":{:.0},\"out-fps\":{:.0},\"state-locks\":{:.2},\"other-locks\":{:.2}}}",
                turn[0], turn[1], turn[2], turn[3]
            );
            all.push(turn);
        }
        let median = |index: usize| {
            let values: Vec<f64> = all.iter().map(|turn| turn[index]).collect();
            Spread::measure(&values).map_or(f64::NAN, |spread| spread.median)
        };
        println!(
            "{name:18} {:8.0} in/s {:8.0} out/s {:6.2} state locks {:6.2} other locks a frame",
            median(0),
            median(1),
            median(2),
            median(3)
        );
    }
    Ok(())
}

/// Measures frames in and out a second, locks of the state and others for each frame that came in.
fn measure(properties: &str, source: Source, in_step: bool, lasts: Duration) -> Outcome<[f64; 4]> {
    let model = micro_model("yolov8_micro.onnx");
    let launch = format!(
        "detect engine=stub model={} stats-interval=0 {properties}",
        model.display()
    );
    let element = gst::parse::launch(&launch)?;
    let src = source_pad_for(source);
    let left = Arc::new((Mutex::new(0_u64), Condvar::new()));
    let counted = left.clone();
    let sink = gst::Pad::builder(gst::PadDirection::Sink)
        .chain_function(move |_, _, _| {
            *counted.0.lock().expect("nobody panics") += 1;
            counted.1.notify_all();
            Ok(gst::FlowSuccess::Ok)
        })
        .event_function(|_, _, _| true)
        .build();
    let pad = |name| element.static_pad(name).ok_or("an always pad");
    src.link(&pad("sink")?)?;
    pad("src")?.link(&sink)?;
    for pad in [&src, &sink] {
        pad.set_active(true)?;
    }
    element.set_state(gst::State::Playing)?;
    src.push_event(gst::event::StreamStart::new("bench"));
    src.push_event(support::caps_event(support::SIZE));
    src.push_event(gst::event::Segment::new(&gst::FormattedSegment::<
        gst::ClockTime,
    >::new()));

    let detect = element
        .downcast_ref::<Detect>()
        .ok_or("an installed plugin is in the way")?;
    let picture = frame(0, support::SIZE);
    let (mut pushed, mut begin, mut before) = (0, Instant::now(), (detect.locks_taken(), 0));
    while pushed < WARM_UP || begin.elapsed() < lasts {
        if pushed == WARM_UP {
            let left = *left.0.lock().expect("nobody panics");
            (begin, before) = (Instant::now(), (detect.locks_taken(), left));
        }
        let mut buffer = picture.copy();
        buffer.make_mut().set_pts(support::FRAME * pushed);
        src.push(buffer)?;
        pushed += 1;
        if in_step {
            let guard = left.0.lock().expect("nobody panics");
            drop(
                left.1
                    .wait_while(guard, |left| *left < pushed)
                    .expect("nobody panics"),
            );
        }
    }
    let (seconds, after) = (begin.elapsed().as_secs_f64(), detect.locks_taken());
    let left = *left.0.lock().expect("nobody panics") - before.1;
    let count = (pushed - WARM_UP) as f64;
    let locks = |after: u64, before: u64| (after - before) as f64 / count;
    element.set_state(gst::State::Null)?;
    for pad in [&src, &sink] {
        pad.set_active(false)?;
    }
    Ok([
        count / seconds,
        left as f64 / seconds,
        locks(after.state, before.0.state),
        locks(after.others, before.0.others),
    ])
}
