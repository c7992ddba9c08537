//! The thread of the sink pad: its reports, and its next step, for a frame as [`Arrival`], for an event as [`EventStep`].

use super::State;
use super::boxes::Marks;
use super::frame::{Course, DropReason, Frame, Item, Stream};
use super::mode::{Settled, Upstream};
use super::passthrough::Offered;
use crate::elements::detect::settings::Settings;
use crate::elements::detect::settings::choices::Mode;
use crate::flow::mailbox::MOST_SKIPPED;
use crate::flow::stats::Counters;
use std::sync::Arc;
use std::time::Duration;

/// The next step with a frame that has come in. Frames and buffers are handed back, so that the lock is not held while
/// they are dropped or copied.
pub enum Arrival {
    /// Ask upstream whether it is live, report [`State::upstream_answered`], then [`State::take_frame`].
    AskUpstream(gst::Buffer),
    /// The frame goes on at once.
    GoOn(Passage),
    /// Wait while [`State::must_wait`], then [`State::place_frame`].
    Wait {
        pending: Pending,
        /// There is time to make the model's input.
        prepare: bool,
    },
    /// Replace the frame by a copy, then [`State::queue_frame`].
    Copy(Pending),
    /// The frame is in the line, or dropped.
    Done(Queued),
    /// Return the reason upstream.
    Refused(gst::FlowError, Unused),
}

/// A frame that is not in the line yet.
pub struct Pending {
    pub frame: Frame,
    course: Course,
}

/// The buffer or frame of a refusal.
#[expect(dead_code, reason = "kept to be dropped without the lock")]
#[expect(clippy::large_enum_variant, reason = "moved once, and dropped")]
pub enum Unused {
    Buffer(gst::Buffer),
    Frame(Frame),
}

/// Consequences of putting a frame in the line.
pub struct Queued {
    pub dropped: Option<Dropped>,
    /// The longest delay that is to be warned of.
    pub exceeded: Option<Duration>,
}

/// A frame that does not leave.
pub struct Dropped {
    pub frame: Frame,
    pub reason: DropReason,
    /// Whether the source is live, and the counters; `None` if no QoS message is to be posted.
    pub qos: Option<(bool, Counters)>,
}

/// A frame on its way through in `mode=passthrough`.
pub struct Passage {
    pub frame: Frame,
    pub offered: Offered,
    pub marks: Option<Marks>,
    /// Somebody waits for it, or for the first frame.
    pub wakes: bool,
    /// It is compared with the clock.
    pub live: bool,
    /// Downstream cannot follow strides and offsets.
    pub repacks: bool,
    /// A frame that no worker will see any more.
    pub unseen: Option<Box<Frame>>,
    pub settings: Arc<Settings>,
}

/// Change that a serialized event brings for the frames behind it.
pub enum Change {
    Nothing,
    Stream,
    Caps(Arc<Stream>),
    Segment(Option<gst::FormattedSegment<gst::ClockTime>>),
    Eos,
}

/// The next step with a serialized event.
pub enum EventStep {
    /// It is in the line.
    Queued,
    /// Push it.
    GoOn {
        /// Post statistics before it.
        post_stats: bool,
        /// A frame that no worker will see any more.
        unseen: Option<Box<Frame>>,
    },
    Refused(gst::FlowError),
}

impl State {
    /// A buffer has come in `now`.
    pub fn frame_arrived(&mut self, buffer: gst::Buffer, now: Duration) -> Arrival {
        match self.mode.is_settled() {
            true => self.take_frame(buffer, now),
            false => Arrival::AskUpstream(buffer),
        }
    }

    /// Upstream has answered whether it is live. Returns also the delay of a LATENCY message that is due by that.
    pub fn upstream_answered(
        &mut self,
        upstream: Upstream,
        now: Duration,
    ) -> (Settled, Option<Duration>) {
        let settled = self.mode.settle(upstream);
        if settled.tell_again {
            self.reports.tell_latency_again();
        }
        let live = self.mode.is_surely_live();
        (settled, self.reports.take_latency(now, live))
    }

    /// Decides what becomes of the buffer that has come in `now`.
    pub fn take_frame(&mut self, buffer: gst::Buffer, now: Duration) -> Arrival {
        if let Err(reason) = self.flow.accepts_frames() {
            return Arrival::Refused(reason, Unused::Buffer(buffer));
        }
        self.reports.frame_received(now);
        let played = self.playing.time(now);
        let frame = match self.input.frame(buffer, now, played) {
            Ok(frame) => frame,
            Err(buffer) => {
                let reason = gst::FlowError::NotNegotiated;
                return Arrival::Refused(reason, Unused::Buffer(buffer));
            }
        };
        if self.mode.is_passthrough() {
            return Arrival::GoOn(self.let_through(frame));
        }
        let course = self.course(now, &frame);
        let pending = Pending { frame, course };
        if matches!(course, Course::Drop(_)) {
            return self.queue_frame(pending, now);
        }
        if self.is_full() {
            let prepare = course == Course::Analyse && !self.mode.is_surely_live();
            return Arrival::Wait { pending, prepare };
        }
        self.place_frame(pending, now)
    }

    /// Whether a frame that was told to wait must wait on.
    pub fn must_wait(&self) -> bool {
        self.flow.accepts_frames().is_ok() && self.is_full()
    }

    /// Takes a frame that need not wait (any more).
    pub fn place_frame(&mut self, pending: Pending, now: Duration) -> Arrival {
        match self.must_copy(&pending.frame) {
            true => Arrival::Copy(pending),
            false => self.queue_frame(pending, now),
        }
    }

    /// Puts a frame in the line, or drops it.
    pub fn queue_frame(&mut self, pending: Pending, now: Duration) -> Arrival {
        let Pending { frame, course } = pending;
        if let Err(reason) = self.flow.accepts_frames() {
            return Arrival::Refused(reason, Unused::Frame(frame));
        }
        let dropped = match course {
            Course::Drop(reason) => Some((frame, reason)),
            _ => {
                let displaced = self.line.push(frame, course, self.input.is_active());
                displaced.map(|frame| (frame, DropReason::Busy))
            }
        };
        Arrival::Done(Queued {
            dropped: dropped.map(|(frame, reason)| self.drop_frame(frame, reason, now)),
            exceeded: self.measure_ready(now),
        })
    }

    fn drop_frame(&mut self, frame: Frame, reason: DropReason, now: Duration) -> Dropped {
        self.reports.frame_dropped(reason);
        if reason != DropReason::Busy {
            self.line.lose(); // a displaced frame is followed by the one that displaced it, which is marked already
        }
        let live = self.mode.is_live();
        let qos = self.reports.take_qos(now).map(|counters| (live, counters));
        Dropped { frame, reason, qos }
    }

    fn course(&mut self, now: Duration, frame: &Frame) -> Course {
        let settings = &self.settings;
        if self.input.follow_active(settings.active) {
            self.reports.follow_active(settings.active);
        }
        let mode = self.mode.current();
        self.input.course(now, frame, mode, settings)
    }

    fn is_full(&self) -> bool {
        // A file is not dropped while nobody looks: before the first frame has left (preroll), or while paused.
        let watched = self.flow.frame_has_left() && self.playing.is_on();
        let may_displace = self.mode.current() == Mode::Newest && (self.mode.is_live() || watched);
        self.line.is_full(may_displace)
    }

    /// Whether a frame must be copied before it is kept: of a live source whose buffers come from a pool, as a camera's do,
    /// one is held at the most, and no worker copies a skipped one.
    fn must_copy(&self, frame: &Frame) -> bool {
        self.mode.is_live() && frame.is_lent() && self.line.skips_a_lent_frame()
    }

    /// Records how long the frames were inside that only the output keeps from leaving now. Returns the longest delay that
    /// is to be warned of.
    pub(super) fn measure_ready(&mut self, now: Duration) -> Option<Duration> {
        let (reports, playing) = (&mut self.reports, self.playing);
        let active = self.input.is_active();
        let mut longest = Duration::ZERO;
        self.line.measure_ready(|frame| {
            // A frame from before a change of `active` has another delay than those to come.
            if frame.bare == active || playing.met_a_pause(frame.arrived) {
                return;
            }
            let delay = now.saturating_sub(frame.arrived);
            reports.record_delay(now, delay);
            longest = longest.max(delay);
        });
        self.reports.exceeding(now, longest)
    }

    /// `mode=passthrough`: all that needs the lock before a frame leaves.
    fn let_through(&mut self, frame: Frame) -> Passage {
        let settings = self.settings.clone();
        let (offered, unseen) = match settings.active {
            true => (self.offer(&frame, &settings), None),
            false => (Offered::No, self.passthrough.forget().map(Box::new)),
        };
        let size = frame.stream.picture.size;
        Passage {
            marks: self
                .passthrough
                .marks_at(frame.time, size, settings.shown()),
            wakes: self.reports.is_first_frame() || offered != Offered::No,
            live: self.is_live_now(),
            repacks: self.input.repacks(),
            frame,
            offered,
            unseen,
            settings,
        }
    }

    /// Lets a worker look at a frame that goes on, if a worker has time and the frame is to be analysed.
    fn offer(&mut self, frame: &Frame, settings: &Settings) -> Offered {
        let awaited = self.passthrough.begins() && !self.mode.is_live();
        if !awaited && !self.passthrough.has_time() {
            self.input.count_unoffered();
            return Offered::No;
        }
        if !self.input.is_offered(frame.arrived, settings.pace()) {
            return Offered::No;
        }
        let number = self.passthrough.offer(frame.to_look_at(), awaited);
        match awaited {
            true => Offered::Awaited(number),
            false => Offered::Yes,
        }
    }

    /// `mode=passthrough`: whether a frame must wait on for the boxes of this look.
    pub fn must_wait_for_look(&self, number: u64) -> bool {
        self.flow.accepts_frames().is_ok() && !self.passthrough.is_answered(number)
    }

    /// `mode=passthrough`: the boxes that a frame has waited for.
    pub fn take_look(&mut self) -> Result<Marks, gst::FlowError> {
        self.flow.accepts_frames()?;
        self.passthrough.answer().ok_or(gst::FlowError::Error)
    }

    /// A serialized event has come in. It takes its place in the line, together with what it changes.
    pub fn event_arrived(&mut self, event: &gst::Event, change: Change) -> EventStep {
        let is_eos = matches!(change, Change::Eos);
        let new_picture = !matches!(change, Change::Nothing | Change::Eos);
        self.change_input(change);
        if self.mode.is_passthrough() {
            if is_eos {
                self.flow.end_stream();
            }
            return EventStep::GoOn {
                post_stats: is_eos && self.settings.stats_interval().is_some(),
                unseen: match new_picture {
                    true => self.passthrough.forget().map(Box::new),
                    false => None,
                },
            };
        }
        let accepted = self.flow.accepts_events();
        if accepted.is_ok() {
            self.line.push_item(Item::Event(event.clone()));
        }
        if is_eos {
            self.flow.end_stream();
        }
        match accepted {
            Ok(()) => EventStep::Queued,
            Err(reason) => EventStep::Refused(reason),
        }
    }

    fn change_input(&mut self, change: Change) {
        match change {
            Change::Nothing | Change::Eos => {}
            Change::Stream => {
                self.flow.begin_segment();
                self.mode.begin_stream();
            }
            Change::Caps(stream) => self.input.set_stream(stream),
            Change::Segment(segment) => {
                self.flow.begin_segment();
                self.input.set_segment(segment);
            }
        }
    }

    /// Whether serialized queries go on at once, as in `mode=passthrough`, and whether EOS has come before.
    pub fn queries_go_on(&self) -> (bool, bool) {
        (self.mode.is_passthrough(), self.flow.has_eos())
    }

    /// A serialized query has come in. One that is not taken is given back, to be dropped, which answers it with FALSE.
    pub fn query_arrived(&mut self, query: Item) -> Option<Item> {
        if self.flow.accepts_events().is_err() {
            return Some(query);
        }
        self.line.push_item(query);
        None
    }

    /// Frames before this running time cannot be shown any more.
    pub fn frames_are_late(&mut self, before: Option<gst::ClockTime>) {
        self.input.set_late_before(before);
    }

    /// Downstream has been linked anew.
    pub fn relink(&mut self) {
        self.flow.relink();
    }

    /// Downstream has answered an ALLOCATION query. Returns how many buffers of the source are held at most.
    pub fn allocation_answered(&mut self, follows_strides: bool) -> u32 {
        self.input.set_repacks(!follows_strides);
        self.held_at_most()
    }

    /// How many buffers of the source are held at the same time at most.
    ///
    /// `passthrough` lends one to a worker. A live source has one waiting, and one more with each worker that is copying it.
    /// Any other source has one waiting, as many as the line has places with a worker or done, and those between two
    /// analyses skipped.
    fn held_at_most(&self) -> u32 {
        if self.mode.is_passthrough() {
            return 1;
        }
        let places = self.line.places();
        if self.mode.is_surely_live() {
            return places;
        }
        let most = MOST_SKIPPED as u32;
        let skipped = match self.settings.pace() {
            _ if !self.settings.active => most,
            _ if self.mode.is_wanted(Mode::Newest) => 0,
            pace if pace.max_rate > 0.0 => most,
            pace => pace.interval.saturating_sub(1).min(most),
        };
        places + 1 + skipped
    }
}
