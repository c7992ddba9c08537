//! [`Stream`]: the negotiated format of frames, and how frames of it are drawn on.

use super::compose;
use crate::base::image::PictureInfo;
use crate::bridge::video_frame::{self, FrameError};
use crate::vision::draw::{Drawing, Rect};
use gst::glib;
use gst_video::{VideoInfo, VideoOverlayCompositionMeta};
use std::fmt;

pub(super) struct Stream {
    pub video: VideoInfo,
    pub picture: PictureInfo,
    /// Downstream composes: drawings are attached, not painted.
    pub attach: bool,
}

/// Why a frame could not be drawn on.
pub(super) enum DrawError {
    Frame(FrameError),
    Compose(glib::BoolError),
}

impl fmt::Display for DrawError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => error.fmt(f),
            Self::Compose(error) => write!(f, "composition cannot be made: {error}"),
        }
    }
}

impl Stream {
    /// Pixelates `blurred` in the picture itself, and adds `drawing` as downstream wants it. A frame that needs no change is
    /// not made writable.
    pub fn draw(
        &self,
        buffer: &mut gst::Buffer,
        blurred: &[Rect],
        drawing: &Drawing,
    ) -> Result<(), DrawError> {
        let empty = *drawing == Drawing::default();
        let paint = !self.attach && !empty;
        if paint || !blurred.is_empty() {
            let mut frame = video_frame::writable(buffer.make_mut(), &self.video, &self.picture)
                .map_err(DrawError::Frame)?;
            let mut picture =
                video_frame::view_mut(&mut frame, &self.picture).map_err(DrawError::Frame)?;
            picture.pixelate_all(blurred);
            if paint {
                drawing.paint(&mut picture);
            }
        }
        if self.attach && !empty {
            attach(buffer.make_mut(), drawing).map_err(DrawError::Compose)?;
        }
        Ok(())
    }
}

/// Attaches the drawing. Sinks look at one composition only, so an existing one goes below ours.
fn attach(buffer: &mut gst::BufferRef, drawing: &Drawing) -> Result<(), glib::BoolError> {
    let below = buffer
        .meta::<VideoOverlayCompositionMeta>()
        .map(|meta| meta.overlay_owned());
    let composition = compose::composition(drawing, below.as_ref())?;
    while let Some(meta) = buffer.meta_mut::<VideoOverlayCompositionMeta>() {
        meta.remove()?;
    }
    VideoOverlayCompositionMeta::add(buffer, &composition);
    Ok(())
}
