//! The threads that infer: each takes the waiting frame, analyses it, puts it back in its place.

use super::failure::Trouble;
use super::imp::{CAT, Detect};
use super::loader::First;
use super::loading;
use super::settings::Settings;
use super::sizes::{Detectors, Fit, Run};
use super::state::boxes::Found;
use super::state::passing::Look;
use super::state::{Frame, State};
use crate::detector::{Analysis, DetectError, Detector, Prepared};
use crate::engine::EngineError;
use crate::flow::mailbox::Ticket;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::Duration;

/// Name of the threads.
pub(super) const WORKER: &str = "detect-worker";

/// What a worker does next.
enum Job {
    Analyse(Ticket, Frame),
    /// Of a frame that goes on meanwhile.
    Look(Look),
    /// Take a detector of the model of this number.
    Take(u64),
}

/// Why an analysis gave nothing.
pub(super) enum Failure {
    /// The frame could not be mapped or read.
    Frame(String),
    Detect(DetectError),
}

impl Failure {
    fn is_panic(&self) -> bool {
        matches!(
            self,
            Self::Detect(DetectError::Engine(EngineError::Panic { .. }))
        )
    }
}

impl Detect {
    /// One for each of `detectors`. The first is the thread that has loaded them.
    pub(super) fn start_workers(
        &self,
        detectors: Vec<Detectors>,
        settings: &Settings,
        first: First,
    ) -> Result<(), Trouble> {
        let processors = settings.processors()?;
        let epoch = self.state.lock().epoch;
        let mut first = Some(first);
        for detectors in detectors {
            let (detect, processors) = (self.ref_counted(), processors.clone());
            let work = move || {
                // It was possible when the model was loaded.
                if let Some(Err(trouble)) = processors.as_ref().map(loading::pin) {
                    detect.post_warning(&trouble);
                }
                detect.work(detectors, epoch);
            };
            let thread = first.take().map_or_else(|| First::start(WORKER), Ok);
            let worker = thread.and_then(|thread| thread.end_with(work));
            let worker = worker.map_err(|err| {
                self.state.lock().epoch += 1;
                self.wake.notify_all();
                let sentence = "Cannot start a thread for inference";
                Trouble::new(gst::ResourceError::Failed, sentence, err.to_string())
            })?;
            self.workers.lock().push(worker);
        }
        Ok(())
    }

    /// Waits for the worker to end, unless it is the worker itself that changes the state.
    pub(super) fn join(&self, worker: JoinHandle<()>) {
        if worker.thread().id() == std::thread::current().id() {
            gst::warning!(
                CAT,
                imp = self,
                "The state is changed from the worker's thread"
            );
            return;
        }
        if worker.join().is_err() {
            gst::error!(CAT, imp = self, "The worker has panicked");
        }
    }

    /// The worker's thread, as long as the element is in its `epoch`.
    fn work(&self, mut detectors: Detectors, epoch: u64) {
        let mut model = 0;
        detectors.classes = self.classes_in_use();
        while let Some(job) = self.next_job(epoch, model) {
            let of = Run { epoch, model };
            match job {
                Job::Analyse(ticket, frame) => {
                    self.guarded(of, || self.process(&mut detectors, of, ticket, frame));
                }
                Job::Look(look) => self.guarded(of, || self.look(&mut detectors, of, look)),
                Job::Take(other) => {
                    model = other;
                    let mut fresh = self.fresh.lock();
                    // Another swap may have come between; its number is seen then.
                    let taken = (fresh.model == other).then(|| fresh.detectors.pop());
                    drop(fresh);
                    if let Some(taken) = taken.flatten() {
                        detectors = taken;
                        detectors.classes = self.classes_in_use();
                    }
                }
            }
        }
    }

    /// Watches over the analysis of a frame: it is told of if it does not end, and a panic in it is an error of the element.
    fn guarded(&self, of: Run, analyse: impl FnOnce()) {
        let number = self.state.lock().overdue.begin(self.now());
        self.wake.notify_all(); // who tells of it may have nothing else to wait for
        let analysed = catch_unwind(AssertUnwindSafe(analyse));
        let stopped = {
            let mut state = self.state.lock();
            state.overdue.end(number);
            state.epoch != of.epoch
        };
        if let Err(panic) = analysed
            && !stopped
        {
            self.post_panic("analysing a frame", panic.as_ref());
            self.fail();
        }
    }

    /// Waits until a frame waits and the output has a place for it, or until there is another model than `model`;
    /// `None` when the element stops.
    fn next_job(&self, epoch: u64, model: u64) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.epoch != epoch {
                return None;
            }
            if state.model != model {
                return Some(Job::Take(state.model));
            }
            if state.flow.is_ok()
                && let Some((ticket, frame)) = state.mailbox.start()
            {
                drop(state);
                self.wake.notify_all(); // the line takes another frame
                return Some(Job::Analyse(ticket, frame));
            }
            if state.flow.is_ok()
                && let Some(look) = state.passing.take()
            {
                return Some(Job::Look(look));
            }
            state.passing.enter_idle();
            self.wake.wait(&mut state);
            if state.epoch == epoch {
                state.passing.leave_idle(); // those of a new epoch are counted anew
            }
        }
    }

    fn process(&self, detectors: &mut Detectors, of: Run, ticket: Ticket, mut frame: Frame) {
        let live = self.state.lock().upstream.is_live();
        if live && frame.is_lent() {
            // A camera of four buffers cannot miss one for a whole analysis. Its memory, which may be uncached, is read
            // once; the pixels are then taken from the copy.
            self.replace_by_copy(&mut frame);
        }
        match self.fit(detectors, frame.stream.picture.size, of) {
            Fit::Already => {}
            // What frames usually meet is no loading.
            Fit::Changed => frame.measured = true,
            Fit::Stopped => return,
        }
        let begin = self.now();
        match self.analyse(detectors, &mut frame) {
            Ok(analysis) => self.deliver(ticket, frame, detectors.current(), analysis, begin),
            Err(failure) => self.end_by(&failure, of, |state| state.mailbox.abandon(ticket)),
        }
    }

    /// An engine that has panicked is of no use any more; another failure matters if its frame does, which
    /// `is_expected` tells.
    pub(super) fn end_by(
        &self,
        failure: &Failure,
        of: Run,
        is_expected: impl FnOnce(&mut State) -> bool,
    ) {
        let matters = {
            let mut state = self.state.lock();
            let expected = is_expected(&mut state);
            state.epoch == of.epoch && (failure.is_panic() || expected)
        };
        if matters {
            self.post_failure(failure);
            self.fail();
        } else {
            gst::debug!(
                CAT,
                imp = self,
                "Flushed meanwhile: the failure is discarded"
            );
        }
    }

    fn analyse(&self, detectors: &mut Detectors, frame: &mut Frame) -> Result<Analysis, Failure> {
        let prepared = self.prepare(detectors, frame)?;
        self.infer(detectors, &prepared)
    }

    /// Makes the model's input, unless it was made ahead; the frame is not needed for what follows.
    pub(super) fn prepare(
        &self,
        detectors: &mut Detectors,
        frame: &mut Frame,
    ) -> Result<Prepared, Failure> {
        if let Some(prepared) = self.take_ahead(detectors, frame) {
            return Ok(prepared);
        }
        let prepared = frame.read(|image| detectors.prepare(image));
        prepared.map_err(Failure::Frame)?.map_err(Failure::Detect)
    }

    pub(super) fn infer(
        &self,
        detectors: &mut Detectors,
        prepared: &Prepared,
    ) -> Result<Analysis, Failure> {
        let (thresholds, low_score) = {
            let model = detectors.current().model();
            let settings = self.settings.lock();
            let thresholds = settings.thresholds(model.score_threshold, model.iou_threshold);
            (thresholds, settings.low_score())
        };
        let analysis = detectors.infer(prepared, thresholds, low_score);
        analysis.map_err(Failure::Detect)
    }

    /// Attaches what was found and puts the frame back in the line.
    fn deliver(
        &self,
        ticket: Ticket,
        mut frame: Frame,
        detector: &Detector,
        mut analysis: Analysis,
        begin: Duration,
    ) {
        let mut wait = begin.saturating_sub(frame.arrived);
        if analysis.made_ahead {
            wait = wait.saturating_sub(analysis.preprocess); // that was no waiting
        }
        analysis.preprocess += frame.copying;
        let found = Found::of(analysis, wait, detector.model());
        let (times, count) = (found.times, found.detections.len());
        frame.found = Some(found);
        let (arrived, now) = (frame.arrived, self.now());
        gst::debug!(
            CAT,
            imp = self,
            "{}: {count} found; waited {:?}, pixels {:?}, model {:?}, boxes {:?}",
            frame.buffer.pts().display(),
            times.wait,
            times.preprocess,
            times.model,
            times.postprocess
        );
        let (stale, exceeded) = {
            let mut state = self.state.lock();
            let stale = state.mailbox.finish(ticket, frame).err();
            if stale.is_none() {
                let met_a_pause = state.playing.met_a_pause(arrived);
                state.recorder.analysed(now, times, met_a_pause);
            }
            (stale, state.measure_ready(now))
        };
        self.wake.notify_all();
        if stale.is_some() {
            gst::debug!(
                CAT,
                imp = self,
                "Flushed meanwhile: the result is discarded"
            );
        } else {
            self.post_latency_if_due();
        }
        if let Some(delay) = exceeded {
            self.warn_of_delay(delay);
        }
    }

    /// Nothing is analysed any more until READY; the next chain call returns an error. What is wrong has been posted
    /// before: whoever sees the error later, in its own thread, posts a less telling one.
    pub(super) fn fail(&self) {
        let remains = self.state.lock().fail();
        self.wake.notify_all();
        drop(remains);
    }

    fn post_failure(&self, failure: &Failure) {
        match failure {
            Failure::Detect(DetectError::Engine(EngineError::Panic { text, .. })) => {
                self.post_panic("the engine ran the model", text);
            }
            Failure::Detect(err) => self.post_detect_error(err),
            Failure::Frame(why) => gst::element_imp_error!(
                self,
                gst::StreamError::Failed,
                ("A frame could not be read: {why}"),
                ["{why}"]
            ),
        }
    }
}
