//! Frames without timestamps, as of an appsrc or through interpipe, are treated by the time of their arrival.

use crate::support::{Rig, SIZE, Source, one_dog, video_info};
use gst::prelude::*;
use gstdetect::bridge::message::DETECTIONS;
use gstdetect::bridge::meta::{self, Roi};

const FRAMES: u64 = 12;

/// Frame `number`, with a timestamp only if one is given.
fn frame(number: u64, pts: Option<gst::ClockTime>) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(vec![128_u8; video_info(SIZE).size()]);
    let writable = buffer.get_mut().expect("a new buffer");
    writable.set_offset(number);
    writable.set_pts(pts);
    buffer
}

fn rig(properties: &str, source: Source) -> Rig {
    let rig = Rig::with_source(properties, source);
    rig.control.set_script(|_| Ok(one_dog()));
    rig
}

/// The only region of each frame.
fn regions(rig: &Rig) -> Vec<Option<Roi>> {
    let one = |buffer: &gst::Buffer| {
        let rois = meta::read(buffer);
        assert!(rois.len() <= 1, "{rois:?}");
        rois.into_iter().next()
    };
    rig.buffers().iter().map(one).collect()
}

fn push_all(rig: &Rig, pts: impl Fn(u64) -> Option<gst::ClockTime>) {
    for number in 0..FRAMES {
        rig.push_buffer(frame(number, pts(number)))
            .expect("it takes frames");
    }
    rig.wait_for_frames(FRAMES as usize);
}

/// Each frame carries the dog; every third is analysed, and the others carry an age.
fn assert_carried(rig: &Rig, what: &str) {
    for (number, region) in regions(rig).iter().enumerate() {
        let region = region
            .as_ref()
            .unwrap_or_else(|| panic!("{what}: none on {number}"));
        let own = number % 3 == 0;
        assert_eq!(region.age.is_none(), own, "{what}: {number} {region:?}");
        assert_eq!(
            region.track,
            (number >= 3).then_some(1),
            "{what}: {number} {region:?}"
        );
    }
}

#[test]
fn frames_between_two_analyses_carry_boxes_and_objects_have_numbers() {
    let properties = "mode=every inference-interval=3 tracking=true";
    let source = rig(properties, Source::File);
    push_all(&source, |_| None);
    assert_carried(&source, "no timestamps");

    let bytes = rig(properties, Source::File);
    let segment = gst::FormattedSegment::<gst::format::Bytes>::new();
    bytes.event(gst::event::Segment::new(&segment));
    push_all(&bytes, |number| Some(gst::ClockTime::SECOND * number));
    assert_carried(
        &bytes,
        "a segment of bytes, in which timestamps mean nothing",
    );

    let some = rig(properties, Source::File);
    let hour = gst::ClockTime::from_seconds(3600);
    push_all(&some, |number| (number == 0).then_some(hour));
    assert_carried(&some, "the first has a timestamp");
}

#[test]
fn ages_and_messages_tell_the_time_of_arrival() {
    let rig = rig(
        "mode=every inference-interval=3 post-detections=true",
        Source::File,
    );
    push_all(&rig, |_| None);
    let mut last = None;
    for region in regions(&rig).into_iter().flatten() {
        let age = region.age.unwrap_or_default();
        assert!(age < gst::ClockTime::from_seconds(60), "{age}");
        assert!(
            region.age.is_none() || last.is_none_or(|before| age >= before),
            "{age}"
        );
        last = region.age;
    }
    rig.element.set_state(gst::State::Ready).expect("it stops");
    let messages = rig.messages(DETECTIONS);
    let times: Vec<_> = messages
        .iter()
        .map(|m| m.get::<u64>("running-time"))
        .collect();
    assert_eq!(times.len(), FRAMES as usize / 3);
    assert!(
        times.is_sorted_by_key(|time| time.clone().expect("it is told")),
        "{times:?}"
    );
    assert!(messages.iter().all(|m| !m.has_field("timestamp")));
}

#[test]
fn passthrough_shows_boxes_on_frames_without_timestamps() {
    let rig = rig("mode=passthrough tracking=true", Source::LIVE);
    for count in 1..4 {
        let mut number = 0;
        while rig.stats().snapshot.counters.analysed < count {
            rig.push_buffer(frame(number, None))
                .expect("it takes frames");
            number += 1;
            std::thread::yield_now();
        }
    }
    rig.push_buffer(frame(0, None)).expect("it takes frames");
    let last = regions(&rig).pop().flatten().expect("seen three times");
    assert_eq!(last.track, Some(1));
}
