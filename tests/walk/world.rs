//! [`World`]: one `detect` element, a thread that streams into it, and a pad that takes what comes out.

use crate::ledger::Ledger;
use crate::support::{FRAME, Folder, PATIENCE, caps_event, init, micro_model, video_info};
use gst::prelude::*;
use gstdetect::engine::stub::Control;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

pub const SIZES: [(u32, u32); 3] = [(64, 48), (48, 64), (32, 32)];
/// Models that can be used; one more, that cannot, follows them.
pub const MODELS: usize = 3;

/// Operation of the streaming thread.
#[derive(Debug, Clone)]
pub enum Op {
    Frame,
    Gap,
    Custom,
    Tag,
    Query,
    Caps((u32, u32)),
    Segment,
    /// Stream-start, caps and segment.
    Begin,
    Eos,
    FlushStop,
}

/// Bytes of a frame; counts how many there are.
struct Pixels {
    bytes: Vec<u8>,
    alive: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Pixels {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Pixels {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

/// State that the threads share.
pub struct Shared {
    pub src: gst::Pad,
    pub ledger: Mutex<Ledger>,
    /// With `pending`, `sink` and `ledger`: signalled on every change.
    ops: Mutex<Option<Sender<Op>>>,
    pending: Mutex<usize>,
    done: Condvar,
    sink: Mutex<Sink>,
    sink_changed: Condvar,
    alive: Arc<AtomicUsize>,
    live: AtomicBool,
    lossless: bool,
}

#[derive(Default)]
struct Sink {
    blocked: bool,
    flushing: bool,
}

pub struct World {
    pub element: gst::Element,
    pub shared: Arc<Shared>,
    pub sinkpad: gst::Pad,
    pub controls: Vec<Arc<Control>>,
    /// The last one is broken.
    pub models: Vec<PathBuf>,
    streaming: Option<std::thread::JoinHandle<()>>,
    _folder: Folder,
}

impl World {
    pub fn new(mode: &str) -> Self {
        init();
        let folder = Folder::new();
        let mut models: Vec<_> = (0..MODELS)
            .map(|n| folder.path().join(format!("{n}.onnx")))
            .collect();
        for model in &models {
            std::fs::copy(micro_model("yolov8_micro.onnx"), model)
                .expect("the micro model is there");
        }
        let controls = models.iter().map(|m| Control::for_model(Some(m))).collect();
        models.push(folder.file("broken.onnx", b"no model"));
        let launch = format!(
            "detect engine=stub mode={mode} model={}",
            models[0].display()
        );
        let element = gst::parse::launch(&launch).expect("the properties are right");
        let clock = gst::SystemClock::obtain();
        element.set_base_time(clock.time());
        element.set_clock(Some(&clock)).expect("it takes a clock");
        let shared = Arc::new_cyclic(|weak| Shared {
            src: source_pad(weak.clone()),
            ledger: Mutex::default(),
            ops: Mutex::default(),
            pending: Mutex::default(),
            done: Condvar::new(),
            sink: Mutex::default(),
            sink_changed: Condvar::new(),
            alive: Arc::default(),
            live: AtomicBool::new(mode != "every"),
            lossless: mode != "newest",
        });
        element.set_bus(Some(&bus(&shared)));
        let sinkpad = sink_pad(&shared);
        let pad = |name| element.static_pad(name).expect("an always pad");
        shared.src.link(&pad("sink")).expect("pads fit");
        pad("src").link(&sinkpad).expect("pads fit");
        let (ops, todo) = channel();
        *shared.ops.lock() = Some(ops);
        let streaming = std::thread::spawn({
            let shared = shared.clone();
            move || shared.stream(&todo)
        });
        Self {
            element,
            shared,
            sinkpad,
            controls,
            models,
            streaming: Some(streaming),
            _folder: folder,
        }
    }

    /// From NULL or READY, pads inactive, to PLAYING, with a new stream.
    pub fn start(&self) {
        self.sinkpad
            .set_active(true)
            .expect("a pad without a parent");
        self.element
            .set_state(gst::State::Playing)
            .expect("the element plays");
        self.shared
            .src
            .set_active(true)
            .expect("a pad without a parent");
        self.shared.to_do(Op::Begin);
    }

    /// Down to `state`, from the sink to the source as a pipeline does it.
    pub fn stop(&self, state: gst::State) {
        self.shared.ledger.lock().end_epoch();
        self.shared.block_sink(false);
        self.sinkpad
            .set_active(false)
            .expect("a pad without a parent");
        self.element.set_state(state).expect("the element stops");
        self.shared
            .src
            .set_active(false)
            .expect("a pad without a parent");
        self.shared.wait_until_idle();
        self.shared.ledger.lock().begin_epoch(self.shared.lossless);
    }

    /// Waits until everything that was sent has come out, and checks that nothing is missing.
    pub fn drain(&self) {
        self.shared.block_sink(false);
        self.shared.to_do(Op::Query);
        self.shared.wait_until_idle();
        let mut ledger = self.shared.ledger.lock();
        ledger.check(true, self.shared.lossless);
        let (sent, got) = (sticky(&self.shared.src), sticky(&self.sinkpad));
        if sent != got {
            ledger.fault(format!(
                "sticky events are {sent:?}, downstream has {got:?}"
            ));
        }
    }

    /// Stops everything; returns how many frames are still alive, and whether the element is.
    pub fn end(mut self) -> (usize, bool) {
        self.stop(gst::State::Null);
        self.shared.ops.lock().take();
        if let Some(streaming) = self.streaming.take() {
            streaming
                .join()
                .expect("the streaming thread does not panic");
        }
        let (weak, shared) = (self.element.downgrade(), self.shared.clone());
        drop(self);
        // A thread may still be loading a model.
        let end = Instant::now() + PATIENCE;
        while weak.upgrade().is_some() && Instant::now() < end {
            std::thread::yield_now();
        }
        (
            shared.alive.load(Ordering::SeqCst),
            weak.upgrade().is_some(),
        )
    }
}

/// Which sticky events a pad has.
fn sticky(pad: &gst::Pad) -> Vec<(gst::EventType, gst::Seqnum)> {
    let mut found = Vec::new();
    pad.sticky_events_foreach(|event| {
        found.push((event.type_(), event.seqnum()));
        std::ops::ControlFlow::Continue(gst::EventForeachAction::Keep)
    });
    found
}

impl Shared {
    /// Gives the streaming thread something to do, after what it has.
    pub fn to_do(&self, op: Op) {
        *self.pending.lock() += 1;
        let ops = self.ops.lock();
        let _ = ops.as_ref().map(|ops| ops.send(op));
    }

    pub fn pending(&self) -> MutexGuard<'_, usize> {
        self.pending.lock()
    }

    pub fn wait_until_idle(&self) {
        let mut pending = self.pending.lock();
        self.done.wait_while(&mut pending, |pending| *pending > 0);
    }

    pub fn block_sink(&self, blocked: bool) {
        self.sink.lock().blocked = blocked;
        self.sink_changed.notify_all();
    }

    /// Flushes like a source that is told to seek: in the thread that tells it.
    pub fn flush(&self) {
        self.ledger.lock().end_epoch();
        self.src.push_event(gst::event::FlushStart::new());
        self.wait_until_idle();
        self.to_do(Op::FlushStop);
        self.to_do(Op::Segment);
        self.wait_until_idle();
    }

    pub fn set_live(&self, live: bool) {
        self.live.store(live, Ordering::SeqCst);
    }

    fn stream(&self, todo: &Receiver<Op>) {
        let mut streamed = Streamed::new();
        while let Ok(op) = todo.recv() {
            self.perform(op, &mut streamed);
            *self.pending.lock() -= 1;
            self.done.notify_all();
        }
    }

    fn perform(&self, op: Op, streamed: &mut Streamed) {
        let time = FRAME * streamed.frames;
        match op {
            Op::Frame => self.push_frame(streamed),
            Op::Gap => self.push_event(gst::event::Gap::new(time, FRAME), streamed),
            Op::Custom => {
                let mark = gst::Structure::new_empty("mark");
                self.push_event(gst::event::CustomDownstream::new(mark), streamed);
            }
            Op::Tag => self.push_event(gst::event::Tag::new(gst::TagList::new()), streamed),
            Op::Query => self.ask(streamed),
            Op::Caps(size) => {
                streamed.size = size;
                self.push_event(caps_event(size), streamed);
            }
            Op::Segment => self.push_segment(streamed),
            Op::Begin => {
                streamed.ended = false;
                self.push_event(gst::event::StreamStart::new("walk"), streamed);
                self.push_event(caps_event(streamed.size), streamed);
                self.push_segment(streamed);
            }
            Op::Eos => {
                self.push_event(gst::event::Eos::new(), streamed);
                streamed.ended = true;
            }
            Op::FlushStop => {
                streamed.ended = false;
                self.src.push_event(gst::event::FlushStop::new(true));
            }
        }
    }

    fn push_frame(&self, streamed: &mut Streamed) {
        streamed.frames += 1;
        let size = streamed.size;
        let number = self.ledger.lock().send_frame(size, streamed.segment);
        self.alive.fetch_add(1, Ordering::SeqCst);
        let mut buffer = gst::Buffer::from_slice(Pixels {
            bytes: vec![128; video_info(size).size()],
            alive: self.alive.clone(),
        });
        let writable = buffer.get_mut().expect("a new buffer");
        writable.set_offset(number);
        writable.set_pts(FRAME * streamed.frames);
        writable.set_duration(FRAME);
        let answer = self.src.push(buffer);
        let expected = match streamed.ended {
            true => Err(gst::FlowError::Eos),
            false => Ok(gst::FlowSuccess::Ok),
        };
        let mut ledger = self.ledger.lock();
        if ledger.answered(number, answer.is_ok()) && answer != expected {
            ledger.fault(format!("frame {number}: {answer:?}, expected {expected:?}"));
        }
    }

    fn push_event(&self, event: gst::Event, streamed: &Streamed) {
        let number = self.ledger.lock().send_event(&event);
        let kind = event.type_();
        let taken = self.src.push_event(event);
        let mut ledger = self.ledger.lock();
        if ledger.answered(number, taken) && taken == streamed.ended {
            ledger.fault(format!("event {number} {kind:?}: {taken}"));
        }
    }

    fn push_segment(&self, streamed: &mut Streamed) {
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        let event = gst::event::Segment::new(&segment);
        streamed.segment = event.seqnum();
        self.push_event(event, streamed);
    }

    fn ask(&self, streamed: &Streamed) {
        let number = self.ledger.lock().send_query();
        let mut query = gst::query::Drain::new();
        let answered = self.src.peer_query(&mut query);
        let mut ledger = self.ledger.lock();
        // After EOS `passthrough` asks downstream all the same.
        if ledger.answered(number, answered) && !answered && !streamed.ended {
            ledger.fault(format!("query {number}: {answered}"));
        }
    }
}

/// Where the streaming thread is in its stream.
struct Streamed {
    frames: u64,
    size: (u32, u32),
    segment: gst::Seqnum,
    ended: bool,
}

impl Streamed {
    fn new() -> Self {
        Self {
            frames: 0,
            size: SIZES[0],
            segment: gst::Seqnum::next(),
            ended: false,
        }
    }
}

/// Keeps errors and nothing else, in the thread that posts: statistics may come faster than anybody takes them.
fn bus(shared: &Arc<Shared>) -> gst::Bus {
    let (bus, shared) = (gst::Bus::new(), shared.clone());
    bus.set_sync_handler(move |_, message| {
        if let gst::MessageView::Error(error) = message.view() {
            shared.ledger.lock().fault(format!("{error:?}"));
        }
        gst::BusSyncReply::Drop
    });
    bus
}

fn pad(name: &str, direction: gst::PadDirection) -> gst::PadBuilder<gst::Pad> {
    let any = gst::Caps::new_any();
    let template = gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &any);
    gst::Pad::builder_from_template(&template.expect("a name and caps make a template"))
}

fn source_pad(shared: std::sync::Weak<Shared>) -> gst::Pad {
    let (asked, told) = (shared.clone(), shared);
    pad("walk-src", gst::PadDirection::Src)
        .query_function(move |pad, parent, query| match query.view_mut() {
            gst::QueryViewMut::Latency(latency) => {
                let live = asked
                    .upgrade()
                    .is_some_and(|s| s.live.load(Ordering::SeqCst));
                latency.set(live, gst::ClockTime::ZERO, gst::ClockTime::NONE);
                true
            }
            _ => gst::Pad::query_default(pad, parent, query),
        })
        .event_function(move |_, _, event| {
            let (gst::EventView::Seek(seek), Some(shared)) = (event.view(), told.upgrade()) else {
                return true;
            };
            match seek.get().1.contains(gst::SeekFlags::FLUSH) {
                true => shared.flush(),
                false => shared.to_do(Op::Segment),
            }
            true
        })
        .build()
}

fn sink_pad(shared: &Arc<Shared>) -> gst::Pad {
    let (chain, events, queries) = (shared.clone(), shared.clone(), shared.clone());
    pad("walk-sink", gst::PadDirection::Sink)
        .chain_function(move |pad, _, buffer| {
            let caps = pad.sticky_event::<gst::event::Caps>(0);
            let info = caps.and_then(|c| gst_video::VideoInfo::from_caps(c.caps()).ok());
            let size = info.map(|info| (info.width(), info.height()));
            let segment = pad
                .sticky_event::<gst::event::Segment>(0)
                .map(|s| s.seqnum());
            chain
                .ledger
                .lock()
                .saw_frame(buffer.offset(), size, segment);
            let mut sink = chain.sink.lock();
            chain
                .sink_changed
                .wait_while(&mut sink, |s| s.blocked && !s.flushing);
            match sink.flushing {
                true => Err(gst::FlowError::Flushing),
                false => Ok(gst::FlowSuccess::Ok),
            }
        })
        .event_function(move |_, _, event| {
            match event.view() {
                gst::EventView::FlushStart(_) => events.sink.lock().flushing = true,
                gst::EventView::FlushStop(_) => {
                    events.sink.lock().flushing = false;
                    let mut ledger = events.ledger.lock();
                    ledger.begin_epoch(events.lossless);
                }
                _ => events.ledger.lock().saw_event(&event),
            }
            events.sink_changed.notify_all();
            true
        })
        .query_function(move |pad, parent, query| {
            if !query.is_serialized() {
                return gst::Pad::query_default(pad, parent, query);
            }
            queries.ledger.lock().saw_query();
            true
        })
        .build()
}
