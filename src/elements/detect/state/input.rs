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
    /// Time of the last frame of the segment, and how long the pipeline had played when it came.
    last: Option<(Duration, Duration)>,
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
            last: None,
        }
    }
}

impl Input {
    pub fn end_flush(&mut self) {
        self.segment = None;
        self.late_before = None;
        self.last = None;
        self.pace = Pace::default();
    }

    pub fn set_stream(&mut self, stream: Arc<Stream>) {
        self.stream = Some(stream);
        self.pace = Pace::default();
    }

    pub fn set_segment(&mut self, segment: Option<gst::FormattedSegment<gst::ClockTime>>) {
        self.segment = segment;
        self.last = None;
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

    /// The frame in a buffer that has arrived `now`, when the pipeline had played for `played`. Gives the buffer back if its
    /// format was not negotiated.
    pub fn frame(
        &mut self,
        buffer: gst::Buffer,
        now: Duration,
        played: Duration,
    ) -> Result<Frame, gst::Buffer> {
        let Some(stream) = &self.stream else {
            return Err(buffer);
        };
        let mut frame = Frame::new(buffer, stream.clone(), self.segment.clone(), now);
        frame.time = match (frame.running_time(), self.last) {
            (Some(time), _) => time.into(),
            (None, Some((last, then))) => last + played.saturating_sub(then),
            (None, None) => played,
        };
        self.last = Some((frame.time, played));
        Ok(frame)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::frame_pool::Copies;
    use crate::bridge::video_frame::picture_info;

    #[test]
    fn a_frame_without_a_timestamp_has_the_time_of_its_arrival_and_goes_on_from_the_last() {
        gst::init().expect("GStreamer starts");
        let video = gst_video::VideoInfo::builder(gst_video::VideoFormat::Gray8, 8, 2);
        let video = video.build().expect("a usual format");
        let mut input = Input::default();
        let picture = picture_info(&video).expect("a known format");
        input.set_stream(Arc::new(Stream {
            copies: Copies::new(video.clone(), picture),
            picture,
            video,
        }));
        let time = |input: &mut Input, pts: Option<u64>, played: u64| {
            let mut buffer = gst::Buffer::new();
            let writable = buffer.get_mut().expect("a new buffer");
            writable.set_pts(pts.map(gst::ClockTime::from_mseconds));
            let played = Duration::from_millis(played);
            let frame = input.frame(buffer, Duration::from_secs(7), played);
            frame.expect("caps are known").time.as_millis()
        };
        input.set_segment(Some(gst::FormattedSegment::new()));
        for (pts, played, wanted) in [
            (None, 100, 100),
            (None, 140, 140),
            (Some(500), 180, 500),
            (None, 220, 540),
            (None, 300, 620),
            (Some(560), 320, 560),
        ] {
            assert_eq!(time(&mut input, pts, played), wanted, "{pts:?} at {played}");
        }
        input.set_segment(None);
        assert_eq!(
            time(&mut input, Some(9), 400),
            400,
            "timestamps mean nothing"
        );
        input.end_flush();
        assert_eq!(time(&mut input, None, 410), 410);
    }
}
