//! What goes to the bus: messages and statistics.

use super::imp::{CAT, Detect};
use super::settings::Settings;
use super::state::{Frame, Upstream};
use crate::detector::Detector;
use crate::message::{DetectModel, DetectStats, STATS};
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::time::Duration;

/// Two QoS messages about dropped frames are at least this far apart.
const QOS_INTERVAL: Duration = Duration::from_secs(1);

/// What is told of a model that is ready.
pub(super) fn model_report(
    settings: &Settings,
    detector: &Detector,
    running_time: Option<gst::ClockTime>,
) -> DetectModel {
    let model = detector.model();
    let thresholds = settings.thresholds(model.score_threshold, model.iou_threshold);
    let in_words = |d: &crate::model::Decision| format!("{}: {} ({})", d.topic, d.value, d.reason);
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
        decisions: model.decisions.iter().map(in_words).collect(),
        guessed: model
            .decisions
            .iter()
            .filter(|d| d.guessed)
            .map(in_words)
            .collect(),
        rewritten: model.rewrites.clone(),
        score_threshold: thresholds.score,
        iou_threshold: thresholds.iou,
        running_time,
    }
}

impl Detect {
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
        let state = self.state.lock();
        let interval = settings.stats_interval().unwrap_or_default();
        DetectStats {
            snapshot: state.recorder.snapshot(self.now(), interval),
            mode: state.mode.nick().into(),
            score_threshold: thresholds.score,
            iou_threshold: thresholds.iou,
            latency: state.delay.get(),
            running_time,
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

    /// Reports a dropped frame: always in the log, on the bus at most once a second in sum.
    pub(super) fn report_drop(&self, frame: &Frame) {
        let pts = frame.buffer.pts();
        gst::debug!(
            CAT,
            imp = self,
            "{}: dropped for a newer one",
            pts.display()
        );
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
