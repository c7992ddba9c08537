//! [`measure`]: runs one pipeline with `detect` in it, and returns figures of its frames.
//!
//! Probes at both pads of `detect` see the frames; its messages, taken as they are posted, say what was analysed. The
//! measurement begins after the warm-up and ends with the time or the stream. `session.rs` follows a pipeline to its end.

mod session;

use crate::failure::Failure;
use crate::figures::Recording;
use crate::interrupt::Interrupt;
use crate::pipeline::Pipeline;
use crate::report::Run;
use crate::settings::Settings;
use gst::prelude::*;
use gstdetect::bridge::message::{self, DetectModel, DetectStats};
use parking_lot::Mutex;
use session::Session;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

const DETECT: &str = "bench-detect";
const SINK: &str = "bench-sink";
/// Warm-up of a live source, whose first frames are slower and later than all others.
const LIVE_WARM_UP: Duration = Duration::from_secs(2);
const LIVE_TIME: Duration = Duration::from_secs(30);

/// A pipeline to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    pub name: String,
    /// Elements as gst-launch-1.0 takes them.
    pub source: String,
    pub source_name: String,
    /// Elements behind `detect`; `None` = a sink that shows nothing.
    pub sink: Option<String>,
    pub model: Option<PathBuf>,
    pub settings: Settings,
    /// `None` = 2 s for a live source, none for another.
    pub warm_up: Option<Duration>,
    /// `None` = 30 s for a live source, the whole stream for another.
    pub time: Option<Duration>,
}

/// Reported while a pipeline runs.
pub enum Progress<'a> {
    Model(&'a DetectModel),
    Running {
        /// Share of the whole; `None` where the end is not known.
        done: Option<f64>,
        warming_up: bool,
        stats: &'a DetectStats,
    },
}

/// Runs a pipeline to its end, and returns its figures; `watch` is called while it runs.
///
/// # Errors
/// A [`Failure`] of arguments, model or pipeline; [`Failure::Interrupted`] only if nothing was measured yet.
pub fn measure(
    plan: &Plan,
    interrupt: Interrupt,
    watch: &mut dyn FnMut(Progress),
) -> Result<Run, Failure> {
    let (pipeline, detect) = build(plan)?;
    let origin = Instant::now();
    let recording = Arc::new(Mutex::new(Recording::default()));
    observe(&detect, origin, &recording);
    record_messages(&pipeline, origin, &recording);
    let live = start(&pipeline)?;
    let warm_up = if live { LIVE_WARM_UP } else { Duration::ZERO };
    let mut session = Session::new(
        &pipeline,
        &detect,
        recording,
        origin,
        plan.warm_up.unwrap_or(warm_up),
        plan.time.or(live.then_some(LIVE_TIME)),
    );
    session.follow(interrupt, watch)?;
    if interrupt.is_asked() && !session.has_begun() {
        return Err(Failure::Interrupted);
    }
    session.finish(plan, live)
}

fn build(plan: &Plan) -> Result<(Pipeline, gst::Element), Failure> {
    let sink = match &plan.sink {
        Some(sink) => sink.clone(),
        None => format!("fakesink name={SINK} sync=false"),
    };
    let text = format!("{} ! detect name={DETECT} ! {sink}", plan.source);
    let pipeline = Pipeline::launch(&text)?;
    let detect = pipeline
        .by_name(DETECT)
        .ok_or_else(|| Failure::Usage(format!("another element is named {DETECT}; rename it")))?;
    if let Some(model) = &plan.model {
        detect.set_property("model", model);
    }
    plan.settings.apply(&detect)?;
    detect.set_property("post-detections", true);
    Ok((pipeline, detect))
}

/// Called for each frame that passes a pad.
type Note = Box<dyn Fn(&gst::Pad, &gst::Buffer) + Send + Sync>;

/// Records each frame at both pads.
fn observe(detect: &gst::Element, origin: Instant, recording: &Arc<Mutex<Recording>>) {
    let probe = |pad: &str, note: Note| {
        if let Some(pad) = detect.static_pad(pad) {
            pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
                if let Some(buffer) = info.buffer() {
                    note(pad, buffer);
                }
                gst::PadProbeReturn::Ok
            });
        }
    };
    let seen = recording.clone();
    probe(
        "sink",
        Box::new(move |_, buffer| {
            if let Some(timestamp) = buffer.pts() {
                seen.lock().arrived(origin.elapsed(), timestamp.nseconds());
            }
        }),
    );
    let (seen, element) = (recording.clone(), detect.downgrade());
    probe(
        "src",
        Box::new(move |pad, buffer| {
            let age = element
                .upgrade()
                .and_then(|detect| age(&detect, pad, buffer));
            let timestamp = buffer.pts().map(gst::ClockTime::nseconds);
            seen.lock().left(origin.elapsed(), timestamp, age);
        }),
    );
}

/// Returns the clock's running time minus the frame's own.
fn age(detect: &gst::Element, pad: &gst::Pad, buffer: &gst::Buffer) -> Option<Duration> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
    let own = segment.to_running_time(buffer.pts()?)?;
    let now = detect.current_running_time()?;
    Some(now.saturating_sub(own).into())
}

/// Records the messages of every frame in the thread that posts them, and keeps them off the bus.
fn record_messages(pipeline: &gst::Pipeline, origin: Instant, recording: &Arc<Mutex<Recording>>) {
    let Some(bus) = pipeline.bus() else { return };
    let recording = recording.clone();
    bus.set_sync_handler(move |_, posted| {
        let at = origin.elapsed();
        let Some(structure) = posted.structure() else {
            return gst::BusSyncReply::Pass;
        };
        if let Some(times) = message::stage_times(structure) {
            recording.lock().analysed(at, times);
            return gst::BusSyncReply::Drop;
        }
        if structure.name() == message::STATS
            && let Some(stats) = DetectStats::from_structure(structure)
        {
            recording.lock().stats_posted(at, stats);
        }
        gst::BusSyncReply::Pass
    });
}

/// Sets the pipeline to PLAYING, and returns whether the source is live. Then our own sink keeps time, as a window would.
fn start(pipeline: &Pipeline) -> Result<bool, Failure> {
    let failed = |_| {
        let failure = pipeline.failure(true);
        failure.unwrap_or_else(|| {
            Failure::pipeline("the pipeline does not start, and no element says why")
        })
    };
    let paused = pipeline.set_state(gst::State::Paused).map_err(failed)?;
    let live = paused == gst::StateChangeSuccess::NoPreroll;
    if let Some(sink) = pipeline.by_name(SINK) {
        sink.set_property("sync", live);
        if live {
            sink.set_property("qos", true);
            sink.set_property("max-lateness", 20_000_000_i64);
        }
    }
    pipeline.set_state(gst::State::Playing).map_err(failed)?;
    Ok(live)
}
