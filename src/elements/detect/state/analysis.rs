//! The workers: their reports, and their next step as [`NextJob`].

use super::State;
use super::boxes::{Found, Marks};
use super::frame::Frame;
use super::passthrough::Look;
use super::workers::Run;
use crate::flow::mailbox::Ticket;
use std::time::Duration;

/// The next step of a worker.
#[expect(
    clippy::large_enum_variant,
    reason = "a box would cost each frame an allocation"
)]
pub enum NextJob {
    /// Wait for a change of the state, between [`State::enter_idle`] and [`State::leave_idle`].
    Wait,
    Do(Job),
    /// The element stops.
    End,
}

/// A worker's task.
pub enum Job {
    Analyse {
        ticket: Ticket,
        frame: Frame,
        /// Copy the frame first: its source has few buffers, and waits for this one.
        copy: bool,
        watch: Watch,
    },
    /// Look at a frame that goes on meanwhile.
    Look { look: Look, watch: Watch },
    /// Take a detector of the model of this number.
    TakeModel(u64),
}

/// An analysis under way, to be ended by [`State::analysis_ended`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch(u64);

/// Where the frame of an analysis came from.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// From its place in the line.
    Line(Ticket),
    /// From this look, in `mode=passthrough`.
    Look(u64),
}

/// Consequences of an analysis that has succeeded.
pub struct Delivered {
    /// The frame, if it was flushed meanwhile.
    pub stale: Option<Frame>,
    /// The longest delay that is to be warned of.
    pub exceeded: Option<Duration>,
    /// The delay of a LATENCY message that is due.
    pub latency: Option<Duration>,
}

impl State {
    /// Decides what a worker that has the model of `run` does `now`.
    pub fn next_job(&mut self, run: Run, now: Duration) -> NextJob {
        if !self.workers.is_current(run.epoch) {
            return NextJob::End;
        }
        if self.workers.model() != run.model {
            return NextJob::Do(Job::TakeModel(self.workers.model()));
        }
        if !self.flow.is_ok() {
            return NextJob::Wait;
        }
        if let Some((ticket, frame)) = self.line.start_analysis() {
            return NextJob::Do(Job::Analyse {
                ticket,
                copy: self.mode.is_live() && frame.is_lent(),
                frame,
                watch: Watch(self.reports.analysis_began(now)),
            });
        }
        match self.passthrough.take() {
            Some(look) => NextJob::Do(Job::Look {
                look,
                watch: Watch(self.reports.analysis_began(now)),
            }),
            None => NextJob::Wait,
        }
    }

    /// A worker has nothing to do.
    pub fn enter_idle(&mut self) {
        self.passthrough.enter_idle();
    }

    /// A worker of this epoch looks for work again. The workers of a new epoch are counted anew.
    pub fn leave_idle(&mut self, epoch: u64) {
        if self.workers.is_current(epoch) {
            self.passthrough.leave_idle();
        }
    }

    /// An analysis has ended, whatever came of it.
    pub fn analysis_ended(&mut self, watch: Watch) {
        self.reports.analysis_ended(watch.0);
    }

    /// Puts an analysed frame back in the line.
    pub fn frame_analysed(&mut self, ticket: Ticket, frame: Frame, now: Duration) -> Delivered {
        let arrived = frame.arrived;
        let times = frame.found.as_ref().map(|found| found.times);
        let stale = self.line.finish_analysis(ticket, frame);
        if let (None, Some(times)) = (&stale, times) {
            let met_a_pause = self.playing.met_a_pause(arrived);
            self.reports.analysed(now, times, met_a_pause);
        }
        let exceeded = self.measure_ready(now);
        let live = self.mode.is_surely_live();
        Delivered {
            latency: match stale {
                None => self.reports.take_latency(now, live),
                Some(_) => None,
            },
            stale,
            exceeded,
        }
    }

    /// An analysis has failed. Returns whether that matters: not if the workers have been dismissed, and not if the frame was
    /// flushed meanwhile, unless the engine has panicked and is of no use any more.
    pub fn analysis_failed(&mut self, run: Run, origin: Origin, panicked: bool) -> bool {
        let awaited = match origin {
            Origin::Line(ticket) => self.line.abandon_analysis(ticket),
            Origin::Look(number) => self.passthrough.is_valid(number),
        };
        self.workers.is_current(run.epoch) && (panicked || awaited)
    }

    /// The frame of a look is not needed any more.
    pub fn look_read(&mut self, number: u64) {
        self.passthrough.put_down(number);
    }

    /// Takes in what a look at a frame of the time `time` has found; returns its boxes, or `None` if it comes too late.
    pub fn look_done(
        &mut self,
        number: u64,
        awaited: bool,
        time: Duration,
        found: &Found,
        now: Duration,
    ) -> Option<Marks> {
        if self.passthrough.is_valid(number) {
            self.reports.analysed(now, found.times, false);
        }
        self.passthrough.learn(number, awaited, time, found)
    }

    /// Has those workers end that have been started so far.
    pub fn dismiss_workers(&mut self) {
        self.workers.dismiss();
    }

    /// Names the workers that run, or will be started next.
    pub fn epoch(&self) -> u64 {
        self.workers.epoch()
    }

    /// Whether there are workers.
    pub fn is_running(&self) -> bool {
        self.workers.is_running()
    }

    /// Whether the workers of this epoch still run.
    pub fn has_workers(&self, epoch: u64) -> bool {
        self.workers.is_running() && self.workers.is_current(epoch)
    }

    /// Whether the workers of this epoch have been dismissed.
    pub fn is_over(&self, epoch: u64) -> bool {
        !self.workers.is_current(epoch)
    }

    /// Whether the workers still run and are to have this model.
    pub fn is_current(&self, run: Run) -> bool {
        self.workers.is_current(run.epoch) && self.workers.model() == run.model
    }

    /// Has the workers of this epoch take the model of this number; false if they have ended.
    pub fn change_model(&mut self, epoch: u64, model: u64) -> bool {
        self.workers.change_model(epoch, model)
    }

    /// An input size that a worker of this epoch waits for is loaded; false if the worker has ended.
    pub fn size_loaded(&mut self, epoch: u64, order: u64) -> bool {
        self.workers.finish_order(epoch, order)
    }

    /// Whether the input size of this order is loaded. It is told once.
    pub fn take_loaded_size(&mut self, order: u64) -> bool {
        self.workers.take_order(order)
    }
}
