//! Which frames leave: the promises of the property `mode`.

use crate::support::{Rig, Seen, Source};

#[test]
fn a_waiting_frame_is_replaced_by_a_newer_one() {
    let rig = Rig::new("mode=newest");
    rig.control.close();
    rig.push(0).unwrap();
    assert!(rig.control.wait_until_running()); // frame 0 is inside the engine
    rig.push(1).unwrap();
    rig.push(2).unwrap(); // displaces 1
    rig.control.open();
    assert_eq!(rig.wait_for_frames(2), [0, 2]);
    assert_eq!(rig.stats().snapshot.counters.dropped_busy, 1);
}

#[test]
fn the_frame_after_a_dropped_one_carries_discont_and_no_other() {
    let rig = Rig::new("mode=newest");
    rig.control.close();
    rig.push(0).unwrap();
    assert!(rig.control.wait_until_running());
    for number in 1..4 {
        rig.push(number).unwrap();
    }
    rig.control.open();
    rig.wait_for_frames(2);
    rig.push(4).unwrap();
    assert_eq!(rig.wait_for_frames(3), [0, 3, 4]);
    let discont: Vec<_> = rig
        .buffers()
        .iter()
        .map(|b| b.flags().contains(gst::BufferFlags::DISCONT))
        .collect();
    assert_eq!(discont, [false, true, false]);
}

#[test]
fn every_frame_leaves_in_order_and_upstream_waits() {
    let rig = Rig::with_source("mode=every", Source::File);
    rig.control.close();
    let pushing = rig.push_from_thread(0..20);
    assert!(rig.control.wait_until_running());
    // Frame 0 is inside, 1 waits, and the push of 2 waits: no more has been taken.
    let stats = rig.wait_for_stats(|s| s.snapshot.counters.received == 3);
    assert_eq!(stats.snapshot.counters.dropped(), 0);
    rig.control.open();
    assert!(pushing.join().unwrap().is_ok());
    assert_eq!(rig.wait_for_frames(20), (0..20).collect::<Vec<_>>());
}

#[test]
fn auto_is_newest_for_a_live_source_and_every_for_a_file() {
    for (source, mode) in [(Source::LIVE, "newest"), (Source::File, "every")] {
        let rig = Rig::with_source("", source);
        rig.push(0).unwrap();
        rig.wait_for_frames(1);
        assert_eq!(rig.stats().mode, mode, "{source:?}");
    }
}

#[test]
fn a_source_that_cannot_tell_counts_as_live_and_is_asked_again_until_it_can() {
    let rig = Rig::with_source("", Source::Silent);
    for number in 0..3 {
        rig.push(number).unwrap();
        rig.wait_for_frames(number as usize + 1);
        assert_eq!(rig.stats().mode, "newest");
    }
    assert_eq!(rig.latency_queries(), 3);
    rig.set_source(Source::File);
    rig.push(3).unwrap();
    rig.wait_for_frames(4);
    assert_eq!(rig.stats().mode, "every");
    rig.push(4).unwrap();
    rig.wait_for_frames(5);
    assert_eq!(rig.latency_queries(), 4, "settled: not asked again");
}

#[test]
fn a_new_stream_is_asked_anew() {
    let rig = Rig::with_source("", Source::File);
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    rig.set_source(Source::LIVE);
    rig.begin();
    rig.push(1).unwrap();
    rig.wait_for_frames(2);
    assert_eq!(rig.stats().mode, "newest");
}

#[test]
fn newest_loses_nothing_of_a_file_before_its_first_frame_has_left() {
    let rig = Rig::with_source("mode=newest", Source::File);
    rig.block_sink(); // as a sink in preroll
    let pushing = rig.push_from_thread(0..5);
    rig.wait_for_frames(1);
    // 0 is being pushed, 1 and 2 are done, 3 waits, the push of 4 waits.
    let stats = rig.wait_for_stats(|s| s.snapshot.counters.received == 5);
    assert_eq!(stats.snapshot.counters.dropped(), 0);
    rig.unblock_sink();
    assert!(pushing.join().unwrap().is_ok());
    assert_eq!(rig.wait_for_frames(3)[..3], [0, 1, 2]);
    let warning = rig.wait_for_message(&[gst::MessageType::Warning]);
    let gst::MessageView::Warning(warning) = warning.view() else {
        unreachable!("only warnings were asked for");
    };
    assert!(
        warning.error().message().contains("mode=every"),
        "{warning:?}"
    );
}

#[test]
fn newest_loses_nothing_of_a_file_while_paused() {
    use gst::prelude::*;
    let rig = Rig::with_source("mode=newest", Source::File);
    rig.push(0).unwrap();
    rig.wait_for_stats(|s| s.snapshot.counters.pushed == 1);
    rig.element.set_state(gst::State::Paused).unwrap();
    rig.block_sink();
    let pushing = rig.push_from_thread(1..6);
    let stats = rig.wait_for_stats(|s| s.snapshot.counters.received == 6);
    assert_eq!(stats.snapshot.counters.dropped(), 0);
    rig.unblock_sink();
    rig.element.set_state(gst::State::Playing).unwrap();
    assert!(pushing.join().unwrap().is_ok());
}

#[test]
fn one_picture_and_eos_are_one_picture_and_eos_in_every_mode() {
    for mode in ["auto", "newest", "every"] {
        for source in [Source::LIVE, Source::File] {
            let rig = Rig::with_source(&format!("mode={mode}"), source);
            rig.control.close();
            rig.push(0).unwrap();
            assert!(rig.event(gst::event::Eos::new()));
            rig.control.open();
            let seen = rig.wait_for_eos();
            assert_eq!(
                seen[seen.len() - 2..],
                [Seen::Frame(0), Seen::Event(gst::EventType::Eos)],
                "{mode} {source:?}"
            );
        }
    }
}

#[test]
fn a_slow_sink_stops_the_worker_and_not_the_source() {
    let rig = Rig::new("mode=newest");
    rig.block_sink();
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    // Two places in the output: frames 1 and 2 are analysed, 3 waits until it is displaced.
    for number in 1..3 {
        rig.push(number).unwrap();
        rig.wait_for_stats(|s| s.snapshot.counters.analysed == number + 1);
    }
    for number in 3..10 {
        rig.push(number).unwrap();
    }
    let stats = rig.stats();
    assert_eq!(stats.snapshot.counters.analysed, 3);
    assert_eq!(stats.snapshot.counters.dropped_busy, 6);
    rig.unblock_sink();
    assert_eq!(rig.wait_for_frames(4), [0, 1, 2, 9]);
}
