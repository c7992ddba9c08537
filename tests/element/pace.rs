//! Which frames are analysed: `active`, `inference-interval`, `max-rate`, `qos`; and what the others carry.

use crate::support::rig::FRAME;
use crate::support::{self, Rig, Source, nothing, one_dog};
use gst::prelude::*;
use gstdetect::bridge::meta;

/// Id of a box, and its age in milliseconds where it is an earlier frame's.
type Carried = (i32, Option<u64>);

/// Number and box of every frame that has come out.
fn carried(rig: &Rig) -> Vec<(u64, Option<Carried>)> {
    let of = |buffer: &gst::Buffer| {
        let rois = meta::read(buffer);
        assert!(rois.len() <= 1, "{rois:?}");
        let roi = rois
            .first()
            .map(|r| (r.id, r.age.map(gst::ClockTime::mseconds)));
        (buffer.offset(), roi)
    };
    rig.buffers().iter().map(of).collect()
}

#[test]
fn in_every_the_frames_between_leave_in_order_with_the_last_boxes_and_their_age() {
    let rig = Rig::with_source("mode=every inference-interval=3", Source::File);
    rig.control.set_script(|_| Ok(one_dog()));
    for number in 0..7 {
        rig.push(number).unwrap();
    }
    rig.wait_for_frames(7);
    let ms = FRAME.mseconds();
    assert_eq!(
        carried(&rig),
        [
            (0, Some((1, None))),
            (1, Some((1, Some(ms)))),
            (2, Some((1, Some(2 * ms)))),
            (3, Some((2, None))),
            (4, Some((2, Some(ms)))),
            (5, Some((2, Some(2 * ms)))),
            (6, Some((3, None))),
        ]
    );
    let counters = rig.stats().snapshot.counters;
    assert_eq!((counters.analysed, counters.dropped()), (3, 0));
}

#[test]
fn frames_between_do_not_wait_for_the_next_analysis() {
    let rig = Rig::with_source("mode=every inference-interval=3", Source::File);
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    rig.control.close();
    for number in 1..4 {
        rig.push(number).unwrap();
    }
    assert!(rig.control.wait_until_running()); // frame 3
    assert_eq!(rig.wait_for_frames(3), [0, 1, 2]);
    rig.control.open();
    assert_eq!(rig.wait_for_frames(4), [0, 1, 2, 3]);
}

#[test]
fn in_newest_the_frames_between_are_dropped_and_counted() {
    let rig = Rig::new("mode=newest inference-interval=2");
    for number in 0..5 {
        rig.push(number).unwrap();
        if number % 2 == 0 {
            rig.wait_for_frames(number as usize / 2 + 1);
        }
    }
    assert_eq!(rig.numbers(), [0, 2, 4]);
    let counters = rig.stats().snapshot.counters;
    assert_eq!((counters.dropped_interval, counters.dropped_busy), (2, 0));
    let qos = rig.wait_for_message(&[gst::MessageType::Qos]);
    assert!(matches!(qos.view(), gst::MessageView::Qos(_)));
}

#[test]
fn a_rate_limits_analyses_whatever_the_frame_rate() {
    let rig = Rig::new("mode=newest max-rate=0.001");
    for number in 0..5 {
        rig.push(number).unwrap();
    }
    rig.wait_for_frames(1);
    rig.element.set_property("max-rate", 0.0);
    rig.push(5).unwrap();
    assert_eq!(rig.wait_for_frames(2), [0, 5]);
    assert_eq!(rig.stats().snapshot.counters.dropped_interval, 4);
}

#[test]
fn inactive_frames_pass_without_boxes_and_active_again_are_analysed() {
    for mode in ["newest", "every"] {
        let rig = Rig::new(&format!("mode={mode}"));
        rig.control.set_script(|_| Ok(one_dog()));
        rig.push(0).unwrap();
        rig.wait_for_frames(1);
        rig.element.set_property("active", false);
        rig.control.close();
        for number in 1..4 {
            rig.push(number).unwrap();
            rig.wait_for_frames(number as usize + 1);
        }
        rig.control.open();
        rig.element.set_property("active", true);
        rig.push(4).unwrap();
        rig.wait_for_frames(5);
        let boxes: Vec<_> = carried(&rig).iter().map(|(_, roi)| roi.is_some()).collect();
        assert_eq!(boxes, [true, false, false, false, true], "{mode}");
        assert_eq!(rig.stats().snapshot.counters.dropped(), 0, "{mode}");
    }
}

#[test]
fn an_inactive_frame_carries_no_boxes_of_an_analysis_that_was_under_way() {
    let rig = Rig::with_source("mode=every", Source::File);
    rig.control.set_script(|_| Ok(one_dog()));
    rig.control.close();
    rig.push(0).unwrap();
    assert!(rig.control.wait_until_running());
    rig.element.set_property("active", false);
    rig.push(1).unwrap();
    rig.push(2).unwrap();
    rig.control.open();
    rig.wait_for_frames(3);
    let boxes: Vec<_> = carried(&rig).iter().map(|(_, roi)| roi.is_some()).collect();
    assert_eq!(boxes, [true, false, false]);
}

#[test]
fn another_picture_carries_no_boxes_of_the_one_before() {
    let rig = Rig::with_source("mode=every inference-interval=3", Source::File);
    rig.control.set_script(|_| Ok(one_dog()));
    rig.push(0).unwrap();
    rig.push(1).unwrap();
    rig.wait_for_frames(2);
    rig.event(support::rig::caps_event((32, 24)));
    rig.control.set_script(|_| Ok(nothing()));
    for number in 2..4 {
        rig.push_sized(number, (32, 24)).unwrap();
    }
    rig.wait_for_frames(4);
    let boxes: Vec<_> = carried(&rig).iter().map(|(_, roi)| roi.is_some()).collect();
    assert_eq!(boxes, [true, true, false, false]);
    assert_eq!(
        rig.stats().snapshot.counters.analysed,
        2,
        "the first of the new size is"
    );
}

#[test]
fn a_blocked_output_does_not_make_inactive_frames_pile_up() {
    let rig = Rig::new("mode=newest active=false");
    rig.block_sink();
    for number in 0..100 {
        rig.push(number).unwrap();
    }
    rig.unblock_sink();
    rig.event(gst::event::Eos::new());
    rig.wait_for_eos();
    let numbers = rig.numbers();
    assert!(
        numbers.len() < 20 && numbers.last() == Some(&99),
        "{numbers:?}"
    );
    let counters = rig.stats().snapshot.counters;
    assert_eq!(counters.dropped_busy + numbers.len() as u64, 100);
}

/// The most that may be declared for a frame that passes during `act`: how long that takes, and the margin of 5 %.
fn longest_delay(act: impl FnOnce()) -> gst::ClockTime {
    let begin = std::time::Instant::now();
    act();
    let most = begin.elapsed().mul_f64(1.05);
    gst::ClockTime::try_from(most).expect("a short time") + gst::ClockTime::NSECOND
}

#[test]
fn inactive_a_delay_of_nothing_is_declared_at_once() {
    let rig = Rig::new("mode=newest");
    rig.control
        .set_duration(std::time::Duration::from_millis(50));
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    let latency = || rig.latency().expect("the source is live").1;
    assert!(latency() >= 50 * gst::ClockTime::MSECOND);
    rig.element.set_property("active", false);
    let longest = longest_delay(|| {
        rig.push(1).unwrap();
        rig.wait_for_frames(2);
    });
    assert!(latency() <= longest, "{}, at most {longest}", latency());
    rig.element.set_property("active", true);
    rig.push(2).unwrap();
    rig.wait_for_frames(3);
    assert!(latency() >= 50 * gst::ClockTime::MSECOND, "{}", latency());
}

#[test]
fn an_analysis_that_was_under_way_is_no_delay_of_inactive_frames() {
    let rig = Rig::new("mode=newest");
    rig.control
        .set_duration(std::time::Duration::from_millis(50));
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    rig.control.close();
    rig.push(1).unwrap();
    assert!(rig.control.wait_until_running());
    rig.element.set_property("active", false);
    rig.push(2).unwrap();
    rig.control.open();
    rig.wait_for_frames(3);
    let longest = longest_delay(|| {
        rig.push(3).unwrap();
        rig.wait_for_frames(4);
    });
    let latency = rig.latency().expect("the source is live").1;
    assert!(latency <= longest, "{latency}, at most {longest}");
}

#[test]
fn boxes_that_are_too_old_are_not_shown() {
    // Frames are 40 ms apart.
    let rig = Rig::with_source(
        "mode=every inference-interval=10 max-age=100000000",
        Source::File,
    );
    rig.control.set_script(|_| Ok(one_dog()));
    for number in 0..5 {
        rig.push(number).unwrap();
    }
    rig.wait_for_frames(5);
    let shown: Vec<_> = carried(&rig).iter().map(|(_, roi)| roi.is_some()).collect();
    assert_eq!(shown, [true, true, true, false, false]);
}

#[test]
fn a_flush_forgets_the_last_boxes() {
    let rig = Rig::with_source("mode=every inference-interval=4", Source::File);
    rig.control.set_script(|_| Ok(one_dog()));
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    rig.flush();
    rig.control.set_script(|_| Ok(nothing()));
    rig.push(1).unwrap();
    rig.push(2).unwrap();
    rig.wait_for_frames(3);
    let shown: Vec<_> = carried(&rig).iter().map(|(_, roi)| roi.is_some()).collect();
    assert_eq!(
        shown,
        [true, false, false],
        "1 was analysed: the first after a flush is"
    );
    assert_eq!(rig.stats().snapshot.counters.analysed, 2);
}

/// "The frame at `timestamp` came `late`."
fn qos_event(timestamp: gst::ClockTime, late: gst::ClockTime) -> gst::Event {
    let jitter = late.nseconds() as i64;
    gst::event::Qos::new(gst::QOSType::Underflow, 2.0, jitter, timestamp)
}

#[test]
fn with_qos_frames_that_are_late_already_are_dropped_and_counted() {
    for (qos, expected) in [(true, vec![0, 4, 5]), (false, vec![0, 1, 2, 3, 4, 5])] {
        let rig = Rig::with_source(&format!("mode=every qos={qos}"), Source::File);
        rig.push(0).unwrap();
        rig.wait_for_frames(1);
        rig.upstream_event(qos_event(FRAME, FRAME * 3));
        for number in 1..6 {
            rig.push(number).unwrap();
        }
        assert_eq!(rig.wait_for_frames(expected.len()), expected);
        let late = rig.stats().snapshot.counters.dropped_late;
        assert_eq!(late, 6 - expected.len() as u64);
        assert!(
            rig.upstream_events().contains(&gst::EventType::Qos),
            "it goes upstream"
        );
    }
}

#[test]
fn a_set_latency_is_declared_and_warned_of_when_exceeded() {
    let rig = Rig::new("mode=newest latency=30000000");
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    let latency = || rig.latency().expect("the source is live").1;
    assert_eq!(latency(), 30 * gst::ClockTime::MSECOND);
    rig.control
        .set_duration(std::time::Duration::from_millis(60));
    rig.push(1).unwrap();
    rig.wait_for_frames(2);
    let warning = rig.wait_for_message(&[gst::MessageType::Warning]);
    let gst::MessageView::Warning(warning) = warning.view() else {
        unreachable!("only warnings were asked for");
    };
    let text = warning.error().message().to_owned();
    assert!(text.contains("30.0ms"), "{text}");
    assert_eq!(latency(), 30 * gst::ClockTime::MSECOND);
    rig.element.set_property("latency", 90_000_000u64);
    rig.push(2).unwrap();
    rig.wait_for_message(&[gst::MessageType::Latency]);
    assert_eq!(latency(), 90 * gst::ClockTime::MSECOND);
    rig.element.set_property("latency", 0u64);
    assert!(latency() >= 60 * gst::ClockTime::MSECOND, "as measured");
}
