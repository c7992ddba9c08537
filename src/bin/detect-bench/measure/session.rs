//! [`Session`]: follows a running pipeline from its warm-up to its end, and makes figures of what happened.

use super::{Plan, Progress};
use crate::failure::Failure;
use crate::figures::Recording;
use crate::interrupt::Interrupt;
use crate::machine::Cores;
use crate::report::{Cpu, Frames, ModelFacts, Run, SinkCounts, Span, Times};
use gst::prelude::*;
use gstdetect::bridge::message::{DetectModel, DetectStats};
use gstdetect::flow::stats::Counters;
use gstdetect::host::machine::Machine;
use parking_lot::Mutex;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A pipeline that analyses no frame for so long is stuck.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait for a message before looking at the clock.
const TICK: gst::ClockTime = gst::ClockTime::from_mseconds(50);

/// State of counters and clocks when the measurement began.
struct Begun {
    at: Duration,
    counters: Counters,
    sink: Option<SinkCounts>,
    cores: Cores,
    machine: Machine,
}

/// A pipeline that runs and is measured.
pub struct Session<'a> {
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

impl<'a> Session<'a> {
    pub fn new(
        pipeline: &'a gst::Pipeline,
        detect: &'a gst::Element,
        recording: Arc<Mutex<Recording>>,
        origin: Instant,
        warm_up: Duration,
        time: Option<Duration>,
    ) -> Self {
        Self {
            pipeline,
            detect,
            recording,
            origin,
            warm_up,
            time,
            begun: None,
            model: None,
            warnings: Vec::new(),
        }
    }

    pub fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Follows the pipeline until the time is up, the stream ends, or Ctrl-C is pressed.
    pub fn follow(
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

    /// Handles a message, and returns whether the stream has ended.
    fn handle(
        &mut self,
        message: &gst::Message,
        watch: &mut dyn FnMut(Progress),
    ) -> Result<bool, Failure> {
        match message.view() {
            gst::MessageView::Eos(_) => return Ok(true),
            gst::MessageView::Error(error) => {
                return Err(Failure::from_message(error, self.model.is_none()));
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

    /// Returns the share of the time, or of the stream, that is over.
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

    /// Begins to measure. Without a warm-up, frames that have come already count too.
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

    /// Returns the figures of what was measured.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] if the stream ended before the measurement began.
    pub fn finish(mut self, plan: &Plan, live: bool) -> Result<Run, Failure> {
        let analysed = self.recording.lock().frames_analysed();
        if self.begun.is_none() && self.warm_up.is_zero() && analysed > 0 {
            self.begin(); // so short a stream that it ended first
        }
        let end = self.origin.elapsed();
        let stats = self.stats().unwrap_or_default();
        let sink = sink_counts(self.pipeline);
        let Some(mut begun) = self.begun.take() else {
            return Err(self.too_short(analysed));
        };
        let cores = Cores::now().busy_since(&begun.cores);
        let busy = begun.machine.sample(end);
        let span = begun.at..end;
        let measured = self.frames_span(&span);
        let frames = frames_since(&stats.snapshot.counters, &begun.counters);
        let before = begun.sink.unwrap_or_default();
        let mut run = Run {
            name: plan.name.clone(),
            source: plan.source_name.clone(),
            settings: plan.settings.to_map(),
            mode: stats.mode,
            input_fps: frames.received as f64 / measured.as_secs_f64().max(1e-9),
            frames,
            sink: sink.map(|now| SinkCounts {
                rendered: now.rendered - before.rendered,
                dropped: now.dropped - before.dropped,
            }),
            cpu: Cpu {
                process: busy.process_cpu,
                system: busy.system_cpu,
                cores,
            },
            ..self.recorded(span, measured, live)
        };
        let memory = run.seconds.iter().filter_map(|s| s.memory_bytes);
        run.memory_peak_bytes = memory.chain(busy.rss).max();
        Ok(run)
    }

    fn too_short(&self, analysed: usize) -> Failure {
        match analysed {
            0 => Failure::pipeline("the stream ended before a frame was analysed"),
            n => Failure::pipeline(format!(
                "the stream ended within the warm-up of {:?}, after {n} analysed frames; give a shorter --warm-up",
                self.warm_up
            )),
        }
    }

    /// Returns the figures that follow from the recording and from the messages.
    fn recorded(&mut self, span: Range<Duration>, measured: Duration, live: bool) -> Run {
        let figures = self.recording.lock().figures(span, live);
        let seconds = figures.seconds;
        let throttled = seconds.iter().filter_map(|s| s.throttled);
        let clocks = seconds.iter().filter_map(|s| s.cpu_frequency_hz);
        Run {
            live,
            model: self.model.take().map(ModelFacts::from).unwrap_or_default(),
            warm_up_s: self.warm_up.as_secs_f64(),
            measured_s: measured.as_secs_f64(),
            fps: figures.fps,
            output_fps: figures.output_fps,
            model_time: Times::from_values(&figures.model),
            inside: Times::from_values(&figures.inside),
            age: Times::from_values(&figures.age),
            stages: figures.stages,
            temperature_c: Span::from_values(seconds.iter().filter_map(|s| s.temperature_c)),
            cpu_frequency_hz: Span::from_values(clocks.map(|hz| hz as f64)),
            throttled: throttled.reduce(|all, bits| all | bits),
            seconds,
            warnings: std::mem::take(&mut self.warnings),
            ..Run::default()
        }
    }

    /// Returns the time from the first frame that came in to the end of `span`.
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

/// Returns the counters of the first sink, if it counts.
fn sink_counts(pipeline: &gst::Pipeline) -> Option<SinkCounts> {
    let sink = pipeline.iterate_sinks().next().ok().flatten()?;
    sink.find_property("stats")?;
    let stats = sink.property_value("stats").get::<gst::Structure>().ok()?;
    Some(SinkCounts {
        rendered: stats.get("rendered").ok()?,
        dropped: stats.get("dropped").ok()?,
    })
}
