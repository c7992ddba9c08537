//! An engine that takes very long: it is told of, and nobody waits for more than its one inference.

use crate::support::{PATIENCE, Rig, Seen, Source};
use gst::prelude::*;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Calls `act` in a thread of its own; what it gave comes by the channel.
fn beside<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> mpsc::Receiver<T> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(act()));
    told
}

#[test]
fn an_analysis_that_does_not_end_is_told_of_after_five_seconds() {
    let rig = Rig::new("mode=newest stats-interval=0");
    rig.control.close();
    let begin = Instant::now();
    rig.push(0).unwrap();
    let message = rig.wait_for_message(&[gst::MessageType::Warning]);
    let taken = begin.elapsed();
    let gst::MessageView::Warning(warning) = message.view() else {
        unreachable!("only warnings were asked for");
    };
    let text = warning.error().message().to_owned();
    assert!(text.contains("not done"), "{text}");
    let seconds = text.split_whitespace().find_map(|word| {
        word.trim_end_matches([',', '.', ';', ':'])
            .strip_suffix('s')?
            .parse::<f64>()
            .ok()
    });
    let seconds = seconds.unwrap_or_else(|| panic!("no time in {text}"));
    assert!(taken >= Duration::from_secs(5), "{taken:?}");
    // Rounded to a tenth.
    let longest = taken.as_secs_f64() + 0.05;
    assert!((5.0..=longest).contains(&seconds), "{text} after {taken:?}");
    rig.control.open();
    rig.wait_for_frames(1);
    rig.assert_no_error();
}

#[test]
fn a_stuck_engine_holds_up_nothing_but_its_frame() {
    let rig = Rig::new("mode=newest");
    rig.control.close();
    rig.push(0).unwrap();
    assert!(rig.control.wait_until_running());
    for number in 1..10 {
        rig.push(number).unwrap();
    }
    assert!(rig.latency().is_some());
    for state in [gst::State::Paused, gst::State::Playing] {
        rig.element.set_state(state).expect("it need not wait");
    }
    rig.flush();
    rig.push(10).unwrap();
    rig.event(gst::event::Eos::new());
    assert!(rig.numbers().is_empty(), "EOS keeps its place");
    rig.control.open();
    let seen = rig.wait_for_eos();
    assert_eq!(
        seen[seen.len() - 2..],
        [Seen::Frame(10), Seen::Event(gst::EventType::Eos)]
    );
}

#[test]
fn stopping_waits_for_the_one_inference_and_other_elements_for_none() {
    let (stuck, other) = (Rig::new("mode=newest"), Rig::new("mode=newest"));
    stuck.control.close();
    stuck.push(0).unwrap();
    assert!(stuck.control.wait_until_running());
    let element = stuck.element.clone();
    let stopped = beside(move || element.set_state(gst::State::Null));
    for _ in 0..3 {
        other.element.set_state(gst::State::Null).unwrap();
        other.element.set_state(gst::State::Playing).unwrap();
        other.begin();
    }
    other.push(0).unwrap();
    other.wait_for_frames(1);
    assert!(stopped.try_recv().is_err(), "its inference is not over");
    stuck.control.open();
    assert!(stopped.recv_timeout(PATIENCE).unwrap().is_ok());
    assert!(stuck.numbers().is_empty());
}

#[test]
fn a_pipeline_stops_as_soon_as_the_inference_is_over() {
    let rig = Rig::with_source("mode=every", Source::File);
    rig.control.close();
    let pushing = rig.push_from_thread(0..5);
    assert!(rig.control.wait_until_running());
    let begun = rig.control.started();
    let element = rig.element.clone();
    let stopped = beside(move || element.set_state(gst::State::Null));
    assert_eq!(pushing.join().unwrap(), Err(gst::FlowError::Flushing));
    // Only the inference under way may pass: one more would wait at the gate, and the stop with it.
    rig.control.pass(1);
    assert!(stopped.recv_timeout(PATIENCE).unwrap().is_ok());
    assert_eq!(
        rig.control.started(),
        begun,
        "no frame of the line is analysed"
    );
}
