//! The delay that the element declares to the pipeline.

use crate::support::{Rig, Source};
use gst::prelude::*;
use gstdetect::bridge::message::DetectStats;
use std::time::{Duration, Instant};

const MS: gst::ClockTime = gst::ClockTime::from_mseconds(1);

#[test]
fn the_answer_is_upstream_plus_the_declared_delay() {
    let rig = Rig::new("mode=newest");
    for (min, max) in [(10, Some(10)), (10, Some(200)), (0, None)] {
        let max = max.map(|max| MS * max);
        rig.set_source(Source::Live { min: MS * min, max });
        let declared = gst::ClockTime::try_from(rig.stats().latency).unwrap();
        let (live, own_min, own_max) = rig.latency().expect("upstream has answered");
        assert!(live);
        assert_eq!(own_min, MS * min + declared);
        match max {
            None => assert_eq!(own_max, None, "no limit stays no limit"),
            Some(max) => assert!(own_max.unwrap() >= max + declared),
        }
        assert!(own_max.is_none_or(|max| max >= own_min));
    }
}

#[test]
fn a_frame_can_wait_for_the_sink_until_the_next_one_is_done() {
    let rig = Rig::new("mode=newest");
    // As a camera declares it: nothing is held back.
    let (min, max) = (10 * MS, Some(10 * MS));
    rig.set_source(Source::Live { min, max });
    let (_, own_min, own_max) = rig.latency().expect("upstream has answered");
    // 25 frames a second, however fast the model is.
    assert!(
        own_max.is_some_and(|max| max >= own_min + 40 * MS),
        "{own_min}, {own_max:?}"
    );
}

#[test]
fn no_answer_from_upstream_is_no_answer() {
    let rig = Rig::with_source("mode=newest", Source::Silent);
    assert_eq!(rig.latency(), None);
}

#[test]
fn an_answer_that_was_refused_is_announced_once_it_can_be_given() {
    let rig = Rig::with_source("mode=newest", Source::Silent);
    assert_eq!(rig.latency(), None);
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    assert!(
        rig.bus.pop_filtered(&[gst::MessageType::Latency]).is_none(),
        "nobody could be told yet"
    );
    rig.set_source(Source::LIVE);
    rig.push(1).unwrap();
    rig.wait_for_message(&[gst::MessageType::Latency]);
    assert!(rig.latency().is_some());
}

#[test]
fn a_change_within_a_second_of_the_last_message_is_announced_later() {
    let begin = Instant::now();
    let rig = Rig::new("mode=newest");
    for (number, slower) in [(0, 30), (1, 60), (2, 120)] {
        let slow = rig.stats().latency + Duration::from_millis(slower);
        rig.control.set_duration(slow);
        rig.push(number).unwrap();
        rig.wait_for_frames(number as usize + 1);
    }
    let first = rig.wait_for_message(&[gst::MessageType::Latency]);
    // No frame comes any more, and the second message does all the same.
    let second = rig.wait_for_message(&[gst::MessageType::Latency]);
    assert!(
        begin.elapsed() > Duration::from_secs(1),
        "a second after the first"
    );
    assert!(second.seqnum() != first.seqnum());
}

#[test]
fn a_source_that_is_not_live_is_left_alone() {
    let rig = Rig::with_source("", Source::File);
    assert_eq!(rig.latency(), Some((false, gst::ClockTime::ZERO, None)));
}

#[test]
fn a_longer_delay_is_declared_and_announced() {
    let rig = Rig::new("mode=newest");
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    let before = rig.stats().latency;
    let slow = before + Duration::from_millis(60);
    rig.control.set_duration(slow);
    for number in 1..3 {
        rig.push(number).unwrap();
        rig.wait_for_frames(number as usize + 1);
    }
    assert!(rig.stats().latency >= slow, "within two analyses");
    rig.wait_for_message(&[gst::MessageType::Latency]);
    let (_, min, _) = rig.latency().unwrap();
    assert!(min >= gst::ClockTime::try_from(slow).unwrap());
}

#[test]
fn a_query_is_answered_while_an_inference_runs() {
    let rig = Rig::new("mode=newest");
    rig.control.close();
    rig.push(0).unwrap();
    assert!(rig.control.wait_until_running());
    assert!(rig.latency().is_some());
    let _: gst::Structure = rig.element.property("stats");
    rig.control.open();
    rig.wait_for_frames(1);
}

/// A pause in the middle of six frames, and the statistics after it.
struct Paused {
    pause: Duration,
    /// All of the test but the pause: no frame can have been inside for longer while it played.
    played: Duration,
    stats: DetectStats,
}

fn pause_for(pause: Duration) -> Paused {
    let begin = Instant::now();
    let rig = Rig::new("mode=newest");
    let state = |state| rig.element.set_state(state).expect("it pauses and plays");
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    // Of four frames, the pause comes upon one in the sink, one that is done behind it, one that is analysed, and one that
    // waits for its analysis.
    rig.block_sink();
    for number in 1..3 {
        rig.push(number).unwrap();
        rig.wait_for_stats(|stats| stats.snapshot.counters.analysed == number + 1);
    }
    rig.control.close();
    rig.push(3).unwrap();
    assert!(rig.control.wait_until_running());
    rig.push(4).unwrap();
    state(gst::State::Paused);
    let paused = Instant::now();
    std::thread::sleep(pause); // not to wait for anything: it is the pause
    let pause = paused.elapsed();
    state(gst::State::Playing);
    rig.control.open();
    rig.unblock_sink();
    rig.wait_for_frames(5);
    rig.push(5).unwrap();
    assert_eq!(rig.wait_for_frames(6), [0, 1, 2, 3, 4, 5]);
    let stats = rig.wait_for_stats(|stats| stats.snapshot.counters.pushed == 6);
    Paused {
        pause,
        played: begin.elapsed() - pause,
        stats,
    }
}

#[test]
fn a_pause_is_no_delay() {
    // On a busy machine the rest may take longer than the pause, which would then not be seen.
    let mut pause = Duration::from_millis(500);
    let Paused { played, stats, .. } = loop {
        let paused = pause_for(pause);
        if paused.pause > paused.played * 2 {
            break paused;
        }
        pause = paused.played * 4;
    };
    let margin = played / 10;
    assert!(
        stats.latency < played + margin,
        "declared: {:?}",
        stats.latency
    );
    let snapshot = stats.snapshot;
    let total = snapshot.total.expect("a frame has left since").p99;
    assert!(total < played, "measured: {total:?}");
    assert!(
        snapshot.window < played,
        "the pause counts: {:?}",
        snapshot.window
    );
    let wait = snapshot.wait_mean.expect("one was analysed since");
    assert!(wait < played, "waited: {wait:?}");
}

#[test]
fn a_second_preroll_is_no_pause() {
    let rig = Rig::with_source("mode=every", Source::File);
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    let state = |state| rig.element.set_state(state).expect("it starts again");
    for down_and_up in [gst::State::Paused, gst::State::Ready, gst::State::Paused] {
        state(down_and_up);
    }
    rig.begin();
    rig.push(1).unwrap();
    rig.wait_for_stats(|stats| stats.snapshot.counters.pushed == 1);
    state(gst::State::Playing);
    let stats = rig.stats().snapshot;
    assert!(
        stats.total.is_some() && stats.wait_mean.is_some(),
        "{stats:?}"
    );
}
