//! [`FrameError`]: a buffer does not hold the picture that its caps promise.

use super::video_frame::video_format;
use crate::base::geometry::Size;
use crate::base::image::{ImageError, MOST_PLANES, PictureInfo, PixelFormat};
use gst_video::VideoFormat;
use std::fmt;

/// A frame that cannot be read as a picture, or not be painted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameError {
    /// The format is not one of [`PixelFormat::ALL`].
    Format(VideoFormat),
    /// The rows run from bottom to top, which is not supported.
    Stride {
        /// Index of the plane.
        plane: usize,
        /// Negative bytes from one row to the next.
        stride: i32,
    },
    /// The frame has another format or size than the stream announced.
    Changed {
        /// Format and size of the frame.
        found: (VideoFormat, Size),
        /// Format and size of the stream.
        expected: (VideoFormat, Size),
    },
    /// The `GstVideoMeta` has another number of planes than its format.
    Planes {
        /// Planes of the meta.
        found: u32,
        /// Planes of the format.
        expected: usize,
    },
    /// A plane of the `GstVideoMeta` begins behind the end of the buffer.
    Start {
        /// Index of the plane.
        plane: usize,
        /// Bytes from the start of the buffer to the plane.
        offset: usize,
        /// Bytes of the buffer.
        found: usize,
    },
    /// The buffer has no `GstVideoMeta`, and fewer bytes than a frame of GStreamer's own layout.
    Short {
        /// The stream.
        info: PictureInfo,
        /// Bytes of the buffer.
        found: usize,
        /// Bytes of a frame.
        expected: usize,
        /// Bytes from one row to the next, of each plane.
        strides: [usize; MOST_PLANES],
    },
    /// Two planes share bytes, so that paint in one would change the other.
    Overlap {
        /// Indices of the planes.
        planes: (usize, usize),
    },
    /// The memory cannot be mapped.
    Map {
        /// The frame was to be painted on.
        for_writing: bool,
    },
    /// The planes do not hold the picture.
    Image(ImageError),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(found) => {
                write!(f, "format {}, expected one of", name(*found))?;
                PixelFormat::ALL
                    .into_iter()
                    .try_for_each(|known| write!(f, " {}", video_format(known)))
            }
            Self::Stride { plane, stride } => {
                write!(
                    f,
                    "plane {plane} has a stride of {stride}, expected 0 or more"
                )
            }
            Self::Changed { found, expected } => write!(
                f,
                "frame is {} of {}, expected {} of {}",
                name(found.0),
                found.1,
                name(expected.0),
                expected.1
            ),
            Self::Planes { found, expected } => {
                write!(f, "GstVideoMeta has {found} planes, expected {expected}")
            }
            Self::Start {
                plane,
                offset,
                found,
            } => write!(
                f,
                "plane {plane} begins at byte {offset}, expected a place in the {found} bytes of the buffer"
            ),
            Self::Short {
                info,
                found,
                expected,
                strides,
            } => write_short(f, info, *found, *expected, strides),
            Self::Overlap { planes: (a, b) } => write!(
                f,
                "planes {a} and {b} share bytes, expected a place of its own for each plane to paint on"
            ),
            Self::Map { for_writing: false } => f.write_str("memory cannot be mapped for reading"),
            Self::Map { for_writing: true } => f.write_str("memory cannot be mapped for writing"),
            Self::Image(error) => error.fmt(f),
        }
    }
}

/// Writes bytes met and wanted, and the rows that make them up.
fn write_short(
    f: &mut fmt::Formatter<'_>,
    info: &PictureInfo,
    found: usize,
    expected: usize,
    strides: &[usize],
) -> fmt::Result {
    let (format, size) = (video_format(info.format), info.size);
    write!(
        f,
        "buffer has {found} bytes, expected {expected} for {format} of {size}: "
    )?;
    let mut bare = 0;
    for (index, ((row, rows), stride)) in info
        .format
        .planes(size)
        .into_iter()
        .zip(strides)
        .enumerate()
    {
        let separator = if index == 0 { "" } else { ", " };
        write!(f, "{separator}{rows} rows of {row} bytes")?;
        if *stride > row {
            write!(f, " padded to {stride}")?;
        }
        bare = rows.saturating_mul(row).saturating_add(bare);
    }
    if found == bare {
        f.write_str(
            "; rows without padding, as these seem to be, need a GstVideoMeta with their offsets and strides",
        )?;
    }
    Ok(())
}

/// Returns GStreamer's name of a format, or the number of one without a name, which a meta may hold.
fn name(format: VideoFormat) -> String {
    match format {
        VideoFormat::__Unknown(number) => format!("number {number}"),
        known => known.to_string(),
    }
}

impl std::error::Error for FrameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Image(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ImageError> for FrameError {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}
