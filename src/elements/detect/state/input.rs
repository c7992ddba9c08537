//! [`Input`]: what the events of the sink pad have said about the frames that follow, and which of these are analysed.

use super::frame::{Course, DropReason, Frame, Stream};
use crate::elements::detect::settings::Settings;
use crate::elements::detect::settings::choices::Mode;
use crate::flow::pace::{Pace, PaceOptions};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub struct Input {
    stream: Option<Arc<Stream>>,
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    pace: Pace,
    /// A sink cannot show frames before this running time any more.
    late_before: Option<gst::ClockTime>,
    /// The property `active` when the last frame came.
    active: bool,
    /// Downstream cannot follow strides and offsets, and upstream was told that it may use any.
    repacks: bool,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            stream: None,
            segment: None,
            pace: Pace::default(),
            late_before: None,
            active: true,
            repacks: false,
        }
    }
}

impl Input {
    pub fn end_flush(&mut self) {
        self.segment = None;
        self.late_before = None;
        self.pace = Pace::default();
    }

    pub fn set_stream(&mut self, stream: Arc<Stream>) {
        self.stream = Some(stream);
        self.pace = Pace::default();
    }

    pub fn set_segment(&mut self, segment: Option<gst::FormattedSegment<gst::ClockTime>>) {
        self.segment = segment;
        self.pace = Pace::default();
    }

    pub fn set_late_before(&mut self, late_before: Option<gst::ClockTime>) {
        self.late_before = late_before;
    }

    pub fn set_repacks(&mut self, repacks: bool) {
        self.repacks = repacks;
    }

    pub fn repacks(&self) -> bool {
        self.repacks
    }

    pub fn stream(&self) -> Option<&Arc<Stream>> {
        self.stream.as_ref()
    }

    /// The frame in a buffer that has arrived `now`. Gives the buffer back if its format was not negotiated.
    pub fn frame(&self, buffer: gst::Buffer, now: Duration) -> Result<Frame, gst::Buffer> {
        match &self.stream {
            Some(stream) => {
                let segment = self.segment.clone();
                Ok(Frame::new(buffer, stream.clone(), segment, now))
            }
            None => Err(buffer),
        }
    }

    /// Follows the property `active`; whether it has changed since the last frame.
    pub fn follow_active(&mut self, active: bool) -> bool {
        std::mem::replace(&mut self.active, active) != active
    }

    pub fn is_active(&self) -> bool {
        self.active
    }

    /// Decides what becomes of a frame that has arrived `now`.
    pub fn course(
        &mut self,
        now: Duration,
        frame: &Frame,
        mode: Mode,
        settings: &Settings,
    ) -> Course {
        let in_every = mode == Mode::Every;
        let late = |before| frame.running_time().is_some_and(|time| time < before);
        if in_every && settings.qos && self.late_before.is_some_and(late) {
            return Course::Drop(DropReason::Late);
        }
        if !settings.active {
            return Course::Skip;
        }
        match self.is_offered(now, settings.pace()) {
            true => Course::Analyse,
            false if in_every => Course::Skip,
            false => Course::Drop(DropReason::Interval),
        }
    }

    /// Whether the properties `inference-interval` and `max-rate` offer a frame that has arrived `now` for analysis.
    pub fn is_offered(&mut self, now: Duration, options: PaceOptions) -> bool {
        self.pace.offers(now, options)
    }

    /// Counts a frame that no worker had time for.
    pub fn count_unoffered(&mut self) {
        self.pace.skip();
    }
}
