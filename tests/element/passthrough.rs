//! `mode=passthrough`: every frame leaves at once, with the boxes known by then; events, flushes, errors among them.

use crate::support::{self, FRAME, Rig, SIZE, Seen, Source, caps_event, one_dog, video_info};
use gst::prelude::*;
use gstdetect::bridge::message::DETECTIONS;
use gstdetect::bridge::meta;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often each of the storms below is repeated.
const TIMES: u64 = 100;

/// Numbers of the frames that the engine has seen, below 256: they are grey of that level.
type Looked = Arc<Mutex<Vec<u64>>>;

/// From now on the engine notes the frames that it sees, and finds a dog in each.
fn watch(rig: &Rig) -> Looked {
    let looked = Looked::default();
    let noted = looked.clone();
    rig.control.set_script(move |input| {
        let values = input.as_f32().expect("the micro model takes floats");
        let middle = values[values.len() / 6 + 16];
        noted.lock().unwrap().push((middle * 255.0).round() as u64);
        Ok(one_dog())
    });
    looked
}

/// Frame `number`, of which the engine can tell the number.
fn frame(number: u64, size: (u32, u32)) -> gst::Buffer {
    let level = (number % 256) as u8;
    let mut buffer = gst::Buffer::from_mut_slice(vec![level; video_info(size).size()]);
    let writable = buffer.get_mut().expect("a new buffer");
    writable.set_offset(number);
    writable.set_pts(FRAME * number);
    buffer
}

/// Sends frames from `number` on until an inference has begun; the number of the next one.
fn push_until_looked_at(rig: &Rig, number: u64) -> u64 {
    let begun = rig.control.started();
    let pushed = (number..number + 1000).find(|number| {
        rig.push_buffer(frame(*number, SIZE)).unwrap();
        rig.is_looked_at(begun)
    });
    pushed.expect("one of a thousand frames is looked at") + 1
}

/// Id and age in milliseconds of the box of each frame that has come out.
fn carried(rig: &Rig) -> Vec<Option<(i32, Option<u64>)>> {
    let of = |buffer: &gst::Buffer| {
        let rois = meta::read(buffer);
        assert!(rois.len() <= 1, "{rois:?}");
        let roi = rois.first()?;
        Some((roi.id, roi.age.map(gst::ClockTime::mseconds)))
    };
    rig.buffers().iter().map(of).collect()
}

fn analysed(rig: &Rig, count: u64) {
    rig.wait_for_stats(|s| s.snapshot.counters.analysed == count);
}

#[test]
fn every_frame_leaves_while_an_inference_runs() {
    let rig = Rig::new("mode=passthrough");
    rig.control.close();
    let next = push_until_looked_at(&rig, 0);
    for number in next..next + 100 {
        rig.push(number).unwrap();
    }
    // In the thread that pushes: nothing is to be waited for.
    assert_eq!(rig.numbers(), (0..next + 100).collect::<Vec<_>>());
    assert!(carried(&rig).iter().all(Option::is_none));
    let stats = rig.stats();
    let counters = stats.snapshot.counters;
    assert_eq!(stats.mode, "passthrough");
    assert_eq!(
        (counters.received, counters.pushed),
        (next + 100, next + 100)
    );
    assert_eq!((counters.analysed, counters.dropped()), (0, 0));
    let buffers = rig.buffers();
    let discont = |b: &gst::Buffer| b.flags().contains(gst::BufferFlags::DISCONT);
    assert!(!buffers.iter().any(discont));
}

#[test]
fn frames_carry_the_boxes_of_the_last_analysis_and_their_age() {
    let rig = Rig::new("mode=passthrough smoothing=false prediction=false");
    let looked = watch(&rig);
    let next = push_until_looked_at(&rig, 0);
    analysed(&rig, 1);
    let seen = looked.lock().unwrap()[0];
    rig.control.close();
    for number in next..next + 3 {
        rig.push(number).unwrap();
    }
    let ms = FRAME.mseconds();
    let wanted: Vec<_> = (next..next + 3)
        .map(|number| Some((1, Some((number - seen) * ms))))
        .collect();
    assert_eq!(carried(&rig)[next as usize..], wanted);
}

#[test]
fn two_workers_look_at_two_frames_at_the_same_time() {
    let rig = Rig::new("mode=passthrough workers=2 smoothing=false prediction=false");
    watch(&rig);
    rig.control.close();
    let before = rig.control.started();
    let next = push_until_looked_at(&rig, 0);
    let next = push_until_looked_at(&rig, next);
    assert_eq!(rig.control.started(), before + 2);
    for number in next..next + 10 {
        rig.push_buffer(frame(number, SIZE)).unwrap();
    }
    assert_eq!(rig.control.started(), before + 2, "both are busy");
    rig.control.open();
    assert!(rig.control.wait_until_idle());
    // Of the two the newer one counts, whichever ends first.
    rig.wait_for_stats(|s| s.snapshot.counters.analysed >= 1);
    let all = next + 10;
    rig.push_buffer(frame(all, SIZE)).unwrap();
    let numbers: Vec<_> = (0..=all).collect();
    assert_eq!(rig.wait_for_frames(all as usize + 1), numbers);
    let carried = carried(&rig);
    assert!(carried.last().is_some_and(Option::is_some), "{carried:?}");
}

#[test]
fn a_box_appears_when_its_object_was_seen_twice() {
    let rig = Rig::new("mode=passthrough");
    watch(&rig);
    rig.control.close();
    let mut next = push_until_looked_at(&rig, 0);
    rig.control.pass(1);
    analysed(&rig, 1);
    next = push_until_looked_at(&rig, next);
    assert!(carried(&rig).iter().all(Option::is_none), "seen once");
    rig.control.pass(1);
    analysed(&rig, 2);
    rig.push(next).unwrap();
    let (id, age) = carried(&rig)[next as usize].expect("seen twice");
    assert_eq!(id, 2, "that of the newer detection");
    assert!(age.is_some_and(|age| age > 0));
}

#[test]
fn the_first_frame_of_a_file_waits_for_its_boxes_and_no_other_does() {
    let rig = Rig::with_source("mode=passthrough", Source::File);
    let looked = watch(&rig);
    rig.control.close();
    let pushing = rig.push_from_thread(0..1);
    assert!(rig.control.wait_until_running());
    assert!(rig.numbers().is_empty());
    rig.control.pass(1);
    assert!(pushing.join().unwrap().is_ok());
    for number in 1..50 {
        rig.push(number).unwrap();
    }
    assert_eq!(rig.numbers(), (0..50).collect::<Vec<_>>());
    assert_eq!(carried(&rig)[0], Some((1, None)), "its own box, seen once");
    assert_eq!(looked.lock().unwrap().len(), 1);
}

#[test]
fn boxes_of_the_first_frame_stay_until_the_second_analysis() {
    let rig = Rig::with_source("mode=passthrough", Source::File);
    watch(&rig);
    let mut first = 0;
    for beginning in ["start", "seek", "size", "segment"] {
        match beginning {
            "seek" => rig.flush(),
            "size" => assert!(rig.event(caps_event((48, 64)))),
            "segment" => rig.segment(),
            _ => {}
        }
        let size = if first < 100 { SIZE } else { (48, 64) };
        rig.push_buffer(frame(first, size)).unwrap();
        rig.control.close();
        for number in first + 1..first + 20 {
            rig.push_buffer(frame(number, size)).unwrap();
        }
        rig.control.open();
        assert!(rig.control.wait_until_idle());
        first += 50;
    }
    let carried = carried(&rig);
    assert_eq!(carried.len(), 80);
    for (index, carried) in carried.iter().enumerate() {
        let own = index % 20 == 0;
        let (_, age) = carried.unwrap_or_else(|| panic!("none on frame {index}"));
        assert_eq!(age.is_none(), own, "frame {index}: {age:?}");
    }
}

#[test]
fn one_picture_and_eos_are_one_picture_with_its_boxes_and_eos() {
    let rig = Rig::with_source("mode=passthrough", Source::File);
    watch(&rig);
    for round in 0..TIMES {
        rig.push(round).unwrap();
        assert!(rig.event(gst::event::Eos::new()));
        let seen = rig.seen();
        assert_eq!(
            seen[seen.len() - 2..],
            [Seen::Frame(round), Seen::Event(gst::EventType::Eos)]
        );
        rig.begin(); // a new stream after EOS
    }
    assert!(carried(&rig).iter().all(|b| matches!(b, Some((_, None)))));
    rig.assert_no_error();
}

#[test]
fn eos_of_a_live_source_waits_for_nothing() {
    let rig = Rig::new("mode=passthrough");
    rig.control.close();
    push_until_looked_at(&rig, 0);
    assert!(rig.event(gst::event::Eos::new()));
    assert_eq!(rig.seen().last(), Some(&Seen::Event(gst::EventType::Eos)));
    assert_eq!(rig.push(9999), Err(gst::FlowError::Eos));
    rig.control.open();
    rig.begin();
    push_until_looked_at(&rig, 0);
    rig.assert_no_error();
}

#[test]
fn events_and_queries_keep_their_place_and_do_not_wait() {
    let rig = Rig::new("mode=passthrough");
    rig.control.close();
    let next = push_until_looked_at(&rig, 0);
    let before = rig.seen().len();
    assert!(rig.event(gst::event::Gap::builder(gst::ClockTime::SECOND).build()));
    rig.push(next).unwrap();
    let caps = video_info(SIZE).to_caps().unwrap();
    assert!(rig.query(&mut gst::query::Allocation::new(Some(&caps), false)));
    assert!(rig.query(&mut gst::query::Drain::new()));
    let custom = gst::event::CustomDownstream::new(gst::Structure::new_empty("mark"));
    assert!(rig.event(custom));
    assert_eq!(
        rig.seen()[before..],
        [
            Seen::Event(gst::EventType::Gap),
            Seen::Frame(next),
            Seen::Query(gst::QueryType::Allocation),
            Seen::Query(gst::QueryType::Drain),
            Seen::Event(gst::EventType::CustomDownstream),
        ]
    );
}

#[test]
fn what_was_looked_at_before_a_flush_is_not_shown_after_it() {
    let rig = Rig::new("mode=passthrough smoothing=false");
    watch(&rig);
    let (mut next, mut frames) = (0, 0);
    for _ in 0..TIMES {
        rig.control.close();
        let first = next;
        next = push_until_looked_at(&rig, next);
        rig.flush();
        rig.control.pass(1);
        assert!(rig.control.wait_until_idle());
        frames += (next - first) as usize;
        rig.push(next).unwrap();
        assert_eq!(carried(&rig)[frames], None);
        (next, frames) = (next + 1, frames + 1);
        rig.flush(); // this one may be looked at
        rig.control.open();
        assert!(rig.control.wait_until_idle());
    }
    rig.assert_no_error();
}

#[test]
fn a_frame_that_waits_is_released_by_a_flush() {
    let rig = Rig::with_source("mode=passthrough", Source::File);
    watch(&rig);
    for round in 0..TIMES {
        rig.control.close();
        let begun = rig.control.started();
        let pushing = rig.push_from_thread([0]);
        assert!(rig.control.wait_until_started(begun + 1));
        rig.event(gst::event::FlushStart::new());
        assert_eq!(pushing.join().unwrap(), Err(gst::FlowError::Flushing));
        rig.flush_stop();
        rig.control.open();
        rig.push(1).unwrap();
        assert_eq!(rig.numbers().len() as u64, round + 1);
        rig.flush(); // so that the next one waits
    }
    assert!(carried(&rig).iter().all(|b| matches!(b, Some((_, None)))));
    rig.assert_no_error();
}

#[test]
fn a_seek_of_a_file_shows_its_frame_with_its_own_boxes() {
    let rig = Rig::with_source("mode=passthrough", Source::File);
    let looked = watch(&rig);
    for number in [0, 1, 2] {
        rig.push_buffer(frame(number, SIZE)).unwrap();
    }
    rig.flush();
    rig.push_buffer(frame(200, SIZE)).unwrap();
    assert!(looked.lock().unwrap().contains(&200));
    assert!(matches!(carried(&rig)[3], Some((_, None))));
}

#[test]
fn another_picture_carries_no_boxes_of_the_one_before() {
    let rig = Rig::new("mode=passthrough smoothing=false");
    watch(&rig);
    for round in 0..TIMES {
        let (old, new) = [((64, 48), (48, 64)), ((48, 64), (64, 48))][(round % 2) as usize];
        let before = rig.buffers().len();
        rig.control.close();
        let begun = rig.control.started();
        rig.push_buffer(frame(0, old)).unwrap();
        while !rig.is_looked_at(begun) {
            rig.push_buffer(frame(0, old)).unwrap();
        }
        let same = rig.buffers().len();
        assert!(rig.event(caps_event(new)));
        rig.push_buffer(frame(1, new)).unwrap();
        rig.control.open();
        assert!(rig.control.wait_until_idle());
        assert!(carried(&rig)[same].is_none());
        let seen = rig.seen();
        let last_two = &seen[seen.len() - 2..];
        assert_eq!(
            last_two,
            [Seen::Event(gst::EventType::Caps), Seen::Frame(1)],
            "after {before} frames"
        );
    }
    rig.assert_no_error();
}

#[test]
fn stops_and_starts_while_an_inference_runs() {
    let rig = Rig::stopped("mode=passthrough", Source::LIVE);
    for _ in 0..TIMES {
        rig.control.open();
        rig.element.set_state(gst::State::Playing).unwrap();
        rig.begin();
        rig.control.close();
        push_until_looked_at(&rig, 0);
        std::thread::scope(|scope| {
            let stopping = scope.spawn(|| rig.element.set_state(gst::State::Ready));
            while rig.push(0).is_ok() {}
            rig.control.open();
            assert!(stopping.join().unwrap().is_ok());
        });
    }
    rig.assert_no_error();
}

#[test]
fn an_answer_of_downstream_is_that_of_the_push() {
    for answer in [
        gst::FlowError::NotLinked,
        gst::FlowError::NotNegotiated,
        gst::FlowError::Eos,
        gst::FlowError::Error,
    ] {
        let rig = Rig::new("mode=passthrough");
        rig.sink_answers(Some(answer));
        assert_eq!(rig.push(0), Err(answer));
        rig.sink_answers(None);
        assert!(rig.push(1).is_ok(), "nothing is remembered of {answer:?}");
        rig.assert_no_error();
    }
}

#[test]
fn a_failure_of_the_engine_ends_the_flow() {
    let rig = Rig::new("mode=passthrough");
    rig.control.set_script(|_| Ok(Vec::new()));
    let end = Instant::now() + support::PATIENCE;
    while rig.push(0).is_ok() {
        assert!(Instant::now() < end, "frames go on");
        std::thread::yield_now();
    }
    rig.wait_for_message(&[gst::MessageType::Error]);
    assert_eq!(rig.push(0), Err(gst::FlowError::Error));
}

#[test]
fn a_failure_while_the_first_frame_of_a_file_waits_is_its_answer() {
    let rig = Rig::with_source("mode=passthrough", Source::File);
    rig.control.set_script(|_| panic!("a scripted panic"));
    assert_eq!(rig.push(0), Err(gst::FlowError::Error));
    rig.wait_for_message(&[gst::MessageType::Error]);
}

#[test]
fn no_more_often_than_every_nth_frame_is_looked_at() {
    let rig = Rig::new("mode=passthrough inference-interval=3");
    let looked = watch(&rig);
    let mut next = 0;
    for _ in 0..10 {
        next = push_until_looked_at(&rig, next);
        assert!(rig.control.wait_until_idle());
    }
    assert!(next < 256, "levels are numbers");
    let looked = looked.lock().unwrap();
    assert!(
        looked.windows(2).all(|pair| pair[1] - pair[0] >= 3),
        "{looked:?}"
    );
    let counters = rig.stats().snapshot.counters;
    assert_eq!((counters.pushed, counters.dropped()), (next, 0));
}

#[test]
fn a_rate_limits_analyses_and_not_frames() {
    let rig = Rig::new("mode=passthrough max-rate=0.001");
    watch(&rig);
    let next = push_until_looked_at(&rig, 0);
    analysed(&rig, 1);
    for number in next..next + 50 {
        rig.push(number).unwrap();
    }
    let counters = rig.stats().snapshot.counters;
    assert_eq!(counters.pushed, next + 50);
    assert_eq!(rig.control.started(), 2, "the warm-up, and one frame");
    rig.element.set_property("max-rate", 0.0);
    push_until_looked_at(&rig, next + 50);
}

#[test]
fn inactive_frames_carry_no_boxes_and_are_not_looked_at() {
    let rig = Rig::new("mode=passthrough smoothing=false");
    watch(&rig);
    let next = push_until_looked_at(&rig, 0);
    analysed(&rig, 1);
    rig.push(next).unwrap();
    rig.element.set_property("active", false);
    assert!(rig.control.wait_until_idle());
    let begun = rig.control.started();
    rig.push(next + 1).unwrap();
    rig.push(next + 2).unwrap();
    let boxes: Vec<_> = carried(&rig).iter().map(Option::is_some).collect();
    assert_eq!(boxes[next as usize..], [true, false, false]);
    assert!(
        rig.control.started() <= begun + 1,
        "that of the frame before"
    );
    rig.element.set_property("active", true);
    rig.control.close();
    rig.push(next + 3).unwrap();
    assert_eq!(carried(&rig)[next as usize + 3], None, "all is forgotten");
    rig.control.open();
    push_until_looked_at(&rig, next + 4);
}

#[test]
fn old_boxes_are_not_shown() {
    let rig = Rig::new("mode=passthrough smoothing=false prediction=false max-age=100000000");
    let looked = watch(&rig);
    let next = push_until_looked_at(&rig, 0);
    analysed(&rig, 1);
    rig.control.close();
    let seen = looked.lock().unwrap()[0];
    for number in next..seen + 10 {
        rig.push(number).unwrap();
    }
    for (number, roi) in (0..).zip(carried(&rig)).skip(next as usize) {
        assert_eq!(
            roi.is_some(),
            (number - seen) * FRAME.mseconds() <= 100,
            "{number}"
        );
    }
}

/// A frame whose rows are longer than usual, which takes a while to be copied where downstream does not follow that.
fn padded_frame(number: u64, size: (u32, u32)) -> gst::Buffer {
    let info = video_info(size);
    let stride = info.stride()[0] + 64;
    let mut buffer = gst::Buffer::from_mut_slice(vec![9_u8; stride as usize * size.1 as usize]);
    let writable = buffer.get_mut().expect("a new buffer");
    writable.set_pts(FRAME * number);
    gst_video::VideoMeta::add_full(
        writable,
        gst_video::VideoFrameFlags::empty(),
        info.format(),
        size.0,
        size.1,
        &[0],
        &[stride],
    )
    .expect("a layout inside the buffer");
    buffer
}

#[test]
fn no_delay_is_declared_however_long_a_frame_takes() {
    let rig = Rig::new("mode=passthrough");
    rig.control.close();
    push_until_looked_at(&rig, 0);
    let (min, max) = (
        gst::ClockTime::from_mseconds(33),
        Some(gst::ClockTime::from_mseconds(133)),
    );
    rig.set_source(Source::Live { min, max });
    assert_eq!(rig.latency(), Some((true, min, max)), "as of identity");
    let (large, caps) = ((2400, 2000), video_info((2400, 2000)).to_caps().unwrap());
    assert!(rig.event(caps_event(large)));
    let mut query = gst::query::Allocation::new(Some(&caps), false);
    assert!(
        rig.query(&mut query),
        "downstream does not name GstVideoMeta"
    );
    for number in 0..6 {
        rig.push_buffer(padded_frame(number, large)).unwrap();
    }
    let stats = rig.stats();
    let measured = stats.snapshot.total.expect("frames have left").p99;
    assert!(measured > Duration::from_millis(2), "{measured:?}");
    assert_eq!(stats.latency, Duration::ZERO);
    assert_eq!(rig.latency(), Some((true, min, max)), "as of identity");
    assert!(rig.bus.pop_filtered(&[gst::MessageType::Latency]).is_none());
    let declared = gst::ClockTime::from_mseconds(30);
    rig.element.set_property("latency", declared.nseconds());
    let more = max.map(|max| max + declared);
    assert_eq!(rig.latency(), Some((true, min + declared, more)));
}

#[test]
fn a_file_has_no_latency() {
    let rig = Rig::with_source("mode=passthrough", Source::File);
    rig.push(0).unwrap();
    assert_eq!(rig.latency(), Some((false, gst::ClockTime::ZERO, None)));
    assert!(rig.bus.pop_filtered(&[gst::MessageType::Latency]).is_none());
}

#[test]
fn a_buffer_is_lent_to_a_worker_only_until_its_input_is_made() {
    let rig = Rig::new("mode=passthrough");
    rig.control.close();
    push_until_looked_at(&rig, 0);
    // Whichever frame is inside the engine: the sink and this list have it, and nobody else.
    for buffer in rig.buffers() {
        // SAFETY: the buffer is alive; the field is only read.
        let owners = unsafe { (*buffer.as_ptr()).mini_object.refcount };
        assert_eq!(owners, 2);
    }
}

#[test]
fn statistics_come_without_a_line() {
    let rig = Rig::new("mode=passthrough stats-interval=1000000");
    rig.push(0).unwrap();
    let patience = gst::ClockTime::try_from(support::PATIENCE).unwrap();
    let is_stats = |m: &gst::Message| m.structure().is_some_and(|s| s.name() == "detect-stats");
    let mut came = 0;
    while came < 3 {
        let message = rig
            .bus
            .timed_pop_filtered(patience, &[gst::MessageType::Element]);
        came += u32::from(is_stats(&message.expect("statistics are posted")));
    }
}

#[test]
fn detections_are_told_of_every_frame_looked_at() {
    let rig = Rig::new("mode=passthrough post-detections=true stats-interval=0");
    let looked = watch(&rig);
    let mut next = 0;
    for count in 1..4 {
        next = push_until_looked_at(&rig, next);
        analysed(&rig, count);
    }
    assert!(rig.control.wait_until_idle());
    rig.element.set_state(gst::State::Ready).unwrap(); // the worker has posted the last one
    let told: Vec<_> = rig
        .messages(DETECTIONS)
        .iter()
        .map(|s| {
            let time = s.get::<u64>("timestamp").unwrap();
            let all = s.get::<gst::Array>("detections").unwrap();
            let one = all[0].get::<gst::Structure>().unwrap();
            assert!(!one.has_field("age") && !one.has_field("object_id"));
            (time / FRAME.nseconds(), one.get::<i32>("id").unwrap())
        })
        .collect();
    let looked = looked.lock().unwrap();
    let wanted: Vec<_> = looked.iter().copied().zip(1..).collect();
    assert_eq!(told[..], wanted[..told.len()]);
    assert!(told.len() >= 3);
}
