//! Converts a [`Drawing`] to a `GstVideoOverlayComposition`, for a sink that composes by itself.

use crate::vision::draw::{Canvas, Drawing};
use gst::glib;
use gst_video::{
    VideoFormat, VideoOverlayComposition, VideoOverlayFormatFlags, VideoOverlayRectangle,
};

/// `GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_RGB`: 0xAARRGGBB in the byte order of the machine.
const FORMAT: VideoFormat = if cfg!(target_endian = "little") {
    VideoFormat::Bgra
} else {
    VideoFormat::Argb
};

/// Puts the pieces of `drawing` over an existing composition.
pub fn composition(
    drawing: &Drawing,
    below: Option<&VideoOverlayComposition>,
) -> Result<VideoOverlayComposition, glib::BoolError> {
    let below = below.into_iter().flat_map(|c| c.iter()).map(Ok);
    below
        .chain(
            drawing
                .tiles()
                .map(|(x, y, canvas)| rectangle(x, y, &canvas)),
        )
        .collect()
}

fn rectangle(x: i32, y: i32, canvas: &Canvas) -> Result<VideoOverlayRectangle, glib::BoolError> {
    let pixels = canvas.pixels.iter();
    let bytes: Vec<u8> = pixels
        .flat_map(|&[r, g, b, a]| u32::from_be_bytes([a, r, g, b]).to_ne_bytes())
        .collect();
    let (width, height) = (canvas.size.width, canvas.size.height);
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    gst_video::VideoMeta::add(
        buffer.make_mut(),
        gst_video::VideoFrameFlags::empty(),
        FORMAT,
        width,
        height,
    )?;
    let flags = VideoOverlayFormatFlags::empty();
    Ok(VideoOverlayRectangle::new_raw(
        &buffer, x, y, width, height, flags,
    ))
}
