//! A file that is played, sought, scrubbed, played fast and backwards, and stopped again and again, as gst-validate's
//! scenarios do it; and one whose pictures change their size.

mod support;

use gst::prelude::*;
use gstdetect::engine::stub::Control;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use support::{Folder, PATIENCE, micro_model, one_dog};

/// Frames of the file, at 25 a second.
const FRAMES: u64 = 100;
const FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// A frame that has come to the sink.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shown {
    stream_time: gst::ClockTime,
    width: i32,
    rate: f64,
    boxes: usize,
}

struct Player {
    pipeline: gst::Pipeline,
    shown: Arc<Mutex<Vec<Shown>>>,
    _folder: Folder,
}

impl Player {
    /// Of a file with [`FRAMES`] pictures, in PAUSED, the first of them shown.
    fn new() -> Self {
        let folder = Folder::new();
        let file = film(&folder);
        let source = format!("filesrc location={} ! avidemux ! jpegdec", file.display());
        Self::of(&source, folder)
    }

    fn of(source: &str, folder: Folder) -> Self {
        support::init();
        let model = folder.path().join("micro.onnx");
        std::fs::copy(micro_model("yolov8_micro.onnx"), &model).expect("the micro model is there");
        Control::of(Some(&model)).set_script(|_| Ok(one_dog()));
        let launch = format!(
            "{source} ! detect mode=every engine=stub model={} ! fakesink name=sink sync=false",
            model.display()
        );
        let player = Self {
            pipeline: parsed(&launch),
            shown: Arc::default(),
            _folder: folder,
        };
        let sink = player.pipeline.by_name("sink").expect("it has this name");
        let pad = sink.static_pad("sink").expect("an always pad");
        let shown = player.shown.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let Some(frame) = info.buffer().and_then(|buffer| look(pad, buffer)) {
                shown.lock().unwrap().push(frame);
            }
            gst::PadProbeReturn::Ok
        });
        player.set_state(gst::State::Paused);
        player
    }

    fn set_state(&self, state: gst::State) {
        self.pipeline.set_state(state).expect("no state is refused");
        let patience = gst::ClockTime::try_from(PATIENCE).ok();
        let (reached, current, _) = self.pipeline.state(patience);
        reached.unwrap_or_else(|err| {
            let bus = self.pipeline.bus().expect("a pipeline has a bus");
            let told = bus.pop_filtered(&[gst::MessageType::Error]);
            panic!("{state:?}: {err}: {told:?}")
        });
        assert_eq!(current, state);
    }

    /// A seek to the very frame, and what was shown before is forgotten.
    fn seek(&self, rate: f64, start: gst::ClockTime, stop: Option<gst::ClockTime>) {
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        let (set, none) = (gst::SeekType::Set, gst::SeekType::None);
        let to = if stop.is_some() { set } else { none };
        let sent = self.pipeline.seek(rate, flags, set, start, to, stop);
        sent.expect("the file can be sought");
        let patience = gst::ClockTime::try_from(PATIENCE).ok();
        self.pipeline.state(patience).0.expect("a frame comes");
    }

    /// Seeks while paused: nothing of before the seek is shown after it.
    fn seek_paused(&self, rate: f64, start: gst::ClockTime, stop: Option<gst::ClockTime>) {
        self.shown.lock().unwrap().clear();
        self.seek(rate, start, stop);
    }

    /// Plays to the end; what was shown since it was forgotten last, in frames from the beginning.
    fn play(&self) -> Vec<u64> {
        self.pipeline
            .set_state(gst::State::Playing)
            .expect("it plays");
        let bus = self.pipeline.bus().expect("a pipeline has a bus");
        let types = [gst::MessageType::Eos, gst::MessageType::Error];
        let patience = gst::ClockTime::try_from(PATIENCE).ok();
        let message = bus.timed_pop_filtered(patience, &types).expect("it ends");
        assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
        self.numbers()
    }

    fn shown(&self) -> Vec<Shown> {
        self.shown.lock().unwrap().clone()
    }

    fn numbers(&self) -> Vec<u64> {
        let number = |shown: &Shown| {
            let half = FRAME.nseconds() / 2;
            (shown.stream_time.nseconds() + half) / FRAME.nseconds()
        };
        self.shown().iter().map(number).collect()
    }

    fn wait_for_frames(&self, count: usize) {
        let end = std::time::Instant::now() + PATIENCE;
        while self.shown().len() < count {
            assert!(std::time::Instant::now() < end, "{:?}", self.shown());
            std::thread::yield_now();
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn parsed(launch: &str) -> gst::Pipeline {
    let pipeline = gst::parse::launch(launch).expect("the pipeline is right");
    pipeline.downcast().expect("a pipeline")
}

fn look(pad: &gst::Pad, buffer: &gst::Buffer) -> Option<Shown> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
    let caps = pad.current_caps()?;
    Some(Shown {
        stream_time: segment.to_stream_time(buffer.pts()?)?,
        width: caps.structure(0)?.get("width").ok()?,
        rate: segment.rate(),
        boxes: gstdetect::meta::read(buffer).len(),
    })
}

/// A film whose every picture can be sought.
fn film(folder: &Folder) -> PathBuf {
    support::init();
    let path = folder.path().join("film.avi");
    let pipeline = parsed(&format!(
        "videotestsrc num-buffers={FRAMES} pattern=ball ! video/x-raw,width=64,height=48,framerate=25/1 ! jpegenc ! avimux \
         ! filesink location={}",
        path.display()
    ));
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let types = [gst::MessageType::Eos, gst::MessageType::Error];
    let patience = gst::ClockTime::try_from(PATIENCE).ok();
    let message = bus.timed_pop_filtered(patience, &types).expect("it ends");
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    pipeline.set_state(gst::State::Null).expect("it stops");
    path
}

#[test]
fn it_plays_to_the_end_with_boxes_on_every_frame() {
    let player = Player::new();
    assert_eq!(player.play(), (0..FRAMES).collect::<Vec<_>>());
    assert!(player.shown().iter().all(|shown| shown.boxes == 1));
}

#[test]
fn pauses_lose_nothing() {
    let player = Player::new();
    for count in [10, 30, 50] {
        player
            .pipeline
            .set_state(gst::State::Playing)
            .expect("it plays");
        player.wait_for_frames(count);
        player.set_state(gst::State::Paused);
    }
    assert_eq!(player.play(), (0..FRAMES).collect::<Vec<_>>());
}

#[test]
fn seeks_forward_and_backward_while_it_plays() {
    let player = Player::new();
    player
        .pipeline
        .set_state(gst::State::Playing)
        .expect("it plays");
    for target in [20, 60, 40, 80, 0, 50] {
        player.seek(1.0, FRAME * target, None);
    }
    let numbers = player.play();
    let jumps = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1);
    let jumps: Vec<_> = jumps.map(|pair| pair[1]).collect();
    // The first frames of a seek may be those of the next one; none comes that nobody sought.
    assert!(
        jumps.iter().all(|to| [0, 20, 40, 50, 60, 80].contains(to)),
        "{jumps:?}"
    );
    assert_eq!(jumps.last(), Some(&50), "{jumps:?}");
    assert_eq!(numbers.last(), Some(&(FRAMES - 1)));
    assert!(player.shown().iter().all(|shown| shown.boxes == 1));
}

#[test]
fn a_seek_with_a_stop_ends_there() {
    let player = Player::new();
    player.seek_paused(1.0, FRAME * 30, Some(FRAME * 50));
    assert_eq!(player.play(), (30..50).collect::<Vec<_>>());
}

#[test]
fn it_plays_fast() {
    let player = Player::new();
    for rate in [2.0, 4.0, 8.0, 16.0, 32.0] {
        player.seek_paused(rate, gst::ClockTime::ZERO, None);
        assert_eq!(
            player.play(),
            (0..FRAMES).collect::<Vec<_>>(),
            "rate {rate}"
        );
        assert!(player.shown().iter().all(|shown| shown.rate == rate));
        player.set_state(gst::State::Paused);
    }
}

#[test]
fn it_plays_backwards() {
    let player = Player::new();
    player.seek_paused(-1.0, gst::ClockTime::ZERO, Some(FRAME * 60));
    let numbers = player.play();
    assert_eq!(numbers, (0..60).rev().collect::<Vec<_>>());
    assert!(
        player
            .shown()
            .iter()
            .all(|shown| shown.rate == -1.0 && shown.boxes == 1)
    );
}

#[test]
fn scrubbing_shows_each_frame_that_is_sought() {
    let player = Player::new();
    for target in (5..50).step_by(5).chain((5..50).rev().step_by(5)) {
        player.seek_paused(1.0, FRAME * target, None);
        assert_eq!(player.numbers().first(), Some(&target));
    }
    let last = player.numbers()[0];
    assert_eq!(player.play(), (last..FRAMES).collect::<Vec<_>>());
}

#[test]
fn it_starts_and_stops_again_and_again() {
    // No demuxer: gst-launch links its pads once.
    let source = format!(
        "videotestsrc num-buffers={FRAMES} ! video/x-raw,width=64,height=48,framerate=25/1"
    );
    let player = Player::of(&source, Folder::new());
    for round in 0..20 {
        player
            .pipeline
            .set_state(gst::State::Playing)
            .expect("it plays");
        if round % 2 == 0 {
            player.wait_for_frames(1);
        }
        player.set_state(gst::State::Null);
    }
    player.shown.lock().unwrap().clear();
    player.set_state(gst::State::Paused);
    assert_eq!(player.play(), (0..FRAMES).collect::<Vec<_>>());
}

#[test]
fn pictures_that_change_their_size() {
    let part = |width: u32| {
        format!(
            "videotestsrc num-buffers=20 ! video/x-raw,width={width},height=48,framerate=25/1 ! film. "
        )
    };
    let source = format!("{}concat name=film", [64, 32, 128, 64].map(part).concat());
    let player = Player::of(&source, Folder::new());
    player.play();
    let widths: Vec<_> = player.shown().iter().map(|shown| shown.width).collect();
    let expected: Vec<_> = [64, 32, 128, 64].iter().flat_map(|w| [*w; 20]).collect();
    assert_eq!(widths, expected);
    assert!(player.shown().iter().all(|shown| shown.boxes == 1));
}
