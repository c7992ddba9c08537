//! The threads that infer: each takes the waiting frame, analyses it, and puts it back in its place.

use super::CAT;
use super::detectors::Detectors;
use super::failure::Failure;
use super::imp::Detect;
use super::loader::FirstWorker;
use super::lock::assert_none_held;
use super::settings::Settings;
use super::sizes::Fit;
use super::state::analysis::{Job, NextJob, Origin, Watch};
use super::state::boxes::Found;
use super::state::frame::Frame;
use super::state::workers::Run;
use crate::detector::{Analysis, DetectError, Detector, Prepared};
use crate::engine::EngineError;
use crate::flow::mailbox::Ticket;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Why an analysis gave nothing.
pub(super) enum AnalysisError {
    /// The frame could not be mapped or read.
    Frame(String),
    Detect(DetectError),
}

impl AnalysisError {
    fn is_panic(&self) -> bool {
        matches!(
            self,
            Self::Detect(DetectError::Engine(EngineError::Panic { .. }))
        )
    }
}

impl Detect {
    /// Starts a worker for each of `detectors`. The first worker is the thread that has loaded them.
    pub(super) fn start_workers(
        &self,
        detectors: Vec<Detectors>,
        settings: &Settings,
        first: FirstWorker,
    ) -> Result<(), Failure> {
        let processors = settings.processors();
        let processors = processors.map_err(|err| Failure::affinity(&err))?;
        let epoch = self.state.lock().epoch();
        let mut first = Some(first);
        for detectors in detectors {
            let (detect, processors) = (self.ref_counted(), processors.clone());
            let work = move || {
                // It was possible when the model was loaded.
                if let Some(Err(err)) = processors.map(|p| p.pin_this_thread()) {
                    detect.post_warning(&Failure::affinity(&err));
                }
                detect.work(detectors, epoch);
            };
            let thread = first.take().map_or_else(FirstWorker::start, Ok);
            let worker = thread.and_then(|thread| thread.end_with(work));
            let worker = worker.map_err(|err| {
                self.state.lock().dismiss_workers();
                self.wake.notify_all();
                let sentence = "Cannot start a thread for inference";
                Failure::new(gst::ResourceError::Failed, sentence, err.to_string())
            })?;
            self.threads.lock().push(worker);
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

    /// Runs in the worker's thread, as long as the element is in its `epoch`.
    fn work(&self, mut detectors: Detectors, epoch: u64) {
        let mut run = Run { epoch, model: 0 };
        detectors.set_classes(self.classes_in_use());
        let mut last = None;
        while let Some(job) = self.next_job(run, last.take()) {
            match job {
                Job::Analyse {
                    ticket,
                    frame,
                    copy,
                    watch,
                } => {
                    last = self.watched(run, watch, || {
                        self.process(&mut detectors, run, ticket, frame, copy);
                    });
                }
                Job::Look { look, watch } => {
                    last = self.watched(run, watch, || self.look(&mut detectors, run, look));
                }
                Job::TakeModel(model) => {
                    run.model = model;
                    let taken = self.slot.lock().take_model(model);
                    if let Some(taken) = taken {
                        detectors = taken;
                        detectors.set_classes(self.classes_in_use());
                    }
                }
            }
        }
    }

    /// The last classes that were set and that the model in use has.
    fn classes_in_use(&self) -> Option<Arc<str>> {
        self.slot.lock().loaded()?.classes.clone()
    }

    /// Waits for the next job, after the analysis that was watched `last`; `None` when the element stops.
    fn next_job(&self, run: Run, last: Option<Watch>) -> Option<Job> {
        let mut state = self.state.lock();
        if let Some(watch) = last {
            state.analysis_ended(watch);
        }
        loop {
            match state.next_job(run, self.now()) {
                NextJob::Wait => {
                    state.enter_idle();
                    self.wake.wait(&mut state);
                    state.leave_idle(run.epoch);
                }
                NextJob::End => return None,
                NextJob::Do(job) => {
                    drop(state);
                    // The line takes another frame, and an analysis may become overdue.
                    self.wake.notify_all();
                    return Some(job);
                }
            }
        }
    }

    /// Runs an analysis. A panic in it is an error of the element. Returns the watch that is still to be ended.
    fn watched(&self, run: Run, watch: Watch, analyse: impl FnOnce()) -> Option<Watch> {
        let Err(panic) = catch_unwind(AssertUnwindSafe(analyse)) else {
            return Some(watch);
        };
        let stopped = {
            let mut state = self.state.lock();
            state.analysis_ended(watch);
            state.is_over(run.epoch)
        };
        if !stopped {
            self.post_panic("analysing a frame", panic.as_ref());
            self.fail();
        }
        None
    }

    fn process(
        &self,
        detectors: &mut Detectors,
        run: Run,
        ticket: Ticket,
        mut frame: Frame,
        copy: bool,
    ) {
        if copy {
            // A camera of four buffers cannot miss one for a whole analysis. Its memory, which may be uncached, is read
            // once; the pixels are then taken from the copy.
            self.replace_by_copy(&mut frame);
        }
        match self.fit(detectors, frame.stream.picture.size, run) {
            Fit::Already => {}
            // Loading a model is not typical latency; leave this frame out of the estimate.
            Fit::Changed => frame.measured = true,
            Fit::Stopped => return,
        }
        let begin = self.now();
        let analysis = self
            .prepare(detectors, &mut frame)
            .and_then(|prepared| self.infer(detectors, &prepared));
        match analysis {
            Ok(analysis) => self.deliver(ticket, frame, detectors.current(), analysis, begin),
            Err(err) => self.analysis_failed(&err, run, Origin::Line(ticket)),
        }
    }

    /// Ends the element's work because of a failed analysis, if the failure matters.
    pub(super) fn analysis_failed(&self, err: &AnalysisError, run: Run, origin: Origin) {
        let matters = {
            let mut state = self.state.lock();
            state.analysis_failed(run, origin, err.is_panic())
        };
        if matters {
            self.post_analysis_error(err);
            self.fail();
        } else {
            gst::debug!(
                CAT,
                imp = self,
                "Flushed meanwhile: the failure is discarded"
            );
        }
    }

    /// Makes the model's input, unless it was made ahead. The frame is not needed after that.
    pub(super) fn prepare(
        &self,
        detectors: &mut Detectors,
        frame: &mut Frame,
    ) -> Result<Prepared, AnalysisError> {
        if let Some(prepared) = self.take_ahead(detectors, frame) {
            return Ok(prepared);
        }
        let prepared = frame.read(|image| detectors.prepare(image));
        prepared
            .map_err(AnalysisError::Frame)?
            .map_err(AnalysisError::Detect)
    }

    /// The input that was made of the frame ahead, if it is what the model in use takes.
    fn take_ahead(&self, detectors: &mut Detectors, frame: &mut Frame) -> Option<Prepared> {
        let ahead = frame.ahead.take();
        let mut inputs = self.inputs.lock();
        inputs.follow(&detectors.current().model().input);
        let mut ahead = ahead?;
        let prepared = detectors.take(&mut ahead);
        inputs.give_back(ahead);
        prepared
    }

    pub(super) fn infer(
        &self,
        detectors: &mut Detectors,
        prepared: &Prepared,
    ) -> Result<Analysis, AnalysisError> {
        let settings = self.settings.lock().clone();
        let model = detectors.current().model();
        let thresholds = settings.thresholds(model.score_threshold, model.iou_threshold);
        assert_none_held();
        let analysis = detectors.infer(prepared, thresholds, settings.low_score());
        let analysis = analysis.map_err(AnalysisError::Detect)?;
        if let Some(warning) = &analysis.warning {
            self.post_warning(&Failure::setting(warning, &settings.model_name()));
        }
        Ok(analysis)
    }

    /// Puts the frame back in the line, with what was found.
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
            wait = wait.saturating_sub(analysis.preprocess); // the frame did not wait for that
        }
        analysis.preprocess += frame.copying;
        let found = Found::new(analysis, wait, detector.model());
        let times = found.times;
        gst::debug!(
            CAT,
            imp = self,
            "{}: {} found; waited {:?}, pixels {:?}, model {:?}, boxes {:?}",
            frame.buffer.pts().display(),
            found.detections.len(),
            times.wait,
            times.preprocess,
            times.model,
            times.postprocess
        );
        frame.found = Some(found);
        let delivered = self.state.lock().frame_analysed(ticket, frame, self.now());
        self.wake.notify_all();
        if delivered.stale.is_some() {
            gst::debug!(
                CAT,
                imp = self,
                "Flushed meanwhile: the result is discarded"
            );
        }
        if let Some(delay) = delivered.latency {
            self.post_latency(delay);
        }
        if let Some(delay) = delivered.exceeded {
            self.warn_of_delay(delay);
        }
    }

    /// Ends all analyses until READY; the next chain call returns an error. The failure has been posted before, because
    /// whoever sees the error in another thread later posts one that says less.
    pub(super) fn fail(&self) {
        let remains = self.state.lock().fail();
        self.wake.notify_all();
        drop(remains);
    }

    fn post_analysis_error(&self, err: &AnalysisError) {
        match err {
            AnalysisError::Detect(DetectError::Engine(EngineError::Panic { text, .. })) => {
                self.post_panic("the engine ran the model", text);
            }
            AnalysisError::Detect(err) => self.post_error(&Failure::detect(err)),
            AnalysisError::Frame(why) => gst::element_imp_error!(
                self,
                gst::StreamError::Failed,
                ("A frame could not be read: {why}"),
                ["{why}"]
            ),
        }
    }
}
