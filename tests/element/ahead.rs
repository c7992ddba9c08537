//! Inputs that the source's thread makes of frames that wait: each frame is analysed as what it shows, whatever comes
//! between, and the memory is used again.

use crate::support::rig::{SIZE, caps_event, frame, video_info};
use crate::support::{Folder, Rig, Source, micro_model, nothing};
use gst::prelude::*;
use gstdetect::base::tensor::Tensor;
use gstdetect::engine::stub::Control;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

const FRAMES: u64 = 40;
/// Longer than it takes to make an input, so that the source waits.
const INFERENCE: Duration = Duration::from_millis(5);

/// How long the last frame waits for the one before it.
const HELD: Duration = Duration::from_millis(200);

/// An input that an engine was given: the level in the middle of the picture, and where the tensor lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Given {
    level: u64,
    address: usize,
}

type Log = Arc<Mutex<Vec<Given>>>;

/// A grey of its own for each frame.
fn level(number: u64) -> u8 {
    10 + 5 * number as u8
}

fn grey(number: u64, size: (u32, u32)) -> gst::Buffer {
    let mut buffer = frame(number, size);
    let shade = gst::Buffer::from_mut_slice(vec![level(number); video_info(size).size()]);
    let buffer_ref = buffer.get_mut().expect("a new buffer");
    buffer_ref.replace_all_memory(shade.memory(0).expect("it has one"));
    buffer
}

fn note(log: &Log, control: &Control) {
    let log = log.clone();
    control.set_duration(INFERENCE);
    control.set_script(move |input| {
        log.lock().unwrap().push(given(input));
        Ok(nothing())
    });
}

fn given(input: &Tensor) -> Given {
    let numbers = input.as_f32().expect("floats");
    let (height, width) = (input.dims[2], input.dims[3]);
    Given {
        level: (numbers[height / 2 * width + width / 2] * 255.0).round() as u64,
        address: numbers.as_ptr() as usize,
    }
}

/// A rig whose worker has a frame, number 0, and stays with it until the gate is opened.
fn busy() -> (Rig, Log) {
    let (rig, log) = (Rig::with_source("mode=every", Source::File), Log::default());
    note(&log, &rig.control);
    rig.control.close();
    rig.push_buffer(grey(0, SIZE)).unwrap();
    assert!(rig.control.wait_until_running());
    (rig, log)
}

/// Sends frames 1 and on, with the caps of other sizes before some.
fn send(rig: &Rig, sizes: impl Fn(u64) -> (u32, u32) + Send + 'static) -> JoinHandle<()> {
    let src = rig.source_pad();
    std::thread::spawn(move || {
        let mut size = SIZE;
        for number in 1..FRAMES {
            if sizes(number) != size {
                size = sizes(number);
                assert!(src.push_event(caps_event(size)));
            }
            src.push(grey(number, size)).unwrap();
        }
    })
}

fn check_levels(log: &[Given]) {
    let levels: Vec<u64> = log.iter().map(|given| given.level).collect();
    let expected: Vec<u64> = (0..FRAMES).map(|number| level(number).into()).collect();
    assert_eq!(levels, expected);
}

fn addresses(log: &[Given]) -> usize {
    let addresses: BTreeSet<usize> = log.iter().map(|given| given.address).collect();
    addresses.len()
}

#[test]
fn every_frame_is_analysed_as_what_it_shows() {
    let (rig, log) = busy();
    let source = send(&rig, |_| SIZE);
    // All but the last two; one of these is in the engine then, and one waits for it.
    rig.control.pass(FRAMES as usize - 2);
    rig.wait_for_frames(FRAMES as usize - 2);
    source.join().expect("every frame is taken");
    assert!(rig.control.wait_until_running());
    std::thread::sleep(HELD); // not to wait for anything: it is how long the last frame waits
    rig.control.open();
    rig.wait_for_frames(FRAMES as usize);
    let log = log.lock().unwrap();
    check_levels(&log);
    // The worker's own, that of the frame in the line, that of the frame in the source's hand, and one more where the
    // source was quicker than the worker in giving back.
    let addresses = addresses(&log);
    assert!((2..=4).contains(&addresses), "{addresses} tensors");
    let wait = rig
        .stats()
        .snapshot
        .wait_mean
        .expect("frames were analysed");
    let least = HELD / FRAMES as u32;
    assert!(
        wait >= least,
        "a frame waits for those before it: {wait:?} on average, at least {least:?}"
    );
}

#[test]
fn frames_of_another_size_are_too() {
    let (rig, log) = busy();
    let source = send(&rig, |number| match number / 3 % 2 {
        0 => SIZE,
        _ => (SIZE.0 * 2, SIZE.1),
    });
    rig.control.open();
    rig.wait_for_frames(FRAMES as usize);
    source.join().expect("every frame is taken");
    check_levels(&log.lock().unwrap());
}

#[test]
fn another_model_gets_inputs_of_its_own() {
    let (rig, log) = busy();
    let folder = Folder::new();
    let path = folder.path().join("other.onnx");
    std::fs::copy(micro_model("yolov8_micro.onnx"), &path).expect("the micro model is there");
    let control = Control::for_model(Some(&path));
    let other = Log::default();
    let source = send(&rig, |_| SIZE);
    rig.control.pass(FRAMES as usize / 4);
    rig.wait_for_frames(FRAMES as usize / 4);
    note(&other, &control);
    rig.wait_for_model();
    rig.element.set_property("model", path.to_str());
    assert_eq!(Some(&*rig.wait_for_model()), path.to_str());
    rig.control.open();
    rig.wait_for_frames(FRAMES as usize);
    source.join().expect("every frame is taken");
    rig.assert_no_error();
    let mut all = log.lock().unwrap().clone();
    let warm_up = 1;
    let other = other.lock().unwrap();
    assert!(other.len() > warm_up, "no frame met the other model");
    all.extend(&other[warm_up..]);
    check_levels(&all);
}

#[test]
fn a_flush_between_takes_them_away() {
    let (rig, log) = busy();
    let source = rig.push_from_thread(1..4);
    rig.wait_for_stats(|stats| stats.snapshot.counters.received == 3);
    rig.flush();
    assert!(source.join().expect("no panic").is_err(), "it is flushing");
    rig.control.open();
    assert!(rig.control.wait_until_idle());
    log.lock().unwrap().clear();
    rig.flush_stop();
    rig.segment();
    rig.push_buffer(grey(0, SIZE)).unwrap();
    let source = send(&rig, |_| SIZE);
    rig.wait_for_frames(FRAMES as usize);
    source.join().expect("every frame is taken");
    check_levels(&log.lock().unwrap());
}
