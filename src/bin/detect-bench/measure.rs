//! [`measure`]: runs one pipeline with `detect` in it, and tells what happened to its frames.
//!
//! Frames are seen by probes at both pads of `detect`, analyses by its messages, as they are posted. The measurement
//! begins after the warm-up and ends with the time or the stream.

use crate::failure::Failure;
use crate::figures::Recording;
use crate::interrupt::Interrupt;
use crate::machine::Cores;
use crate::pipeline::Pipeline;
use crate::report::{Cpu, Frames, ModelFacts, Run, SinkCounts, Span, Times};
use crate::settings::Settings;
use gst::prelude::*;
use gstdetect::bridge::message::{self, DetectModel, DetectStats};
use gstdetect::flow::stats::Counters;
use gstdetect::host::machine::Machine;
use parking_lot::Mutex;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const DETECT: &str = "bench-detect";
const SINK: &str = "bench-sink";
/// Of a live source, whose first frames are slower and later than all others.
const LIVE_WARM_UP: Duration = Duration::from_secs(2);
const LIVE_TIME: Duration = Duration::from_secs(30);
/// A pipeline that says nothing for so long is stuck.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the bus is left to look at the clock.
const TICK: gst::ClockTime = gst::ClockTime::from_mseconds(50);

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    pub name: String,
    /// As for gst-launch-1.0.
    pub source: String,
    pub source_name: String,
    /// Behind `detect`; `None` = a sink that shows nothing.
    pub sink: Option<String>,
    pub model: Option<PathBuf>,
    pub settings: Settings,
    /// `None` = as fits the source.
    pub warm_up: Option<Duration>,
    pub time: Option<Duration>,
}

/// What is told while it runs.
pub enum Progress<'a> {
    Model(&'a DetectModel),
    /// Of the whole; `None` where nobody knows when it ends.
    Running {
        done: Option<f64>,
        warming_up: bool,
        stats: &'a DetectStats,
    },
}

/// Runs a pipeline to its end, and tells figures.
///
/// # Errors
/// [`Failure`], of arguments, model or pipeline; [`Failure::Interrupted`] only where nothing was measured yet.
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
    let mut session = Session {
        warm_up: plan
            .warm_up
            .unwrap_or(if live { LIVE_WARM_UP } else { Duration::ZERO }),
        time: plan.time.or(live.then_some(LIVE_TIME)),
        pipeline: &pipeline,
        detect: &detect,
        recording,
        origin,
        begun: None,
        model: None,
        warnings: Vec::new(),
    };
    session.follow(interrupt, watch)?;
    if interrupt.is_asked() && session.begun.is_none() {
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
        .ok_or_else(|| Failure::Usage(format!("another element is named {DETECT}")))?;
    if let Some(model) = &plan.model {
        detect.set_property("model", model);
    }
    plan.settings.apply(&detect)?;
    detect.set_property("post-detections", true);
    Ok((pipeline, detect))
}

/// What is done with a frame at a pad.
type Note = Box<dyn Fn(&gst::Pad, &gst::Buffer) + Send + Sync>;

/// Notes each frame at both pads.
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

/// Clock time less the frame's own running time.
fn age(detect: &gst::Element, pad: &gst::Pad, buffer: &gst::Buffer) -> Option<Duration> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
    let own = segment.to_running_time(buffer.pts()?)?;
    let now = detect.current_running_time()?;
    Some(now.saturating_sub(own).into())
}

/// Takes from the bus what comes for every frame, in the thread that posts it.
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
            recording.lock().told(at, stats);
        }
        gst::BusSyncReply::Pass
    });
}

/// To PLAYING; true if the source is live. A sink of ours then keeps time, as a window would.
fn start(pipeline: &Pipeline) -> Result<bool, Failure> {
    let failed = |_| {
        let failure = pipeline.failure(true);
        failure.unwrap_or_else(|| {
            Failure::pipeline("the pipeline does not start, and does not say why")
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

/// From the first frame that counts.
struct Begun {
    at: Duration,
    counters: Counters,
    sink: Option<SinkCounts>,
    cores: Cores,
    machine: Machine,
}

struct Session<'a> {
    pipeline: &'a gst::Pipeline,
    detect: &'a gst::Element,
    recording: Arc<Mutex<Recording>>,
    origin: Instant,
    warm_up: Duration,
    time: Option<Duration>,
    begun: Option<Begun>,
    model: Option<DetectModel>,
    warnings: Vec<String>,
}

impl Session<'_> {
    /// Until the time is up, the stream ends, or Ctrl-C is pressed.
    fn follow(
        &mut self,
        interrupt: Interrupt,
        watch: &mut dyn FnMut(Progress),
    ) -> Result<(), Failure> {
        let bus = self
            .pipeline
            .bus()
            .ok_or_else(|| Failure::pipeline("no bus"))?;
        let mut first_frame = None;
        let (mut analysed, mut last_sign) = (0, self.origin.elapsed());
        loop {
            let now = self.origin.elapsed();
            let count = self.recording.lock().frames_analysed();
            if count > analysed {
                (analysed, last_sign) = (count, now);
                first_frame.get_or_insert(now);
            }
            if let (None, Some(first)) = (&self.begun, first_frame)
                && now >= first + self.warm_up
            {
                self.begin();
            }
            if interrupt.is_asked() || self.time_is_up(now) {
                return Ok(());
            }
            if now.saturating_sub(last_sign) > PATIENCE {
                return Err(Failure::pipeline(format!(
                    "no frame was analysed for {PATIENCE:?}"
                )));
            }
            let Some(message) = bus.timed_pop(TICK) else {
                continue;
            };
            if self.handle(&message, watch)? {
                return Ok(());
            }
        }
    }

    fn time_is_up(&self, now: Duration) -> bool {
        match (&self.begun, self.time) {
            (Some(begun), Some(time)) => now >= begun.at + time,
            _ => false,
        }
    }

    /// Whether the stream has ended.
    fn handle(
        &mut self,
        message: &gst::Message,
        watch: &mut dyn FnMut(Progress),
    ) -> Result<bool, Failure> {
        match message.view() {
            gst::MessageView::Eos(_) => return Ok(true),
            gst::MessageView::Error(error) => {
                return Err(Failure::of_message(error, self.model.is_none()));
            }
            gst::MessageView::Warning(warning) => {
                let text = warning.error().to_string();
                if !self.warnings.contains(&text) {
                    self.warnings.push(text);
                }
            }
            gst::MessageView::Latency(_) => {
                let _ = self.pipeline.recalculate_latency();
            }
            gst::MessageView::Element(element) => {
                let structure = element.structure();
                if let Some(model) = structure.and_then(DetectModel::from_structure) {
                    watch(Progress::Model(&model));
                    self.model = Some(model);
                }
                if let Some(stats) = structure.and_then(DetectStats::from_structure) {
                    watch(Progress::Running {
                        done: self.done(),
                        warming_up: self.begun.is_none(),
                        stats: &stats,
                    });
                }
            }
            _ => {}
        }
        Ok(false)
    }

    /// Share of the time, or of the stream.
    fn done(&self) -> Option<f64> {
        if let Some(time) = self.time {
            let begun = self.begun.as_ref()?;
            let passed = self.origin.elapsed().saturating_sub(begun.at);
            return Some(passed.as_secs_f64() / time.as_secs_f64().max(1e-9));
        }
        let duration = self.pipeline.query_duration::<gst::ClockTime>()?;
        let position = self.pipeline.query_position::<gst::ClockTime>()?;
        Some(position.nseconds() as f64 / duration.nseconds().max(1) as f64)
    }

    /// Without a warm-up everything counts that has come already.
    fn begin(&mut self) {
        let now = self.origin.elapsed();
        let all = self.warm_up.is_zero();
        let counters = || self.stats().map(|s| s.snapshot.counters);
        self.begun = Some(Begun {
            at: if all { Duration::ZERO } else { now },
            counters: (!all).then(counters).flatten().unwrap_or_default(),
            sink: sink_counts(self.pipeline).filter(|_| !all),
            cores: Cores::now(),
            machine: Machine::new(Path::new("/"), now),
        });
    }

    fn stats(&self) -> Option<DetectStats> {
        let stats = self.detect.property::<Option<gst::Structure>>("stats")?;
        DetectStats::from_structure(&stats)
    }

    /// Figures of what was measured.
    fn finish(mut self, plan: &Plan, live: bool) -> Result<Run, Failure> {
        if self.begun.is_none()
            && self.warm_up.is_zero()
            && self.recording.lock().frames_analysed() > 0
        {
            self.begin(); // so short a stream that it ended first
        }
        let end = self.origin.elapsed();
        let stats = self.stats().unwrap_or_default();
        let sink = sink_counts(self.pipeline);
        let Some(mut begun) = self.begun.take() else {
            return Err(match self.recording.lock().frames_analysed() {
                0 => Failure::pipeline("the stream ended before a frame was analysed"),
                n => Failure::pipeline(format!(
                    "the stream ended within the warm-up of {:?}, after {n} analysed frames",
                    self.warm_up
                )),
            });
        };
        let cores = Cores::now().busy_since(&begun.cores);
        let busy = begun.machine.sample(end);
        let span = begun.at..end;
        let mut run = self.run(span.clone(), live);
        run.name = plan.name.clone();
        run.source = plan.source_name.clone();
        run.settings = plan.settings.to_map();
        run.mode = stats.mode;
        run.frames = frames_since(&stats.snapshot.counters, &begun.counters);
        run.input_fps =
            run.frames.received as f64 / self.frames_span(&span).as_secs_f64().max(1e-9);
        run.sink = sink.map(|now| {
            let before = begun.sink.unwrap_or_default();
            SinkCounts {
                rendered: now.rendered - before.rendered,
                dropped: now.dropped - before.dropped,
            }
        });
        run.cpu = Cpu {
            process: busy.process_cpu,
            system: busy.system_cpu,
            cores,
        };
        let rss = run.seconds.iter().filter_map(|s| s.memory_bytes);
        run.memory_peak_bytes = rss.chain(busy.rss).max();
        Ok(run)
    }

    /// What the recording tells.
    fn run(&mut self, span: Range<Duration>, live: bool) -> Run {
        let measured = self.frames_span(&span);
        let recording = self.recording.lock();
        let figures = recording.figures(span);
        let seconds = figures.seconds;
        let throttled = seconds.iter().filter_map(|s| s.throttled);
        Run {
            live,
            model: self.model.take().map(ModelFacts::from).unwrap_or_default(),
            warm_up_s: self.warm_up.as_secs_f64(),
            measured_s: measured.as_secs_f64(),
            fps: figures.fps,
            output_fps: figures.output_fps,
            model_time: Times::of(&figures.model),
            inside: Times::of(&figures.inside),
            age: Times::of(&figures.age).filter(|_| live),
            stages: figures.stages,
            temperature_c: Span::of(seconds.iter().filter_map(|s| s.temperature_c)),
            cpu_frequency_hz: Span::of(
                seconds
                    .iter()
                    .filter_map(|s| s.cpu_frequency_hz)
                    .map(|hz| hz as f64),
            ),
            throttled: throttled.reduce(|all, bits| all | bits),
            seconds,
            warnings: std::mem::take(&mut self.warnings),
            ..Run::default()
        }
    }

    /// From the first frame that came in to the end of `span`.
    fn frames_span(&self, span: &Range<Duration>) -> Duration {
        let first = self.recording.lock().first_arrival().unwrap_or_default();
        span.end.saturating_sub(span.start.max(first))
    }
}

fn frames_since(now: &Counters, before: &Counters) -> Frames {
    Frames {
        received: now.received.saturating_sub(before.received),
        analysed: now.analysed.saturating_sub(before.analysed),
        pushed: now.pushed.saturating_sub(before.pushed),
        dropped_busy: now.dropped_busy.saturating_sub(before.dropped_busy),
        dropped_interval: now.dropped_interval.saturating_sub(before.dropped_interval),
        dropped_late: now.dropped_late.saturating_sub(before.dropped_late),
    }
}

/// Of the one sink, where it is one that counts.
fn sink_counts(pipeline: &gst::Pipeline) -> Option<SinkCounts> {
    let sink = pipeline.iterate_sinks().next().ok().flatten()?;
    sink.find_property("stats")?;
    let stats = sink.property_value("stats").get::<gst::Structure>().ok()?;
    Some(SinkCounts {
        rendered: stats.get("rendered").ok()?,
        dropped: stats.get("dropped").ok()?,
    })
}
