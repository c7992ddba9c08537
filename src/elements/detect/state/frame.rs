//! [`Frame`] and [`Item`]: what travels through the element, frames and what keeps its order among them.

use super::boxes::Found;
use crate::base::image::{ImageView, PictureInfo};
use crate::bridge::frame_pool::Copies;
use crate::bridge::lent_query::LentQuery;
use crate::bridge::video_frame;
use crate::detector::Ahead;
use crate::flow::mailbox::Output;
use std::sync::Arc;
use std::time::Duration;

/// Format of the frames between two CAPS events.
#[derive(Debug)]
pub struct Stream {
    pub video: gst_video::VideoInfo,
    pub picture: PictureInfo,
    pub copies: Copies,
}

impl Stream {
    /// Returns the time from frame to frame, if the caps state a rate; at most a second.
    pub fn interval(&self) -> Option<Duration> {
        const LONGEST: Duration = Duration::from_secs(1);
        let fps = self.video.fps();
        let (frames, seconds) = (f64::from(fps.numer()), f64::from(fps.denom()));
        let interval = Duration::try_from_secs_f64(seconds / frames).ok()?;
        Some(interval.min(LONGEST))
    }
}

/// One frame on its way through.
#[derive(Debug)]
pub struct Frame {
    pub buffer: gst::Buffer,
    pub stream: Arc<Stream>,
    pub segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    /// When the frame came in, counted from the element's origin of time.
    pub arrived: Duration,
    /// Time by which boxes move and age: the running time. Without a timestamp it is that of the frame before, and what has
    /// passed since until this one came in; pauses do not count.
    pub time: Duration,
    /// Frames before this one were dropped.
    pub discont: bool,
    /// Time spent on copying the frame out of its source's memory.
    pub copying: Duration,
    /// The model's input, if it was made while the frame waited.
    pub ahead: Option<Ahead>,
    /// Result of the analysis; `None` if the frame was not analysed.
    pub found: Option<Found>,
    /// The frame came with `active=false`, and carries no boxes.
    pub bare: bool,
    /// The time that the frame spends inside is recorded already, or is not typical.
    pub measured: bool,
}

/// Course of a frame that has come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    Analyse,
    /// The frame leaves in its turn, without an analysis.
    Skip,
    Drop(DropReason),
}

/// Why a frame does not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// A newer frame has taken its place while all workers were busy.
    Busy,
    /// The frame was not offered for analysis.
    Interval,
    /// The frame would come too late to be shown.
    Late,
}

impl Frame {
    /// A frame that has arrived `now` and is not analysed yet.
    pub fn new(
        buffer: gst::Buffer,
        stream: Arc<Stream>,
        segment: Option<gst::FormattedSegment<gst::ClockTime>>,
        now: Duration,
    ) -> Self {
        Self {
            buffer,
            stream,
            segment,
            arrived: now,
            time: now,
            discont: false,
            copying: Duration::ZERO,
            ahead: None,
            found: None,
            bare: false,
            measured: false,
        }
    }

    /// Returns the same picture, for a worker to look at while the frame itself goes on.
    pub fn to_look_at(&self) -> Self {
        Self {
            buffer: self.buffer.clone(),
            stream: self.stream.clone(),
            segment: self.segment.clone(),
            ahead: None,
            found: None,
            ..*self
        }
    }

    /// Calls `look` with the picture.
    ///
    /// # Errors
    /// A sentence, if the frame's memory cannot be mapped or is not what the caps say.
    pub fn read<T>(&self, look: impl FnOnce(&ImageView) -> T) -> Result<T, String> {
        let Stream { video, picture, .. } = &*self.stream;
        let mapped =
            video_frame::readable(&self.buffer, video, picture).map_err(|err| err.to_string())?;
        let image = video_frame::view(&mapped, picture).map_err(|err| err.to_string())?;
        Ok(look(&image))
    }

    /// Whether the frame's memory goes back to a source that may be waiting for it.
    pub fn is_lent(&self) -> bool {
        self.stream.copies.is_lent(&self.buffer)
    }

    /// Returns the running time of the timestamp; `None` where there is none, or where the segment does not count in time.
    pub fn running_time(&self) -> Option<gst::ClockTime> {
        let timestamp = self.buffer.pts().or(self.buffer.dts())?;
        self.segment.as_ref()?.to_running_time(timestamp)
    }

    pub fn stream_time(&self) -> Option<gst::ClockTime> {
        self.segment.as_ref()?.to_stream_time(self.buffer.pts()?)
    }
}

/// Frames and items that a flush or an error has removed from the line, to be dropped without the lock.
pub type Remains = Vec<Output<Frame, Item>>;

/// An event or query that keeps its order among the frames.
#[derive(Debug)]
pub enum Item {
    Event(gst::Event),
    Query(LentQuery),
}

impl Item {
    pub fn is_eos(&self) -> bool {
        matches!(self, Self::Event(event) if event.type_() == gst::EventType::Eos)
    }
}
