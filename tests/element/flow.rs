//! Events, queries, flushes and errors among frames: as in a queue, whatever the engine is doing.

use crate::support::{self, Rig, SIZE, Seen, Source, caps_event};
use gst::prelude::*;

/// How often each of the storms below is repeated.
const TIMES: u64 = 100;

fn events(seen: &[Seen]) -> Vec<gst::EventType> {
    let event = |s: &Seen| match s {
        Seen::Event(event) => Some(*event),
        _ => None,
    };
    seen.iter().filter_map(event).collect()
}

#[test]
fn first_events_come_without_delay() {
    let rig = Rig::new("");
    let seen = rig.wait_for(|seen| events(seen).len() >= 3);
    assert_eq!(
        events(&seen),
        [
            gst::EventType::StreamStart,
            gst::EventType::Caps,
            gst::EventType::Segment
        ]
    );
}

#[test]
fn serialized_events_keep_their_place_among_frames() {
    let rig = Rig::with_source("mode=every", Source::File);
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    rig.control.close();
    rig.push(1).unwrap();
    let gap = gst::event::Gap::builder(gst::ClockTime::SECOND).build();
    assert!(rig.event(gap));
    rig.push(2).unwrap();
    let custom = gst::event::CustomDownstream::new(gst::Structure::new_empty("mark"));
    assert!(rig.event(custom));
    rig.control.open();
    let seen =
        rig.wait_for(|seen| seen.last() == Some(&Seen::Event(gst::EventType::CustomDownstream)));
    let expected = [
        Seen::Frame(0),
        Seen::Frame(1),
        Seen::Event(gst::EventType::Gap),
        Seen::Frame(2),
        Seen::Event(gst::EventType::CustomDownstream),
    ];
    assert_eq!(seen[seen.len() - 5..], expected);
}

#[test]
fn an_event_behind_a_displaced_frame_is_not_lost() {
    let rig = Rig::new("mode=newest");
    rig.control.close();
    rig.push(0).unwrap();
    assert!(rig.control.wait_until_running());
    rig.push(1).unwrap();
    assert!(rig.event(caps_event((32, 32))));
    rig.push_sized(2, (32, 32)).unwrap(); // displaces 1
    rig.control.open();
    rig.wait_for_frames(2);
    let seen = rig.seen();
    assert_eq!(
        seen[seen.len() - 3..],
        [
            Seen::Frame(0),
            Seen::Event(gst::EventType::Caps),
            Seen::Frame(2)
        ]
    );
    rig.assert_no_error();
}

#[test]
fn a_serialized_query_waits_for_the_frames_before_it() {
    let rig = Rig::with_source("mode=every", Source::File);
    rig.push(0).unwrap();
    let caps = support::video_info(SIZE).to_caps().unwrap();
    let mut query = gst::query::Allocation::new(Some(&caps), false);
    assert!(rig.query(&mut query));
    let seen = rig.seen();
    assert_eq!(
        seen[seen.len() - 2..],
        [Seen::Frame(0), Seen::Query(gst::QueryType::Allocation)]
    );
}

#[test]
fn a_query_that_waits_is_released_by_a_flush() {
    let rig = Rig::new("mode=newest");
    rig.control.close();
    rig.push(0).unwrap();
    assert!(rig.control.wait_until_running());
    let answered = std::thread::scope(|scope| {
        let asking = scope.spawn(|| rig.query(&mut gst::query::Drain::new()));
        rig.event(gst::event::FlushStart::new());
        asking.join().unwrap()
    });
    assert!(!answered);
    rig.flush_stop();
}

#[test]
fn a_flush_of_the_first_events_does_not_lose_the_caps() {
    for _ in 0..TIMES {
        let rig = Rig::stopped("", Source::LIVE);
        rig.element.set_state(gst::State::Playing).unwrap();
        rig.begin();
        rig.flush();
        rig.push(0).unwrap();
        rig.wait_for_frames(1);
        let came = events(&rig.seen());
        assert!(came.contains(&gst::EventType::StreamStart), "{came:?}");
        assert!(came.contains(&gst::EventType::Caps), "{came:?}");
    }
}

#[test]
fn a_flush_does_not_lose_caps_that_wait_behind_a_frame() {
    let rig = Rig::new("mode=newest");
    for round in 0..TIMES {
        let (old, new) = [((64, 48), (48, 64)), ((48, 64), (64, 48))][(round % 2) as usize];
        rig.block_sink();
        rig.push_sized(2 * round, old).unwrap();
        rig.wait_for_frames(2 * round as usize + 1);
        assert!(rig.event(caps_event(new)));
        rig.flush();
        rig.unblock_sink();
        rig.push_sized(2 * round + 1, new).unwrap();
        rig.wait_for_frames(2 * round as usize + 2);
        let seen = rig.seen();
        let last_two_events = &events(&seen)[events(&seen).len() - 2..];
        assert!(
            last_two_events.contains(&gst::EventType::Caps),
            "{last_two_events:?}"
        );
    }
    rig.assert_no_error();
}

#[test]
fn flushes_while_an_inference_runs() {
    let rig = Rig::new("mode=newest");
    for round in 0..TIMES {
        let first = round * 10;
        rig.control.close();
        let begun = rig.control.started();
        rig.push(first).unwrap();
        assert!(rig.control.wait_until_started(begun + 1));
        rig.push(first + 1).unwrap();
        rig.flush();
        rig.control.open();
        rig.push(first + 2).unwrap();
        let came = rig.wait_for_frames(round as usize + 1);
        assert_eq!(
            came.last(),
            Some(&(first + 2)),
            "what was inside before the flush does not leave after it"
        );
    }
    rig.assert_no_error();
}

#[test]
fn a_push_that_waits_is_released_by_a_flush() {
    let rig = Rig::with_source("mode=every", Source::File);
    for round in 0..TIMES {
        rig.control.close();
        let begun = rig.control.started();
        let pushing = rig.push_from_thread(0..4);
        assert!(rig.control.wait_until_started(begun + 1));
        let before = round * 3;
        rig.wait_for_stats(|s| s.snapshot.counters.received >= before + 3);
        rig.event(gst::event::FlushStart::new());
        assert_eq!(pushing.join().unwrap(), Err(gst::FlowError::Flushing));
        rig.flush_stop();
        rig.control.open();
        assert!(rig.control.wait_until_idle());
    }
    rig.assert_no_error();
}

#[test]
fn a_flush_releases_a_push_that_the_sink_blocks() {
    let rig = Rig::new("mode=newest");
    for round in 0..TIMES {
        rig.block_sink();
        rig.push(round).unwrap();
        rig.wait_for_frames(round as usize + 1);
        rig.flush();
        rig.unblock_sink();
    }
    rig.assert_no_error();
}

#[test]
fn eos_while_an_inference_runs_comes_after_its_frame() {
    for mode in ["newest", "every"] {
        let rig = Rig::new(&format!("mode={mode}"));
        for round in 0..TIMES {
            rig.control.close();
            let begun = rig.control.started();
            rig.push(round).unwrap();
            assert!(rig.control.wait_until_started(begun + 1));
            assert!(rig.event(gst::event::Eos::new()));
            assert_eq!(rig.push(9999), Err(gst::FlowError::Eos));
            rig.control.open();
            let ends = round as usize + 1;
            let seen = rig.wait_for(|seen| {
                events(seen)
                    .iter()
                    .filter(|e| **e == gst::EventType::Eos)
                    .count()
                    == ends
            });
            assert_eq!(
                seen[seen.len() - 2..],
                [Seen::Frame(round), Seen::Event(gst::EventType::Eos)]
            );
            rig.begin(); // a new stream after EOS
        }
        rig.assert_no_error();
    }
}

#[test]
fn a_stream_that_waits_behind_eos_goes_on() {
    for mode in ["newest", "every"] {
        let rig = Rig::new(&format!("mode={mode}"));
        for round in 0..TIMES {
            rig.control.close();
            rig.push(2 * round).unwrap();
            assert!(rig.event(gst::event::Eos::new()));
            rig.begin();
            // Waits until the frame before EOS is inside, for that one must not be displaced.
            let pushing = rig.push_from_thread([2 * round + 1]);
            rig.control.open();
            assert!(pushing.join().unwrap().is_ok());
            let came = rig.wait_for_frames(2 * round as usize + 2);
            assert_eq!(came[2 * round as usize..], [2 * round, 2 * round + 1]);
        }
        let seen = rig.seen();
        assert_eq!(
            seen[3..9],
            [
                Seen::Frame(0),
                Seen::Event(gst::EventType::Eos),
                Seen::Event(gst::EventType::StreamStart),
                Seen::Event(gst::EventType::Caps),
                Seen::Event(gst::EventType::Segment),
                Seen::Frame(1)
            ],
            "{mode}"
        );
        rig.assert_no_error();
    }
}

#[test]
fn a_query_behind_eos_is_refused_at_once() {
    let rig = Rig::new("mode=newest");
    rig.control.close();
    rig.push(0).unwrap();
    assert!(rig.event(gst::event::Eos::new()));
    assert!(!rig.query(&mut gst::query::Drain::new()));
    rig.control.open();
    rig.wait_for_eos();
}

#[test]
fn eos_reaches_a_sink_that_wants_no_more_frames() {
    let rig = Rig::with_source("mode=every", Source::File);
    rig.sink_answers(Some(gst::FlowError::Eos));
    let mut number = 0;
    while rig.push(number).is_ok() {
        number += 1;
    }
    assert_eq!(rig.push(number), Err(gst::FlowError::Eos));
    assert!(rig.event(gst::event::Eos::new()));
    rig.wait_for_eos();
    rig.sink_answers(None);
    rig.begin();
    rig.push(99).unwrap();
    rig.wait_for(|seen| seen.contains(&Seen::Frame(99)));
    rig.assert_no_error();
}

#[test]
fn eos_after_drops_brings_the_newest_frame_first() {
    let rig = Rig::new("mode=newest");
    rig.control.close();
    rig.push(0).unwrap();
    assert!(rig.control.wait_until_running());
    for number in 1..6 {
        rig.push(number).unwrap();
    }
    rig.event(gst::event::Eos::new());
    rig.control.open();
    assert_eq!(support::numbers(&rig.wait_for_eos()), [0, 5]);
}

#[test]
fn caps_changes_while_an_inference_runs() {
    let rig = Rig::with_source("mode=every", Source::File);
    for round in 0..TIMES {
        rig.control.close();
        let begun = rig.control.started();
        let (old, new) = [((64, 48), (48, 64)), ((48, 64), (64, 48))][(round % 2) as usize];
        rig.push_sized(2 * round, old).unwrap();
        assert!(rig.control.wait_until_started(begun + 1));
        assert!(rig.event(caps_event(new)));
        rig.push_sized(2 * round + 1, new).unwrap();
        rig.control.open();
        rig.wait_for_frames(2 * round as usize + 2);
    }
    let seen: Vec<_> = rig.seen().split_off(3);
    for (round, part) in seen.chunks(3).enumerate() {
        let round = round as u64;
        assert_eq!(
            part,
            [
                Seen::Frame(2 * round),
                Seen::Event(gst::EventType::Caps),
                Seen::Frame(2 * round + 1)
            ]
        );
    }
    rig.assert_no_error();
}

#[test]
fn stops_and_starts_while_an_inference_runs() {
    let rig = Rig::stopped("mode=newest", Source::LIVE);
    for _ in 0..TIMES {
        rig.control.open();
        rig.element.set_state(gst::State::Playing).unwrap();
        rig.begin();
        rig.control.close();
        let begun = rig.control.started();
        rig.push(0).unwrap();
        assert!(rig.control.wait_until_started(begun + 1));
        rig.push(1).unwrap();
        std::thread::scope(|scope| {
            let stopping = scope.spawn(|| rig.element.set_state(gst::State::Ready));
            // The state change ends the flow first and waits for the inference then.
            while rig.push(2).is_ok() {}
            rig.control.open();
            assert!(stopping.join().unwrap().is_ok());
        });
    }
    rig.assert_no_error();
}

#[test]
fn an_error_of_downstream_reaches_upstream() {
    for (answer, expected) in [
        (gst::FlowError::NotLinked, gst::FlowError::NotLinked),
        (gst::FlowError::NotNegotiated, gst::FlowError::NotNegotiated),
        (gst::FlowError::Eos, gst::FlowError::Eos),
        (gst::FlowError::Error, gst::FlowError::Error),
    ] {
        let rig = Rig::new("mode=newest");
        rig.sink_answers(Some(answer));
        let mut number = 0;
        let met = loop {
            match rig.push(number) {
                Ok(_) => number += 1,
                Err(err) => break err,
            }
            std::thread::yield_now();
        };
        assert_eq!(met, expected);
        rig.assert_no_error(); // the source posts it, once
    }
}

#[test]
fn an_error_after_eos_is_posted_for_nobody_else_will() {
    let rig = Rig::new("mode=newest");
    rig.control.close();
    rig.push(0).unwrap();
    rig.event(gst::event::Eos::new());
    rig.sink_answers(Some(gst::FlowError::Error));
    rig.control.open();
    rig.wait_for_message(&[gst::MessageType::Error]);
    rig.wait_for_eos();
}

#[test]
fn a_link_that_comes_back_goes_on() {
    let rig = Rig::new("mode=newest");
    rig.sink_answers(Some(gst::FlowError::NotLinked));
    while rig.push(0).is_ok() {
        std::thread::yield_now();
    }
    assert!(
        rig.event(caps_event((32, 32))),
        "the next buffer brings the reason, not an event"
    );
    assert_eq!(rig.push_sized(0, (32, 32)), Err(gst::FlowError::NotLinked));
    rig.sink_answers(None);
    let before = rig.seen().len();
    rig.upstream_event(gst::event::Reconfigure::new());
    rig.push_sized(1, (32, 32)).unwrap();
    let seen = rig.wait_for(|seen| seen.last() == Some(&Seen::Frame(1)));
    assert_eq!(
        seen[before..],
        [Seen::Event(gst::EventType::Caps), Seen::Frame(1)]
    );
    let last = rig.buffers().pop().expect("it has come");
    assert!(
        last.flags().contains(gst::BufferFlags::DISCONT),
        "frames have been lost before it"
    );
}

#[test]
fn qos_events_are_forwarded() {
    let rig = Rig::new("mode=newest");
    let qos = gst::event::Qos::new(
        gst::QOSType::Underflow,
        2.0,
        5_000_000,
        gst::ClockTime::SECOND,
    );
    assert!(rig.upstream_event(qos));
    assert_eq!(rig.upstream_events(), [gst::EventType::Qos]);
}

#[test]
fn frames_without_caps_are_refused() {
    let rig = Rig::stopped("", Source::LIVE);
    rig.element.set_state(gst::State::Playing).unwrap();
    rig.event(gst::event::StreamStart::new("rig"));
    rig.segment();
    assert_eq!(rig.push(0), Err(gst::FlowError::NotNegotiated));
}
