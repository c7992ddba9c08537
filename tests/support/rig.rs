//! A rig around one `detect` element: pads on both sides that a test drives and looks at, a bus, and the control of
//! the stub engine. Nothing here sleeps: every wait is for a change, and fails after [`PATIENCE`].

use super::{Folder, PATIENCE, init, micro_model};
use gst::prelude::*;
use gstdetect::base::tensor::Tensor;
use gstdetect::bridge::message::{DetectModel, DetectStats, MODEL, STATS_PROPERTY};
use gstdetect::engine::stub::Control;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between the frames of a rig.
pub const FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(40);
/// How long a worker may take from the end of an analysis until it is ready for another frame; longer costs an analysis, and
/// no test.
const MOMENT: Duration = Duration::from_millis(20);
/// Size of the rig's frames.
pub const SIZE: (u32, u32) = (64, 48);

/// Answer of the source before the element to a LATENCY query.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    Live {
        min: gst::ClockTime,
        max: Option<gst::ClockTime>,
    },
    File,
    Silent,
}

impl Source {
    pub const LIVE: Self = Self::Live {
        min: gst::ClockTime::ZERO,
        max: None,
    };
}

/// Something that has come out of the element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Frame(u64),
    Event(gst::EventType),
    Query(gst::QueryType),
}

#[derive(Default)]
struct Sink {
    seen: VecDeque<Seen>,
    buffers: Vec<gst::Buffer>,
    caps: Vec<gst::Caps>,
    blocked: bool,
    flushing: bool,
    answer: Option<gst::FlowError>,
}

type SharedSink = Arc<(Mutex<Sink>, Condvar)>;

/// The element between two pads of the test.
pub struct Rig {
    pub element: gst::Element,
    pub control: Arc<Control>,
    pub bus: gst::Bus,
    source: Arc<Mutex<Source>>,
    latency_queries: Arc<AtomicUsize>,
    /// Types of the events that came from downstream to the source.
    upstream_events: Arc<Mutex<Vec<gst::EventType>>>,
    src: gst::Pad,
    sinkpad: gst::Pad,
    sink: SharedSink,
    _folder: Folder,
}

impl Rig {
    /// `detect engine=stub` with these further properties, as gst-launch writes them, and a live source. Playing, with
    /// the first events sent; its engine's gate is open.
    pub fn new(properties: &str) -> Self {
        Self::with_source(properties, Source::LIVE)
    }

    pub fn with_source(properties: &str, source: Source) -> Self {
        let rig = Self::stopped(properties, source);
        rig.element
            .set_state(gst::State::Playing)
            .expect("the element plays");
        rig.begin();
        rig
    }

    /// Like `new`, but in NULL.
    pub fn stopped(properties: &str, source: Source) -> Self {
        Self::of_model("yolov8_micro.onnx", properties, source)
    }

    /// Like `stopped`, with one of the micro models.
    pub fn of_model(name: &str, properties: &str, source: Source) -> Self {
        init();
        let folder = Folder::new();
        let model = folder.path().join("micro.onnx");
        std::fs::copy(micro_model(name), &model).expect("the micro model is there");
        let control = Control::for_model(Some(&model));
        let launch = format!("detect engine=stub model={} {properties}", model.display());
        let element = gst::parse::launch(&launch).expect("the properties are right");
        let (bus, source) = (gst::Bus::new(), Arc::new(Mutex::new(source)));
        element.set_bus(Some(&bus));
        let clock = gst::SystemClock::obtain();
        element.set_base_time(clock.time());
        element.set_clock(Some(&clock)).expect("it takes a clock");
        let latency_queries = Arc::new(AtomicUsize::new(0));
        let upstream_events = Arc::default();
        let (sinkpad, sink) = sink_pad();
        let rig = Self {
            src: source_pad(&source, &latency_queries, &upstream_events),
            element,
            control,
            bus,
            source,
            latency_queries,
            upstream_events,
            sinkpad,
            sink,
            _folder: folder,
        };
        let pad = |name| rig.element.static_pad(name).expect("an always pad");
        rig.src.link(&pad("sink")).expect("pads fit");
        pad("src").link(&rig.sinkpad).expect("pads fit");
        for pad in [&rig.src, &rig.sinkpad] {
            pad.set_active(true).expect("a pad without a parent");
        }
        rig
    }

    /// Sends stream-start, caps and segment.
    pub fn begin(&self) {
        self.event(gst::event::StreamStart::new("rig"));
        self.event(caps_event(SIZE));
        self.segment();
    }

    pub fn segment(&self) {
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        self.event(gst::event::Segment::new(&segment));
    }

    /// Flushes, and begins a new segment.
    pub fn flush(&self) {
        self.event(gst::event::FlushStart::new());
        self.flush_stop();
    }

    pub fn flush_stop(&self) {
        self.event(gst::event::FlushStop::new(true));
        self.segment();
    }

    pub fn set_source(&self, source: Source) {
        *self.source.lock().unwrap() = source;
    }

    /// How often the source has been asked for its latency.
    pub fn latency_queries(&self) -> usize {
        self.latency_queries.load(Ordering::SeqCst)
    }

    /// For pushes from another thread, and of other things than frames.
    pub fn source_pad(&self) -> gst::Pad {
        self.src.clone()
    }

    pub fn event(&self, event: gst::Event) -> bool {
        self.src.push_event(event)
    }

    /// Sends frame `number` (its offset and, times [`FRAME`], its timestamp).
    pub fn push(&self, number: u64) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.src.push(frame(number, SIZE))
    }

    pub fn push_buffer(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.src.push(buffer)
    }

    pub fn push_sized(
        &self,
        number: u64,
        size: (u32, u32),
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.src.push(frame(number, size))
    }

    /// Sends frames from a thread of its own: for calls that shall wait.
    pub fn push_from_thread(
        &self,
        numbers: impl IntoIterator<Item = u64> + Send + 'static,
    ) -> std::thread::JoinHandle<Result<gst::FlowSuccess, gst::FlowError>> {
        let src = self.src.clone();
        std::thread::spawn(move || {
            let mut last = Ok(gst::FlowSuccess::Ok);
            for number in numbers {
                last = src.push(frame(number, SIZE));
                last?;
            }
            last
        })
    }

    pub fn eos_from_thread(&self) -> std::thread::JoinHandle<bool> {
        let src = self.src.clone();
        std::thread::spawn(move || src.push_event(gst::event::Eos::new()))
    }

    /// A serialized query of a kind that the rig's sink answers.
    pub fn query(&self, query: &mut gst::QueryRef) -> bool {
        self.src.peer_query(query)
    }

    /// Asks the element for its latency, as a sink does.
    pub fn latency(&self) -> Option<(bool, gst::ClockTime, Option<gst::ClockTime>)> {
        let mut query = gst::query::Latency::new();
        self.sinkpad.peer_query(&mut query).then(|| query.result())
    }

    /// An event from downstream.
    pub fn upstream_event(&self, event: gst::Event) -> bool {
        self.sinkpad.push_event(event)
    }

    /// Events that have come to the source from downstream.
    pub fn upstream_events(&self) -> Vec<gst::EventType> {
        self.upstream_events.lock().unwrap().clone()
    }

    /// From now on the sink keeps each frame until [`Self::unblock_sink`].
    pub fn block_sink(&self) {
        self.sink.0.lock().unwrap().blocked = true;
    }

    pub fn unblock_sink(&self) {
        // Also while a test that has failed unwinds.
        let sink = self.sink.0.lock();
        sink.unwrap_or_else(PoisonError::into_inner).blocked = false;
        self.sink.1.notify_all();
    }

    /// Sets what the sink answers to frames from now on.
    pub fn sink_answers(&self, answer: Option<gst::FlowError>) {
        self.sink.0.lock().unwrap().answer = answer;
    }

    /// Everything that has come out so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.sink.0.lock().unwrap().seen.iter().cloned().collect()
    }

    /// The numbers of all frames that have come out.
    pub fn numbers(&self) -> Vec<u64> {
        numbers(&self.seen())
    }

    pub fn buffers(&self) -> Vec<gst::Buffer> {
        self.sink.0.lock().unwrap().buffers.clone()
    }

    /// Waits until so many frames have come out; returns the numbers of all.
    pub fn wait_for_frames(&self, count: usize) -> Vec<u64> {
        numbers(&self.wait_for(|seen| numbers(seen).len() >= count))
    }

    pub fn wait_for_eos(&self) -> Vec<Seen> {
        self.wait_for(|seen| seen.contains(&Seen::Event(gst::EventType::Eos)))
    }

    pub fn wait_for(&self, done: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let (sink, changed) = &*self.sink;
        let guard = sink.lock().unwrap();
        let (mut guard, timeout) = changed
            .wait_timeout_while(guard, PATIENCE, |s| !done(s.seen.make_contiguous()))
            .unwrap();
        assert!(!timeout.timed_out(), "only {:?} came out", guard.seen);
        guard.seen.make_contiguous().to_vec()
    }

    pub fn stats(&self) -> DetectStats {
        let structure: gst::Structure = self.element.property("stats");
        assert_eq!(structure.name(), STATS_PROPERTY);
        DetectStats::from_structure(&structure).expect("the property has the fields")
    }

    /// Waits until statistics say so.
    pub fn wait_for_stats(&self, done: impl Fn(&DetectStats) -> bool) -> DetectStats {
        let end = Instant::now() + PATIENCE;
        loop {
            let stats = self.stats();
            if done(&stats) {
                return stats;
            }
            assert!(Instant::now() < end, "statistics stay at {stats:?}");
            std::thread::yield_now();
        }
    }

    /// Whether a worker looks at the frame that was pushed last in `mode=passthrough`: waits until its inference has begun,
    /// for as long as a worker has it. `begun` is how many inferences had begun before the frame was pushed. A worker
    /// that has just ended an analysis needs a moment until it takes another frame, so this waits a moment too where the
    /// answer is no.
    pub fn is_looked_at(&self, begun: usize) -> bool {
        let (moment, end) = (Instant::now() + MOMENT, Instant::now() + PATIENCE);
        loop {
            // In this order: a worker lets go of a frame before its inference begins.
            let lent = self.last_is_lent();
            if self.control.started() > begun {
                return true;
            }
            let now = Instant::now();
            assert!(now < end, "a worker keeps the frame");
            if now > moment && !lent {
                return false;
            }
            std::thread::yield_now();
        }
    }

    /// Whether somebody besides the sink has the last frame, or its pixels.
    fn last_is_lent(&self) -> bool {
        let sink = self.sink.0.lock().unwrap();
        let last = sink.buffers.last().expect("a frame has come out");
        // SAFETY: buffer and memory are alive while the sink has them; the counts are only read.
        let owners = unsafe {
            let memory = last.peek_memory(0).as_ptr();
            [
                (*last.as_ptr()).mini_object.refcount,
                (*memory).mini_object.refcount,
            ]
        };
        owners.iter().any(|owners| *owners > 1)
    }

    /// The structures of all element messages of this name that are on the bus; other messages are thrown away.
    pub fn messages(&self, name: &str) -> Vec<gst::Structure> {
        let taken = std::iter::from_fn(|| self.bus.pop());
        taken
            .filter_map(|m| {
                m.structure()
                    .filter(|s| s.name() == name)
                    .map(|s| s.to_owned())
            })
            .collect()
    }

    /// Waits for a message of these types.
    pub fn wait_for_message(&self, types: &[gst::MessageType]) -> gst::Message {
        let patience = gst::ClockTime::try_from(PATIENCE).unwrap();
        self.bus
            .timed_pop_filtered(patience, types)
            .unwrap_or_else(|| panic!("no message of {types:?} came"))
    }

    /// Waits until a model is announced; returns its path.
    pub fn wait_for_model(&self) -> String {
        loop {
            let types = [gst::MessageType::Element, gst::MessageType::Error];
            let message = self.wait_for_message(&types);
            if let gst::MessageView::Error(err) = message.view() {
                panic!("{err:?}");
            }
            let model = message.structure().filter(|s| s.name() == MODEL);
            if let Some(model) = model.and_then(DetectModel::from_structure) {
                return model.path;
            }
        }
    }

    /// Fails if an error is on the bus.
    pub fn assert_no_error(&self) {
        if let Some(message) = self.bus.pop_filtered(&[gst::MessageType::Error]) {
            panic!("unexpected {message:?}");
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.control.open();
        self.unblock_sink();
        let _ = self.element.set_state(gst::State::Null);
        for pad in [&self.src, &self.sinkpad] {
            let _ = pad.set_active(false);
        }
    }
}

/// Like [`one_dog`], without the dog.
pub fn nothing() -> Vec<Tensor> {
    vec![Tensor::f32("output0", [1, 6, 21], vec![0.0; 6 * 21])]
}

/// Outputs of the micro model (`[1, 4 + 2, 21]`) with one dog of 0.75 at the centre of the 32x32 input, 8 wide, 16 high.
pub fn one_dog() -> Vec<Tensor> {
    let mut data = vec![0.0; 6 * 21];
    for (row, value) in [(0, 16.0), (1, 16.0), (2, 8.0), (3, 16.0), (5, 0.75)] {
        data[row * 21 + 7] = value;
    }
    vec![Tensor::f32("output0", [1, 6, 21], data)]
}

pub fn numbers(seen: &[Seen]) -> Vec<u64> {
    let number = |s: &Seen| match s {
        Seen::Frame(number) => Some(*number),
        _ => None,
    };
    seen.iter().filter_map(number).collect()
}

pub fn video_info(size: (u32, u32)) -> gst_video::VideoInfo {
    gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, size.0, size.1)
        .fps(25)
        .build()
        .expect("a usual format")
}

pub fn caps_event(size: (u32, u32)) -> gst::Event {
    let caps = video_info(size).to_caps().expect("a usual format");
    gst::event::Caps::new(&caps)
}

/// A grey frame with its number as offset and in its timestamp.
pub fn frame(number: u64, size: (u32, u32)) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(vec![128u8; video_info(size).size()]);
    let buffer_ref = buffer.get_mut().expect("a new buffer");
    buffer_ref.set_offset(number);
    buffer_ref.set_pts(FRAME * number);
    buffer_ref.set_duration(FRAME);
    buffer
}

/// A pad that takes any caps, also after it has had some.
fn pad(direction: gst::PadDirection) -> gst::PadBuilder<gst::Pad> {
    let any = gst::Caps::new_any();
    let template = gst::PadTemplate::new("rig", direction, gst::PadPresence::Always, &any);
    gst::Pad::builder_from_template(&template.expect("a name and caps make a template"))
}

/// A source pad that answers LATENCY queries as `source` does.
pub fn source_pad_for(source: Source) -> gst::Pad {
    source_pad(
        &Arc::new(Mutex::new(source)),
        &Arc::default(),
        &Arc::default(),
    )
}

fn source_pad(
    source: &Arc<Mutex<Source>>,
    asked: &Arc<AtomicUsize>,
    events: &Arc<Mutex<Vec<gst::EventType>>>,
) -> gst::Pad {
    let (source, asked, events) = (source.clone(), asked.clone(), events.clone());
    pad(gst::PadDirection::Src)
        .query_function(move |pad, parent, query| match query.view_mut() {
            gst::QueryViewMut::Latency(latency) => {
                asked.fetch_add(1, Ordering::SeqCst);
                match *source.lock().unwrap() {
                    Source::Live { min, max } => latency.set(true, min, max),
                    Source::File => latency.set(false, gst::ClockTime::ZERO, gst::ClockTime::NONE),
                    Source::Silent => return false,
                }
                true
            }
            _ => gst::Pad::query_default(pad, parent, query),
        })
        .event_function(move |_, _, event| {
            events.lock().unwrap().push(event.type_());
            true
        })
        .build()
}

fn sink_pad() -> (gst::Pad, SharedSink) {
    let sink = SharedSink::default();
    let (chain, events, queries) = (sink.clone(), sink.clone(), sink.clone());
    let pad = pad(gst::PadDirection::Sink)
        .chain_function(move |_, _, buffer| {
            let (sink, changed) = &*chain;
            let mut guard = sink.lock().unwrap();
            guard.seen.push_back(Seen::Frame(buffer.offset()));
            guard.buffers.push(buffer);
            changed.notify_all();
            guard = changed
                .wait_while(guard, |s| s.blocked && !s.flushing)
                .unwrap();
            if guard.flushing {
                return Err(gst::FlowError::Flushing);
            }
            guard.answer.map_or(Ok(gst::FlowSuccess::Ok), Err)
        })
        .event_function(move |_, _, event| {
            let (sink, changed) = &*events;
            let mut guard = sink.lock().unwrap();
            match event.view() {
                gst::EventView::FlushStart(_) => guard.flushing = true,
                gst::EventView::FlushStop(_) => guard.flushing = false,
                gst::EventView::Caps(caps) => guard.caps.push(caps.caps_owned()),
                _ => {}
            }
            guard.seen.push_back(Seen::Event(event.type_()));
            changed.notify_all();
            true
        })
        .query_function(move |pad, parent, query| {
            if !query.is_serialized() {
                return gst::Pad::query_default(pad, parent, query);
            }
            let (sink, changed) = &*queries;
            let mut guard = sink.lock().unwrap();
            guard.seen.push_back(Seen::Query(query.type_()));
            changed.notify_all();
            true
        })
        .build();
    (pad, sink)
}
