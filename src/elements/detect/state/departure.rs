//! The source pad's task: its reports, and its next step as [`Next`].

use super::State;
use super::boxes::Marks;
use super::frame::{Frame, Item};
pub use super::reports::Due;
use crate::bridge::lent_query::LentQuery;
use crate::elements::detect::settings::Settings;
use crate::flow::mailbox::Output;
use crate::flow::stats::StageTimes;
use std::sync::Arc;
use std::time::Duration;

/// The next step of the task.
#[expect(
    clippy::large_enum_variant,
    reason = "a box would cost each frame an allocation"
)]
pub enum Next {
    /// Wait for a change of the state, until this time at most.
    Wait(Option<Duration>),
    /// Push the frame, then [`State::frame_left`].
    Push(Departure),
    Event {
        event: gst::Event,
        /// Post statistics before it.
        post_stats: bool,
    },
    Answer(LentQuery),
    /// Messages may be due: [`State::take_due`].
    Post,
    /// Pause, until a flush ends.
    Flushing,
}

/// A frame that leaves, and what it takes along.
pub struct Departure {
    pub frame: Frame,
    pub marks: Option<Marks>,
    /// Times of the frame's own analysis.
    pub times: Option<StageTimes>,
    /// Downstream cannot follow strides and offsets.
    pub repacks: bool,
    /// The frame is compared with the clock.
    pub live: bool,
    pub settings: Arc<Settings>,
}

impl State {
    /// Decides what the task does `now`.
    pub fn next_output(&mut self, now: Duration) -> Next {
        if self.reports.take_change() {
            return Next::Post;
        }
        if self.flow.is_flushing() {
            return Next::Flushing;
        }
        if !self.flow.is_ok() {
            return Next::Wait(None); // after an error, for a new beginning
        }
        match self.line.pop() {
            Some(Output::Frame(frame)) => return Next::Push(self.depart(frame)),
            Some(Output::Event(Item::Event(event))) => return self.forward(event),
            Some(Output::Event(Item::Query(query))) => return Next::Answer(query),
            None => {}
        }
        let live = self.mode.is_surely_live();
        match self.reports.next_due(self.settings.stats_interval(), live) {
            Some(due) if due <= now => Next::Post,
            due => Next::Wait(due),
        }
    }

    fn forward(&mut self, event: gst::Event) -> Next {
        use gst::EventType::{Caps, Eos, Segment, StreamStart};
        if matches!(event.type_(), StreamStart | Caps | Segment) {
            self.boxes.forget(); // another picture follows
        }
        let post_stats = event.type_() == Eos && self.settings.stats_interval().is_some();
        Next::Event { event, post_stats }
    }

    /// Gives a frame its own boxes, or the last ones where it was not analysed.
    fn depart(&mut self, mut frame: Frame) -> Departure {
        let settings = self.settings.clone();
        let time = frame.time;
        let found = frame.found.take();
        let marks = match &found {
            Some(found) => Some(self.boxes.own(found, time, settings.tracking)),
            None if frame.bare => {
                self.boxes.forget();
                None
            }
            None => self.boxes.latest(time, settings.max_age()),
        };
        Departure {
            frame,
            marks,
            times: found.map(|found| found.times),
            repacks: self.input.repacks(),
            live: self.is_live_now(),
            settings,
        }
    }

    /// The frame that came in at `arrived` has left at `leaving`, after `total`. Takes the messages that are due.
    pub fn frame_left(
        &mut self,
        arrived: Duration,
        leaving: Duration,
        age: Option<Duration>,
        now: Duration,
    ) -> Due {
        let total = leaving.saturating_sub(arrived);
        let total = (!self.playing.met_a_pause(arrived)).then_some(total);
        self.reports.frame_pushed(leaving, total, age);
        self.flow.frame_left();
        self.take_due(now)
    }

    /// `mode=passthrough`: as [`Self::frame_left`]. No frame is held, so no delay is declared but that of the property
    /// `latency`. `delay` is how long the frame took, to be compared with that one; `None` if the frame waited for its boxes,
    /// as only a frame does whose source is not live. Takes the delay that is to be warned of, and that of a LATENCY message
    /// that is due.
    pub fn frame_went_on(
        &mut self,
        arrived: Duration,
        leaving: Duration,
        age: Option<Duration>,
        delay: Option<Duration>,
        now: Duration,
    ) -> (Option<Duration>, Option<Duration>) {
        let total = leaving.saturating_sub(arrived);
        self.reports.frame_pushed(leaving, Some(total), age);
        self.flow.frame_left();
        let exceeded = delay.and_then(|delay| self.reports.exceeding(leaving, delay));
        let live = self.mode.is_surely_live();
        (exceeded, self.reports.take_latency(now, live))
    }

    /// Takes the messages that are due `now`.
    pub fn take_due(&mut self, now: Duration) -> Due {
        let live = self.mode.is_surely_live();
        let interval = self.settings.stats_interval();
        self.reports.take_due(now, interval, live)
    }
}
