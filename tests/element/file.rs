//! A file that is played, sought, scrubbed, played fast and backwards, and stopped again and again, as gst-validate's
//! scenarios do it; and one whose pictures change their size.

use crate::support::{self, Folder, PATIENCE, micro_model, one_dog};
use gst::prelude::*;
use gstdetect::engine::stub::Control;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Frames of the file, at 25 a second.
const FRAMES: u64 = 100;
const FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// A frame that has come to the sink.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shown {
    stream_time: gst::ClockTime,
    /// Number of the seek that sent for it: that of its segment.
    sent_for: gst::Seqnum,
    width: i32,
    rate: f64,
    boxes: usize,
}

impl Shown {
    /// Counted from the beginning of the file.
    fn number(&self) -> u64 {
        let half = FRAME.nseconds() / 2;
        (self.stream_time.nseconds() + half) / FRAME.nseconds()
    }
}

struct Player {
    pipeline: gst::Pipeline,
    shown: Arc<Mutex<Vec<Shown>>>,
    /// The last seek: the end of one before it, still on the bus, is not the end of this one.
    sought: Mutex<Option<gst::Seqnum>>,
    _folder: Folder,
}

impl Player {
    /// A player of a file with [`FRAMES`] pictures, in PAUSED; the first picture is shown.
    fn new() -> Self {
        let folder = Folder::new();
        let file = film(&folder);
        let source = format!("filesrc location={} ! avidemux ! jpegdec", file.display());
        Self::from_source(&source, folder)
    }

    fn from_source(source: &str, folder: Folder) -> Self {
        support::init();
        let model = folder.path().join("micro.onnx");
        std::fs::copy(micro_model("yolov8_micro.onnx"), &model).expect("the micro model is there");
        Control::for_model(Some(&model)).set_script(|_| Ok(one_dog()));
        let launch = format!(
            "{source} ! detect mode=every engine=stub model={} ! fakesink name=sink sync=false",
            model.display()
        );
        let player = Self {
            pipeline: parsed(&launch),
            shown: Arc::default(),
            sought: Mutex::default(),
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

    /// A seek to the very frame; gives its number.
    fn seek(&self, rate: f64, start: gst::ClockTime, stop: Option<gst::ClockTime>) -> gst::Seqnum {
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        let (set, none) = (gst::SeekType::Set, gst::SeekType::None);
        let to = if stop.is_some() { set } else { none };
        let seek = gst::event::Seek::new(rate, flags, set, start, to, stop);
        let number = seek.seqnum();
        *self.sought.lock().unwrap() = Some(number);
        assert!(self.pipeline.send_event(seek), "the file can be sought");
        let patience = gst::ClockTime::try_from(PATIENCE).ok();
        self.pipeline.state(patience).0.expect("a frame comes");
        number
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
        let sought = *self.sought.lock().unwrap();
        loop {
            let message = bus.timed_pop_filtered(patience, &types).expect("it ends");
            assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
            if sought.is_none_or(|seek| message.seqnum() == seek) {
                return self.numbers();
            }
        }
    }

    fn shown(&self) -> Vec<Shown> {
        self.shown.lock().unwrap().clone()
    }

    fn numbers(&self) -> Vec<u64> {
        self.shown().iter().map(Shown::number).collect()
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
    let sent_for = event.seqnum();
    let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
    let caps = pad.current_caps()?;
    Some(Shown {
        stream_time: segment.to_stream_time(buffer.pts()?)?,
        sent_for,
        width: caps.structure(0)?.get("width").ok()?,
        rate: segment.rate(),
        boxes: gstdetect::bridge::meta::read(buffer).len(),
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
    let targets = [20, 60, 40, 80, 0, 50];
    let seeks = targets.map(|target| (target, player.seek(1.0, FRAME * target, None)));
    player.play();
    let shown = player.shown();
    assert!(shown.iter().all(|shown| shown.boxes == 1));
    let mut frames = shown.iter().peekable();
    let mut numbers = |seek| -> Vec<u64> {
        let of_it = std::iter::from_fn(|| frames.next_if(|frame| frame.sent_for == seek));
        of_it.map(Shown::number).collect()
    };
    let before = numbers(shown[0].sent_for);
    assert_eq!(before, (0..before.len() as u64).collect::<Vec<_>>());
    for (target, seek) in seeks {
        let numbers = numbers(seek);
        let end = if target == 50 {
            FRAMES
        } else {
            target + numbers.len() as u64
        };
        assert!(!numbers.is_empty(), "seek to {target}");
        assert_eq!(numbers, (target..end).collect::<Vec<_>>());
    }
    // None comes that nobody sought, none late.
    assert_eq!(frames.next(), None);
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
    let player = Player::from_source(&source, Folder::new());
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
    let player = Player::from_source(&source, Folder::new());
    player.play();
    let widths: Vec<_> = player.shown().iter().map(|shown| shown.width).collect();
    let expected: Vec<_> = [64, 32, 128, 64].iter().flat_map(|w| [*w; 20]).collect();
    assert_eq!(widths, expected);
    assert!(player.shown().iter().all(|shown| shown.boxes == 1));
}
