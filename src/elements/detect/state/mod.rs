//! [`State`]: what the threads of the element share, behind one lock.
//!
//! A thread reports what has happened and is given the next step as an enum, with the lock taken once. What the thread of
//! the sink pad asks is in `arrival.rs`, what the workers ask in `analysis.rs`, what the source pad's task asks in
//! `departure.rs`, and what a query or a property asks in `inquiry.rs`. `State` itself has what concerns all of them: the
//! start, the end, flushes and failures.
//!
//! The parts are private: the flow of data ([`Flow`]), the input as negotiated ([`Input`]), the line of frames ([`Line`]),
//! the mode in force ([`ModeInForce`]), reports ([`Reports`]), the workers ([`Workers`]), and what `mode=passthrough`
//! keeps between frames ([`Passthrough`]). None of them calls into GStreamer, and buffers are handed out to be dropped
//! without the lock, for the release of a buffer may call anywhere.

pub mod analysis;
pub mod arrival;
pub mod boxes;
pub mod departure;
mod flow;
pub mod frame;
mod input;
pub mod inquiry;
mod line;
pub mod mode;
pub mod passthrough;
mod playing;
mod reports;
pub mod workers;

use super::settings::Settings;
use super::settings::choices::Mode;
use crate::flow::mailbox::Output;
use crate::vision::track::Numbers;
use boxes::Boxes;
use flow::Flow;
use frame::Remains;
use input::Input;
use line::Line;
use mode::ModeInForce;
use passthrough::Passthrough;
use playing::Playing;
use reports::Reports;
use std::sync::Arc;
use std::time::Duration;
use workers::Workers;

/// Everything behind the lock.
#[derive(Debug, Default)]
pub struct State {
    /// The properties as they are now, so that no thread needs their lock for a frame.
    settings: Arc<Settings>,
    flow: Flow,
    input: Input,
    line: Line,
    boxes: Boxes,
    mode: ModeInForce,
    passthrough: Passthrough,
    playing: Playing,
    workers: Workers,
    reports: Reports,
}

impl State {
    /// Prepares for the first frame. `estimate` is the likely time of one analysis. Detections and objects are numbered by
    /// `numbers`.
    pub fn start(&mut self, mode: Mode, estimate: Duration, workers: usize, numbers: Arc<Numbers>) {
        let delay = match mode {
            Mode::Passthrough => Duration::ZERO,
            _ => estimate,
        };
        self.flow.start();
        self.line.start(workers);
        self.workers.start();
        self.reports.start(delay, self.settings.latency());
        self.passthrough.start(numbers.clone());
        self.input = Input::default();
        self.boxes = Boxes::new(numbers);
        self.mode = ModeInForce::new(mode);
        self.playing = Playing::default();
    }

    /// Dismisses the workers and empties the line.
    #[must_use]
    pub fn stop(&mut self) -> Remains {
        self.workers.stop();
        let remains = self.begin_flush();
        // Elements share numbers only while they work.
        self.passthrough.start(Arc::default());
        self.boxes = Boxes::default();
        remains
    }

    /// Takes in properties that have changed.
    pub fn change_settings(&mut self, settings: Arc<Settings>) {
        self.reports.follow_latency(settings.latency());
        self.settings = settings;
    }

    /// Refuses frames and events until [`Self::end_flush`].
    #[must_use]
    pub fn begin_flush(&mut self) -> Remains {
        self.flow.begin_flush();
        self.clear()
    }

    /// Begins anew after a flush, or when the pads are activated.
    pub fn end_flush(&mut self) {
        self.flow.end_flush();
        self.input.end_flush();
        self.boxes.forget();
        self.reports.restart_window();
    }

    /// Ends the flow of data for `reason`, unless it has ended for another one already. Nothing in the line will leave.
    #[must_use]
    pub fn end_flow(&mut self, reason: gst::FlowError) -> Ended {
        let reason = self.flow.end(reason);
        self.line.lose();
        Ended {
            remains: self.clear(),
            reason,
            after_eos: self.flow.has_eos() && !self.flow.has_failed(),
        }
    }

    /// Stops all analyses until READY, whatever else happens to the stream.
    #[must_use]
    pub fn fail(&mut self) -> Remains {
        self.flow.fail();
        self.clear()
    }

    /// Whether an analysis has failed for good.
    pub fn has_failed(&self) -> bool {
        self.flow.has_failed()
    }

    /// Drops the frames in the line, up to the event that ends the stream or begins another: downstream wants no more of
    /// this one.
    #[must_use]
    pub fn refuse_frames(&mut self) -> Remains {
        let removed = self.line.drain_stream();
        self.flow.refuse_frames(self.line.is_empty());
        removed
    }

    /// Notes that the pipeline enters or leaves PLAYING. What was measured before a pause says nothing about the time
    /// after it.
    pub fn set_playing(&mut self, playing: bool, now: Duration) {
        if self.playing.set(playing, now) {
            self.reports.restart_window();
        }
    }

    fn clear(&mut self) -> Remains {
        let mut remains = self.line.clear();
        remains.extend(self.passthrough.forget().map(Output::Frame));
        remains
    }

    /// Whether frames are compared with the clock, so that their age can be told.
    fn is_live_now(&self) -> bool {
        self.playing.is_on() && self.mode.is_live()
    }
}

/// The end of the flow of data.
pub struct Ended {
    pub remains: Remains,
    /// The reason that counts: the first one.
    pub reason: gst::FlowError,
    /// Upstream has sent EOS and makes no further call that could bring it the reason.
    pub after_eos: bool,
}
