//! The input size of a model that takes any: the shape of the pictures decides.

use crate::support::{self, Rig, Source};
use gst::prelude::*;
use gstdetect::bridge::message::MODEL;

const WIDE: (u32, u32) = (128, 72);
const HIGH: (u32, u32) = (48, 64);

fn rig(properties: &str, source: Source) -> Rig {
    let rig = Rig::of_model("free_size.onnx", properties, source);
    rig.element
        .set_state(gst::State::Playing)
        .expect("the element plays");
    rig.begin();
    rig
}

/// Width and height of the model's input, as the messages since the last call tell it.
fn announced(rig: &Rig) -> Vec<(u32, u32)> {
    let side = |s: &gst::Structure, name| s.get::<u32>(name).expect("a side");
    let messages = rig.messages(MODEL);
    messages
        .iter()
        .map(|s| (side(s, "input-width"), side(s, "input-height")))
        .collect()
}

#[test]
fn the_input_takes_the_shape_of_the_pictures_and_prepared_sizes_are_kept() {
    let rig = rig("mode=every", Source::File);
    assert_eq!(announced(&rig), [(640, 640)], "no picture is known yet");
    for (number, size) in [support::SIZE, WIDE, HIGH, support::SIZE]
        .into_iter()
        .enumerate()
    {
        rig.event(support::caps_event(size));
        rig.push_sized(number as u64, size).unwrap();
    }
    assert_eq!(rig.wait_for_frames(4), [0, 1, 2, 3]);
    assert_eq!(
        announced(&rig),
        [(640, 480), (640, 384), (480, 640), (640, 480)]
    );
    // A warm-up for each size, one more before any, and four frames.
    assert_eq!(rig.control.started(), 4 + 4);
    rig.assert_no_error();
}

#[test]
fn live_frames_that_come_while_a_size_is_prepared_are_displaced() {
    let rig = rig("mode=newest", Source::LIVE);
    rig.control.close();
    rig.push(0).unwrap();
    assert!(rig.control.wait_until_running()); // the warm-up of the new size
    assert_eq!(rig.control.started(), 2);
    rig.push(1).unwrap();
    rig.push(2).unwrap(); // displaces 1
    rig.control.open();
    assert_eq!(rig.wait_for_frames(2), [0, 2]);
    assert_eq!(rig.stats().snapshot.counters.dropped_busy, 1);
}

#[test]
fn a_size_that_was_asked_for_stays() {
    let rig = rig("mode=every input-size=320x64", Source::File);
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    assert_eq!(announced(&rig), [(320, 64)]);
}

#[test]
fn stopping_does_not_wait_for_a_size_that_is_prepared() {
    let rig = rig("mode=newest", Source::LIVE);
    for _ in 0..3 {
        let started = rig.control.started();
        rig.control.close();
        rig.push(0).unwrap();
        assert!(rig.control.wait_until_started(started + 1)); // the warm-up of the new size
        let element = rig.element.clone();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(element.set_state(gst::State::Null)));
        let stopped = told.recv_timeout(support::PATIENCE);
        assert!(stopped.is_ok_and(|result| result.is_ok()), "it waits");
        rig.control.open();
        assert!(rig.control.wait_until_idle());
        // What was prepared is of no use any more, and does no harm.
        rig.element.set_state(gst::State::Playing).unwrap();
        rig.begin();
    }
    rig.push(1).unwrap();
    rig.wait_for_frames(1);
    rig.assert_no_error();
}

#[test]
fn another_size_comes_from_the_file_as_it_was_read() {
    let rig = rig("mode=every", Source::File);
    announced(&rig);
    let info: gst::Structure = rig.element.property("model-info");
    let path = info.get::<String>("path").expect("it tells its path");
    std::fs::write(path, b"another file").unwrap();
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    assert_eq!(announced(&rig), [(640, 480)]);
}

#[test]
fn every_worker_takes_the_new_size() {
    let rig = rig("mode=every workers=3", Source::File);
    let warm_ups = rig.control.started();
    let pushing = rig.push_from_thread(0..20);
    assert!(pushing.join().unwrap().is_ok());
    assert_eq!(rig.wait_for_frames(20), (0..20).collect::<Vec<_>>());
    assert_eq!(announced(&rig).last(), Some(&(640, 480)));
    assert!(
        rig.control.started() > warm_ups + 20,
        "a size needs a warm-up"
    );
}
