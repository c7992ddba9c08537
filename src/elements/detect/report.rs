//! Posts on the bus: errors and warnings, element messages, statistics, LATENCY and QoS. No lock is held meanwhile.

use super::CAT;
use super::failure::Failure;
use super::imp::Detect;
use super::lock::assert_none_held;
use super::state::arrival::{Dropped, Queued};
use super::state::departure::Due;
use super::state::frame::DropReason;
use super::watch;
use crate::bridge::message::{DetectModel, DetectStats, STATS};
use crate::bridge::meta::Figures;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::any::Any;
use std::time::Duration;

impl Detect {
    pub(super) fn post_error(&self, failure: &Failure) {
        assert_none_held();
        gst::error!(CAT, imp = self, "{}", failure.to_log());
        let obj = self.obj();
        let message = gst::message::Error::builder_from_error(failure.to_error())
            .debug(failure.detail())
            .src(&*obj)
            .build();
        let _ = obj.post_message(message);
    }

    pub(super) fn post_warning(&self, failure: &Failure) {
        assert_none_held();
        gst::warning!(CAT, imp = self, "{}", failure.to_log());
        let obj = self.obj();
        let message = gst::message::Warning::builder_from_error(failure.to_error())
            .debug(failure.detail())
            .src(&*obj)
            .build();
        let _ = obj.post_message(message);
    }

    /// Posts that our code or an engine has panicked while `doing` something.
    pub(super) fn post_panic(&self, doing: &str, panic: &(dyn Any + Send)) {
        self.post_error(&Failure::panic(doing, panic));
    }

    /// Posts that frames cannot go on, unless `reason` is no error, or an analysis has failed, which was posted before.
    pub(super) fn post_flow_error(&self, reason: gst::FlowError) {
        let posted = self.state.lock().has_failed();
        if !posted && !matches!(reason, gst::FlowError::Flushing | gst::FlowError::Eos) {
            gst::element_imp_error!(
                self,
                gst::StreamError::Failed,
                ("Internal data flow error."),
                ["streaming stopped, reason {reason} ({reason:?})"]
            );
        }
    }

    /// Posts an element message. Nobody may be listening, and that is no error.
    pub(super) fn post(&self, structure: gst::Structure) {
        assert_none_held();
        let obj = self.obj();
        let _ = obj.post_message(gst::message::Element::builder(structure).src(&*obj).build());
    }

    /// Returns what is known of the model, with the thresholds in force now.
    pub(super) fn model_info(&self) -> Option<DetectModel> {
        let settings = self.settings.lock().clone();
        let slot = self.slot.lock();
        slot.loaded().map(|loaded| loaded.report(&settings))
    }

    /// Returns the statistics of now.
    pub(super) fn stats(&self) -> DetectStats {
        let settings = self.settings.lock().clone();
        let thresholds = {
            let slot = self.slot.lock();
            let own = slot.loaded();
            let (score, iou) = own.map_or((0.0, 0.0), |l| (l.score_threshold, l.iou_threshold));
            settings.thresholds(score, iou)
        };
        let running_time = self.obj().current_running_time();
        let machine = self.machine.lock().as_mut().map(|m| m.sample(self.now()));
        let figures = self.state.lock().figures(self.now());
        DetectStats {
            snapshot: figures.snapshot,
            machine: machine.unwrap_or_default(),
            mode: figures.mode.into(),
            score_threshold: thresholds.score,
            iou_threshold: thresholds.iou,
            latency: figures.delay,
            stuck_loads: watch::stuck() as u64,
            running_time,
        }
    }

    /// Returns the figures that an element downstream may ask for.
    pub(super) fn figures(&self) -> Figures {
        let settings = self.settings.lock().clone();
        let mut labels = {
            let slot = self.slot.lock();
            let labels = slot.loaded().map(|loaded| loaded.report.labels.clone());
            labels.unwrap_or_default()
        };
        if let Ok(Some(kept)) = settings.selection(&labels) {
            let kept = kept.iter(0.0).map(|(class, _)| class as usize);
            labels = kept
                .filter_map(|class| labels.get(class).cloned())
                .collect();
        }
        let figures = self.state.lock().figures(self.now());
        let snapshot = figures.snapshot;
        let clock_time = |time: Duration| gst::ClockTime::try_from(time).ok();
        Figures {
            fps: snapshot.fps,
            model_time: snapshot.model_mean.and_then(clock_time),
            age: snapshot.age.and_then(|age| clock_time(age.p50)),
            mode: figures.mode.into(),
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

    /// Posts the messages that are due.
    pub(super) fn post_due(&self, due: &Due) {
        if let Some(delay) = due.latency {
            self.post_latency(delay);
        }
        if let Some(taken) = due.overdue {
            self.warn_of_overdue(taken);
        }
        if due.stats {
            self.post_stats();
        }
    }

    /// Posts that the delay of a frame has changed, so that the pipeline asks for it.
    pub(super) fn post_latency(&self, delay: Duration) {
        assert_none_held();
        gst::info!(CAT, imp = self, "The delay of a frame is now {delay:?}");
        let obj = self.obj();
        let _ = obj.post_message(gst::message::Latency::builder().src(&*obj).build());
    }

    /// Warns that a frame stayed longer than the user has declared: a sink will have dropped it.
    pub(super) fn warn_of_delay(&self, delay: Duration) {
        let declared = self.settings.lock().latency().unwrap_or_default();
        gst::element_imp_warning!(
            self,
            gst::StreamError::Failed,
            ("A frame took {delay:.1?}, but the property latency declares {declared:.1?}: sinks may drop frames"),
            ["latency=0 declares the measured delay"]
        );
    }

    /// Warns that an analysis does not end: a user who sees no frames should know why.
    fn warn_of_overdue(&self, taken: Duration) {
        gst::element_imp_warning!(
            self,
            gst::StreamError::Failed,
            ("The analysis of a frame has taken {taken:.1?} and is not done; until it is, frames wait or are dropped"),
            ["a smaller model or input-size, or another engine, takes less time"]
        );
    }

    /// Reports what came of putting a frame in the line.
    pub(super) fn report_queued(&self, queued: &Queued) {
        if let Some(dropped) = &queued.dropped {
            self.report_drop(dropped);
        }
        if let Some(delay) = queued.exceeded {
            self.warn_of_delay(delay);
        }
    }

    /// Reports a dropped frame: always in the log, on the bus at most once a second in sum.
    fn report_drop(&self, dropped: &Dropped) {
        assert_none_held();
        let frame = &dropped.frame;
        let pts = frame.buffer.pts();
        let why = match dropped.reason {
            DropReason::Busy => "for a newer one",
            DropReason::Interval => "by inference-interval or max-rate",
            DropReason::Late => "as it is late already",
        };
        gst::debug!(CAT, imp = self, "{}: dropped {why}", pts.display());
        let Some((live, counters)) = dropped.qos else {
            return;
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
