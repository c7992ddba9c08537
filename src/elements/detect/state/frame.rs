//! [`Frame`] and [`Item`]: what travels through the element, the frames and what is in order between them.

use super::boxes::Found;
use crate::base::image::{ImageView, PictureInfo};
use crate::bridge::frame_pool::Copies;
use crate::bridge::lent_query::LentQuery;
use crate::bridge::video_frame;
use crate::detector::Ahead;
use std::sync::Arc;
use std::time::Duration;

/// What is the same for all frames between two CAPS events.
#[derive(Debug)]
pub struct Stream {
    pub video: gst_video::VideoInfo,
    pub picture: PictureInfo,
    pub copies: Copies,
}

/// One frame on its way through.
#[derive(Debug)]
pub struct Frame {
    pub buffer: gst::Buffer,
    pub stream: Arc<Stream>,
    pub segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    /// When it came in, since the element's origin of time.
    pub arrived: Duration,
    /// Frames before it were dropped.
    pub discont: bool,
    /// What it took to copy it out of its source's memory.
    pub copying: Duration,
    /// The model's input of it, where that was made while it waited.
    pub ahead: Option<Ahead>,
    /// What its analysis found; `None` of a frame that was not analysed.
    pub found: Option<Found>,
    /// It came while nothing was to be analysed, and carries no boxes.
    pub bare: bool,
    /// How long it was inside is recorded already.
    pub measured: bool,
}

/// What becomes of a frame that has come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    Analyse,
    /// It leaves as it is, in its turn.
    Pass,
    Drop(Drop),
}

/// Why a frame does not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// A newer one has taken its place.
    Busy,
    /// It was not offered for analysis.
    Interval,
    /// It would come too late to be shown.
    Late,
}

impl Frame {
    /// The same picture, for a worker to look at while the frame itself goes on.
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

    /// Lets `look` see the picture.
    ///
    /// # Errors
    /// What is wrong, in words, if the frame's memory cannot be had, or is not what its caps say.
    pub fn read<T>(&self, look: impl FnOnce(&ImageView) -> T) -> Result<T, String> {
        let mapped =
            gst_video::VideoFrameRef::from_buffer_ref_readable(&self.buffer, &self.stream.video)
                .map_err(|err| err.to_string())?;
        let image =
            video_frame::view(&mapped, &self.stream.picture).map_err(|err| err.to_string())?;
        Ok(look(&image))
    }

    /// Whether its source may be waiting for its memory.
    pub fn is_lent(&self) -> bool {
        self.stream.copies.is_lent(&self.buffer)
    }

    pub fn running_time(&self) -> Option<gst::ClockTime> {
        self.segment.as_ref()?.to_running_time(self.buffer.pts()?)
    }

    pub fn stream_time(&self) -> Option<gst::ClockTime> {
        self.segment.as_ref()?.to_stream_time(self.buffer.pts()?)
    }
}

/// What travels in order between the frames.
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
