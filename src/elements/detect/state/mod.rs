//! [`State`]: what the sink pad's thread, the worker and the source pad's task share, behind one lock.

pub(super) mod boxes;
mod frame;
pub(super) mod passing;
mod playing;

use super::settings::Settings;
use super::settings::choices::Mode;
use crate::flow::mailbox::{MOST_PASSING, Mailbox, Output};
use crate::flow::pace::Pace;
use crate::flow::stats::{DeclaredDelay, Overdue, Recorder};
use boxes::Boxes;
use passing::Passing;
use playing::Playing;
use std::sync::Arc;
use std::time::Duration;

pub(super) use frame::{Course, Drop, Frame, Item, Stream};

/// Two warnings about a delay longer than the property `latency` are at least this far apart.
const EXCEEDED_INTERVAL: Duration = Duration::from_secs(10);

/// Whether frames come as they are taken or as time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Upstream {
    /// Not asked since READY or STREAM_START.
    #[default]
    Unknown,
    /// Asked, and no answer: counts as live, asked again.
    PresumedLive,
    Live,
    NotLive,
}

impl Upstream {
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Live | Self::NotLive)
    }

    pub fn is_live(self) -> bool {
        self != Self::NotLive
    }
}

/// Everything behind the lock.
#[derive(Debug)]
pub(super) struct State {
    /// What the next chain call returns: what the other threads met last.
    pub flow: Result<(), gst::FlowError>,
    pub mailbox: Mailbox<Frame, Item>,
    /// Which worker is wanted: counted up when one shall end.
    pub epoch: u64,
    /// From the start of the workers on to their end.
    pub running: bool,
    /// Number of the model in use, counted up by each swap; see [`Fresh`](super::loading::Fresh).
    pub model: u64,
    /// An inference has failed for good; frames are refused until READY.
    pub failed: bool,
    /// EOS came in by the sink pad; until a new stream or segment nothing more is taken.
    pub eos: bool,
    /// Downstream wants no more frames, until a new stream or segment.
    pub refusing: bool,
    /// Frames have been lost: the next one carries DISCONT.
    pub gap: bool,
    pub playing: Playing,
    /// A frame has left since the start or the last flush.
    pub frame_left: bool,
    pub upstream: Upstream,
    /// Upstream could not tell its latency, so a sink does not know ours.
    pub latency_refused: bool,
    /// The property when the model was loaded.
    pub wanted: Mode,
    /// The one in force.
    pub mode: Mode,
    /// `mode=newest` with a source that is not live was warned of.
    pub warned: bool,
    pub stream: Option<Arc<Stream>>,
    pub segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    pub recorder: Recorder,
    pub delay: DeclaredDelay,
    pub overdue: Overdue,
    /// Downstream cannot follow strides and offsets, and upstream has been told that they may be any.
    pub repacks: bool,
    pub pace: Pace,
    pub boxes: Boxes,
    /// Of `mode=passthrough`.
    pub passing: Passing,
    /// `active` as the last frame met it.
    pub active: bool,
    /// What a sink has said it cannot show any more: frames before this running time.
    pub late_before: Option<gst::ClockTime>,
    /// When a frame that stayed longer than the property `latency` was warned of last.
    pub exceeded_at: Option<Duration>,
    /// Counted up when a property has changed that the thread of the source pad looks at.
    pub settings_changed: u64,
    /// When statistics were posted last.
    pub stats_at: Option<Duration>,
    /// When a QoS message was posted last.
    pub qos_at: Option<Duration>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            flow: Err(gst::FlowError::Flushing),
            mailbox: Mailbox::new(1),
            epoch: 0,
            running: false,
            model: 0,
            failed: false,
            eos: false,
            refusing: false,
            gap: false,
            playing: Playing::default(),
            frame_left: false,
            upstream: Upstream::default(),
            latency_refused: false,
            wanted: Mode::default(),
            mode: Mode::default(),
            warned: false,
            stream: None,
            segment: None,
            recorder: Recorder::default(),
            delay: DeclaredDelay::default(),
            overdue: Overdue::default(),
            repacks: false,
            pace: Pace::default(),
            boxes: Boxes::default(),
            passing: Passing::default(),
            active: true,
            late_before: None,
            exceeded_at: None,
            settings_changed: 0,
            stats_at: None,
            qos_at: None,
        }
    }
}

/// What a flush or an error has emptied; dropped without the lock, for a buffer's release may call anywhere.
pub(super) type Remains = Vec<Output<Frame, Item>>;

impl State {
    /// Ready for the first frame, with an estimate of an analysis.
    pub fn start(&mut self, settings: &Settings, estimate: Duration, workers: usize) {
        let mut delay = DeclaredDelay::new(match settings.mode {
            Mode::Passthrough => Duration::ZERO,
            _ => estimate,
        });
        delay.fix(settings.latency());
        let mut mailbox = std::mem::replace(&mut self.mailbox, Mailbox::new(workers));
        mailbox.restart(workers);
        let mut overdue = std::mem::take(&mut self.overdue);
        overdue.clear();
        *self = Self {
            flow: self.flow,
            epoch: self.epoch,
            running: true,
            mailbox,
            overdue,
            passing: self.passing.restarted(),
            wanted: settings.mode,
            mode: settings.mode,
            delay,
            ..Self::default()
        };
    }

    /// Both threads let go; nothing is accepted until [`Self::end_flush`].
    #[must_use]
    pub fn begin_flush(&mut self) -> Remains {
        self.flow = Err(gst::FlowError::Flushing);
        self.clear()
    }

    fn clear(&mut self) -> Remains {
        let mut remains = self.mailbox.clear();
        remains.extend(self.passing.forget().map(Output::Frame));
        remains
    }

    /// A frame that has come in `now`.
    pub fn frame(&self, buffer: gst::Buffer, now: Duration) -> Result<Frame, gst::FlowError> {
        Ok(Frame {
            buffer,
            stream: self.stream.clone().ok_or(gst::FlowError::NotNegotiated)?,
            segment: self.segment.clone(),
            arrived: now,
            discont: false,
            copying: Duration::ZERO,
            ahead: None,
            found: None,
            bare: false,
            measured: false,
        })
    }

    /// A new beginning: after a flush, or when the pads are activated.
    pub fn end_flush(&mut self) {
        self.flow = if self.failed {
            Err(gst::FlowError::Error)
        } else {
            Ok(())
        };
        self.eos = false;
        self.refusing = false;
        self.frame_left = false;
        self.segment = None;
        self.late_before = None;
        self.pace = Pace::default();
        self.boxes.forget();
        self.recorder.restart_window();
    }

    /// The first reason stays. Nothing that is still in the line will leave.
    #[must_use]
    pub fn end_flow(&mut self, reason: gst::FlowError) -> Remains {
        if self.flow.is_ok() {
            self.flow = Err(reason);
        }
        self.gap = true;
        self.clear()
    }

    /// Nothing is analysed any more until READY, whatever else happens to the stream.
    #[must_use]
    pub fn fail(&mut self) -> Remains {
        self.failed = true;
        if self.flow != Err(gst::FlowError::Flushing) {
            self.flow = Err(gst::FlowError::Error);
        }
        self.clear()
    }

    /// Downstream wants no more of this stream: frames go, up to the event that begins another or ends it.
    #[must_use]
    pub fn refuse_frames(&mut self) -> Remains {
        let removed = self.mailbox.drain_until(|item| {
            matches!(item, Item::Event(event) if matches!(
                event.type_(),
                gst::EventType::Eos | gst::EventType::Segment | gst::EventType::StreamStart
            ))
        });
        self.refusing = self.mailbox.is_empty();
        removed
    }

    /// What a buffer is answered with: whether one would be taken.
    pub fn accepts_frames(&self) -> Result<(), gst::FlowError> {
        self.flow?;
        if self.eos || self.refusing {
            return Err(gst::FlowError::Eos);
        }
        Ok(())
    }

    /// After EOS a new stream or segment begins again.
    pub fn restart(&mut self) {
        self.eos = false;
        self.refusing = false;
    }

    /// Takes in that the pipeline plays, or does so no more. What was measured before a pause says nothing of what comes
    /// after it.
    pub fn set_playing(&mut self, playing: bool, now: Duration) {
        if self.playing.set(playing, now) {
            self.recorder.restart_window();
        }
    }

    /// Whether frames tell the time: how old they are can be said.
    pub fn is_live_now(&self) -> bool {
        self.playing.is_on() && self.upstream.is_live()
    }

    /// Whether a frame that is to be analysed has to wait before it can be put in the line.
    pub fn is_full(&self) -> bool {
        !self.mailbox.accepts_frame() && !self.may_displace()
    }

    /// Whether a newer frame may take the place of one in the line.
    ///
    /// A file is not dropped while nobody looks: before the first frame has left (preroll), or while paused. The last
    /// frame before EOS is never dropped: one picture and EOS are one picture with its boxes.
    pub fn may_displace(&self) -> bool {
        self.mode == Mode::Newest
            && (self.upstream.is_live() || (self.frame_left && self.playing.is_on()))
            && self.mailbox.may_displace(Item::is_eos)
    }

    /// When the thread of the source pad has something to post, if nothing else happens.
    pub fn post_due(&self, stats_interval: Option<Duration>) -> Option<Duration> {
        if self.flow.is_err() || self.recorder.counters().received == 0 {
            return None;
        }
        let stats = stats_interval.map(|i| self.stats_at.unwrap_or_default().saturating_add(i));
        let live = self.upstream == Upstream::Live;
        let latency = self.delay.message_due().filter(|_| live);
        let overdue = self.overdue.due();
        [stats, latency, overdue].into_iter().flatten().min()
    }

    /// What becomes of the frame that has come in `now`.
    pub fn course(&mut self, now: Duration, frame: &Frame, settings: &Settings) -> Course {
        self.follow_active(settings.active);
        let in_every = self.mode == Mode::Every;
        let late = |before| frame.running_time().is_some_and(|time| time < before);
        if in_every && settings.qos && self.late_before.is_some_and(late) {
            return Course::Drop(Drop::Late);
        }
        if !settings.active {
            return Course::Pass;
        }
        match self.pace.offers(now, settings.pace()) {
            true => Course::Analyse,
            false if in_every => Course::Pass,
            false => Course::Drop(Drop::Interval),
        }
    }

    /// Frames that are not analysed stay no time, and frames that are again stay as long as an analysis takes: the
    /// delay to declare is then another at once.
    fn follow_active(&mut self, active: bool) {
        if std::mem::replace(&mut self.active, active) == active {
            return;
        }
        let estimate = match active {
            true => self.recorder.last_processing().unwrap_or_default(),
            false => Duration::ZERO,
        };
        self.delay.restart(estimate);
    }

    /// Whether a frame that takes this course is to be copied before it is kept: of a live source whose buffers come from
    /// a pool, as a camera's do, one is held at the most, and one that passes is not copied by a worker.
    pub fn must_copy(&self, frame: &Frame, course: Course) -> bool {
        self.upstream.is_live()
            && !matches!(course, Course::Drop(_))
            && frame.is_lent()
            && self.mailbox.passing().any(Frame::is_lent)
    }

    /// How many buffers of the source are held at the same time at the most.
    ///
    /// In `passthrough` one, that is lent to a worker. Of a live source one, and one more by each worker that copies it just
    /// now. Of another one waits, as many as the line has places are with a worker or done, and those between two analyses
    /// pass.
    pub fn held_at_most(&self, settings: &Settings) -> u32 {
        let places = self.places();
        if self.passes() {
            return 1;
        }
        if self.upstream == Upstream::Live {
            return places;
        }
        let most = MOST_PASSING as u32;
        let passing = match settings.pace() {
            _ if !settings.active => most,
            _ if self.wanted == Mode::Newest => 0,
            pace if pace.max_rate > 0.0 => most,
            pace => pace.interval.saturating_sub(1).min(most),
        };
        places + 1 + passing
    }

    /// Puts a frame in the line; gives back the one that it displaced.
    pub fn push_frame(&mut self, mut frame: Frame, course: Course) -> Option<(Frame, Drop)> {
        if let Course::Drop(why) = course {
            return Some(self.dropped(frame, why));
        }
        let displaced = self.mailbox.displace(Item::is_eos);
        let displaced = displaced.map(|frame| self.dropped(frame, Drop::Busy));
        frame.discont = std::mem::take(&mut self.gap);
        frame.bare = !self.active;
        // That the frames before it are analysed is no delay of those that are not any more.
        frame.measured |= frame.bare && self.mailbox.is_analysing();
        match course {
            Course::Pass => self.mailbox.push_passing(frame),
            _ => self.mailbox.push_frame(frame),
        }
        displaced
    }

    /// Counts a frame that is lost.
    fn dropped(&mut self, frame: Frame, why: Drop) -> (Frame, Drop) {
        self.gap = true;
        match why {
            Drop::Busy => self.recorder.dropped_busy(),
            Drop::Interval => self.recorder.dropped_interval(),
            Drop::Late => self.recorder.dropped_late(),
        }
        (frame, why)
    }

    /// Takes in how long the frames were inside that nothing but the output keeps from leaving now.
    ///
    /// Gives back the longest of them if it is longer than the delay that the user has set, once in
    /// [`EXCEEDED_INTERVAL`].
    pub fn measure_ready(&mut self, now: Duration) -> Option<Duration> {
        let mut longest = Duration::ZERO;
        for frame in self.mailbox.ready().filter(|frame| !frame.measured) {
            frame.measured = true;
            // One of before `active` was changed meets another delay than those to come.
            let met_a_pause = self.playing.met_a_pause(frame.arrived);
            if frame.bare == self.active || met_a_pause {
                continue;
            }
            let delay = now.saturating_sub(frame.arrived);
            self.delay.record(now, delay);
            longest = longest.max(delay);
        }
        self.exceeding(now, longest)
    }

    /// The same of one frame that leaves now.
    pub fn measure(&mut self, now: Duration, delay: Duration) -> Option<Duration> {
        self.delay.record(now, delay);
        self.exceeding(now, delay)
    }

    fn exceeding(&mut self, now: Duration, longest: Duration) -> Option<Duration> {
        let exceeded = self.delay.fixed().is_some_and(|fixed| longest > fixed);
        let silent = |at: Duration| now.saturating_sub(at) < EXCEEDED_INTERVAL;
        if !exceeded || self.exceeded_at.is_some_and(silent) {
            return None;
        }
        self.exceeded_at = Some(now);
        Some(longest)
    }
}
