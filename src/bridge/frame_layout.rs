//! [`extents`]: where the planes of a buffer lie, and how much memory each of them has.
//!
//! `gst_video_frame_map` believes a `GstVideoMeta`. It compares neither offsets with the buffer nor strides with the
//! memory, and reading a frame that it has mapped can end the process. So a buffer is looked at before it is mapped.

use super::frame_error::FrameError;
use super::video_frame::video_format;
use crate::base::geometry::Size;
use crate::base::image::{MOST_PLANES, PictureInfo};
use gst::glib::translate::from_glib;
use gst_video::{VideoInfo, ffi};

/// Memory of one plane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Bytes from the first one of the plane to the end of the memory that holds it.
    pub length: usize,
}

/// Returns the meta that `gst_video_frame_map` follows: of several the one with the lowest id.
pub(super) fn meta(buffer: &gst::BufferRef) -> Option<&ffi::GstVideoMeta> {
    // SAFETY: a `BufferRef` is a valid GstBuffer, and is not changed. Its metas live as long as it is borrowed.
    unsafe { ffi::gst_buffer_get_video_meta(buffer.as_mut_ptr()).as_ref() }
}

/// Returns the extent of each plane of a frame of the stream `video`, which `info` describes too.
///
/// # Errors
/// [`FrameError`] if the buffer does not hold such a frame.
pub(super) fn extents(
    buffer: &gst::BufferRef,
    video: &VideoInfo,
    info: &PictureInfo,
) -> Result<[Extent; MOST_PLANES], FrameError> {
    let extents = match meta(buffer) {
        Some(meta) => of_meta(buffer, meta, info)?,
        None => of_info(buffer, video, info)?,
    };
    for (index, extent) in extents.iter().enumerate().take(planes(info)) {
        info.check_plane(index, extent.stride, extent.length)?;
    }
    Ok(extents)
}

fn planes(info: &PictureInfo) -> usize {
    info.format.planes(info.size).len()
}

/// Follows the caps. Several memories are mapped as one.
fn of_info(
    buffer: &gst::BufferRef,
    video: &VideoInfo,
    info: &PictureInfo,
) -> Result<[Extent; MOST_PLANES], FrameError> {
    let (found, expected) = (buffer.size(), video.size());
    let mut extents = [Extent::default(); MOST_PLANES];
    let laid_out = video.stride().iter().zip(video.offset());
    for (plane, (extent, (&stride, offset))) in extents.iter_mut().zip(laid_out).enumerate() {
        extent.stride =
            usize::try_from(stride).map_err(|_| FrameError::Stride { plane, stride })?;
        extent.length = found.saturating_sub(*offset);
    }
    if found < expected {
        return Err(FrameError::Short {
            info: *info,
            found,
            expected,
            strides: extents.map(|extent| extent.stride),
        });
    }
    Ok(extents)
}

/// Follows the meta. A plane must lie in one memory, as GStreamer maps no other.
fn of_meta(
    buffer: &gst::BufferRef,
    meta: &ffi::GstVideoMeta,
    info: &PictureInfo,
) -> Result<[Extent; MOST_PLANES], FrameError> {
    // SAFETY: any number is a format, if need be an unknown one.
    let format = unsafe { from_glib(meta.format) };
    let found = (format, Size::new(meta.width, meta.height));
    let expected = (video_format(info.format), info.size);
    if found != expected {
        return Err(FrameError::Changed { found, expected });
    }
    if meta.n_planes as usize != planes(info) {
        return Err(FrameError::Planes {
            found: meta.n_planes,
            expected: planes(info),
        });
    }
    let mut extents = [Extent::default(); MOST_PLANES];
    for (plane, extent) in extents.iter_mut().enumerate().take(planes(info)) {
        let (offset, stride) = (meta.offset[plane], meta.stride[plane]);
        extent.stride =
            usize::try_from(stride).map_err(|_| FrameError::Stride { plane, stride })?;
        extent.length = rest_of_memory(buffer, offset).ok_or(FrameError::Start {
            plane,
            offset,
            found: buffer.size(),
        })?;
    }
    Ok(extents)
}

/// Returns the bytes from `offset` to the end of the memory that this byte lies in; `None` outside of the buffer.
fn rest_of_memory(buffer: &gst::BufferRef, offset: usize) -> Option<usize> {
    let (memories, skip) = buffer.find_memory(offset..offset.checked_add(1)?)?;
    buffer.peek_memory(memories.start).size().checked_sub(skip)
}
