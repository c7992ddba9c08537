//! What goes to the bus: messages and statistics.

use super::imp::{CAT, Detect};
use super::settings::Settings;
use super::state::{Drop, Frame, Upstream};
use crate::bridge::message::{Decision, DetectModel, DetectStats, InForce, KeptClass, STATS};
use crate::bridge::meta::Figures;
use crate::detector::Detector;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::time::Duration;

/// Two QoS messages about dropped frames are at least this far apart.
const QOS_INTERVAL: Duration = Duration::from_secs(1);

/// What is told of a model that is ready; the thresholds come with [`Detect::model_info`].
pub(super) fn model_report(
    settings: &Settings,
    detector: &Detector,
    running_time: Option<gst::ClockTime>,
) -> DetectModel {
    let model = detector.model();
    DetectModel {
        path: settings.model_name(),
        family: model.family.to_string(),
        engine: detector.engine_kind().to_string(),
        engine_reason: detector.engine_reason().into(),
        input: (model.input.size.width, model.input.size.height),
        classes: u32::try_from(model.classes).unwrap_or(u32::MAX),
        labels: model.labels.iter().map(|l| l.into_owned()).collect(),
        labels_source: model.labels_source.clone(),
        load_time: detector.load_time(),
        warm_up_time: detector.warm_up_time(),
        decisions: model.decisions.iter().map(told).collect(),
        rewritten: model.rewrites.clone(),
        warnings: model.warnings.clone(),
        in_force: InForce::default(),
        running_time,
    }
}

fn told(decision: &crate::model::Decision) -> Decision {
    Decision {
        topic: decision.topic.into(),
        value: decision.value.clone(),
        reason: decision.reason.clone(),
        guessed: decision.guessed,
    }
}

/// What decides about the boxes of a model with these labels, whose own thresholds are `score` and `iou`.
fn in_force(settings: &Settings, labels: &[String], score: f32, iou: f32) -> InForce {
    let thresholds = settings.thresholds(score, iou);
    // What does not fit the model has been refused, or is of a model to come.
    let selection = settings.selection(labels).ok().flatten();
    let kept = |(number, score_threshold): (u32, f32)| KeptClass {
        number,
        label: labels.get(number as usize).cloned().unwrap_or_default(),
        score_threshold,
    };
    InForce {
        score_threshold: thresholds.score,
        iou_threshold: thresholds.iou,
        max_detections: settings.max_detections,
        class_agnostic_nms: thresholds.class_agnostic,
        min_size: thresholds.min_size,
        kept_classes: selection.map(|s| s.iter(thresholds.score).map(kept).collect()),
    }
}

impl Detect {
    /// What is known of the model, and the thresholds of now.
    pub(super) fn model_info(&self) -> Option<DetectModel> {
        let settings = self.settings.lock().clone();
        let loaded = self.loaded.lock();
        let loaded = loaded.as_ref()?;
        let mut report = loaded.report.clone();
        let (score, iou) = (loaded.score_threshold, loaded.iou_threshold);
        report.in_force = in_force(&settings, &report.labels, score, iou);
        Some(report)
    }

    /// Posts an element message. Nobody may be listening, and that is no error.
    pub(super) fn post(&self, structure: gst::Structure) {
        let obj = self.obj();
        let _ = obj.post_message(gst::message::Element::builder(structure).src(&*obj).build());
    }

    /// Statistics of now.
    pub(super) fn stats(&self) -> DetectStats {
        let settings = self.settings.lock().clone();
        let thresholds = {
            let loaded = self.loaded.lock();
            let own = loaded.as_ref();
            let (score, iou) = own.map_or((0.0, 0.0), |l| (l.score_threshold, l.iou_threshold));
            settings.thresholds(score, iou)
        };
        let running_time = self.obj().current_running_time();
        let machine = self.machine.lock().as_mut().map(|m| m.sample(self.now()));
        let state = self.state.lock();
        let interval = settings.stats_interval().unwrap_or_default();
        DetectStats {
            snapshot: state.recorder.snapshot(self.now(), interval),
            machine: machine.unwrap_or_default(),
            mode: state.mode.nick().into(),
            score_threshold: thresholds.score,
            iou_threshold: thresholds.iou,
            latency: state.delay.get(),
            running_time,
        }
    }

    /// What an element downstream may ask for, of now.
    pub(super) fn figures(&self) -> Figures {
        let settings = self.settings.lock().clone();
        let mut labels = {
            let loaded = self.loaded.lock();
            let labels = loaded.as_ref().map(|l| l.report.labels.clone());
            labels.unwrap_or_default()
        };
        if let Ok(Some(kept)) = settings.selection(&labels) {
            let kept = kept.iter(0.0).map(|(class, _)| class as usize);
            labels = kept
                .filter_map(|class| labels.get(class).cloned())
                .collect();
        }
        let state = self.state.lock();
        let snapshot = state
            .recorder
            .snapshot(self.now(), settings.stats_interval().unwrap_or_default());
        let clock_time = |time: Duration| gst::ClockTime::try_from(time).ok();
        Figures {
            fps: snapshot.fps,
            model_time: snapshot.model_mean.and_then(clock_time),
            age: snapshot.age.and_then(|age| clock_time(age.p50)),
            mode: state.mode.nick().into(),
            active: settings.active,
            labels,
        }
    }

    /// Posts statistics.
    pub(super) fn post_stats(&self) {
        let structure = self.stats().to_structure(STATS);
        gst::debug!(CAT, imp = self, "{structure}");
        self.post(structure);
    }

    /// Tells the pipeline that the delay has changed, if it has and the last message is a second ago.
    pub(super) fn post_latency_if_due(&self) {
        let now = self.now();
        let due = {
            let mut state = self.state.lock();
            {
                let live = state.upstream == Upstream::Live;
                (live && state.delay.take_message(now)).then(|| state.delay.get())
            }
        };
        if let Some(delay) = due {
            gst::info!(CAT, imp = self, "The delay of a frame is now {delay:?}");
            let obj = self.obj();
            let _ = obj.post_message(gst::message::Latency::builder().src(&*obj).build());
        }
    }

    /// A frame has stayed longer than the user has declared: a sink will have thrown it away.
    pub(super) fn warn_of_delay(&self, delay: Duration) {
        let declared = self.settings.lock().latency().unwrap_or_default();
        gst::element_imp_warning!(
            self,
            gst::StreamError::Failed,
            ("A frame took {delay:.1?}, but the property latency declares {declared:.1?}: sinks may drop frames"),
            ["latency=0 declares what is measured"]
        );
    }

    /// An analysis does not end: a user who sees no frames should know why.
    pub(super) fn warn_of_overdue(&self) {
        let now = self.now();
        let overdue = self.state.lock().overdue.take(now);
        if let Some(taken) = overdue {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Failed,
                ("The analysis of a frame has taken {taken:.1?} and is not done; until it is, frames wait or are dropped"),
                ["a smaller model or input-size, or another engine, takes less time"]
            );
        }
    }

    /// Reports a dropped frame: always in the log, on the bus at most once a second in sum.
    pub(super) fn report_drop(&self, frame: &Frame, why: Drop) {
        let pts = frame.buffer.pts();
        let why = match why {
            Drop::Busy => "for a newer one",
            Drop::Interval => "by inference-interval or max-rate",
            Drop::Late => "as it is late already",
        };
        gst::debug!(CAT, imp = self, "{}: dropped {why}", pts.display());
        let now = self.now();
        let (live, counters) = {
            let mut state = self.state.lock();
            if state
                .qos_at
                .is_some_and(|at| now.saturating_sub(at) < QOS_INTERVAL)
            {
                return;
            }
            state.qos_at = Some(now);
            (state.upstream.is_live(), state.recorder.counters())
        };
        let obj = self.obj();
        let message = gst::message::Qos::builder(live)
            .src(&*obj)
            .running_time(frame.running_time())
            .stream_time(frame.stream_time())
            .timestamp(pts)
            .duration(frame.buffer.duration())
            .stats(
                gst::format::Buffers::from_u64(counters.pushed),
                gst::format::Buffers::from_u64(counters.dropped()),
            )
            .build();
        let _ = obj.post_message(message);
    }
}
