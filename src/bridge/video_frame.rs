//! The border between GStreamer's video frames and [`ImageView`]: formats, strides, colorimetry.

pub use super::frame_error::FrameError;
use super::frame_layout;
use crate::base::geometry::Size;
use crate::base::image::{
    ImageView, MOST_PLANES, PictureInfo, PixelFormat, Plane, YuvMatrix, YuvRange,
};
use crate::vision::draw::{PictureMut, PlaneMut};
use gst_video::prelude::*;
use gst_video::{VideoColorMatrix, VideoColorRange, VideoFormat, VideoFrameRef, VideoInfo};
use std::ops::Range;
use std::slice;

/// Returns GStreamer's name of a format.
pub fn video_format(format: PixelFormat) -> VideoFormat {
    match format {
        PixelFormat::I420 => VideoFormat::I420,
        PixelFormat::Nv12 => VideoFormat::Nv12,
        PixelFormat::Yv12 => VideoFormat::Yv12,
        PixelFormat::Nv21 => VideoFormat::Nv21,
        PixelFormat::Yuy2 => VideoFormat::Yuy2,
        PixelFormat::Uyvy => VideoFormat::Uyvy,
        PixelFormat::Yvyu => VideoFormat::Yvyu,
        PixelFormat::Bgrx => VideoFormat::Bgrx,
        PixelFormat::Rgbx => VideoFormat::Rgbx,
        PixelFormat::Xbgr => VideoFormat::Xbgr,
        PixelFormat::Xrgb => VideoFormat::Xrgb,
        PixelFormat::Bgra => VideoFormat::Bgra,
        PixelFormat::Rgba => VideoFormat::Rgba,
        PixelFormat::Abgr => VideoFormat::Abgr,
        PixelFormat::Argb => VideoFormat::Argb,
        PixelFormat::Bgr => VideoFormat::Bgr,
        PixelFormat::Rgb => VideoFormat::Rgb,
        PixelFormat::Y42b => VideoFormat::Y42b,
        PixelFormat::Y444 => VideoFormat::Y444,
        PixelFormat::Nv16 => VideoFormat::Nv16,
        PixelFormat::Gray8 => VideoFormat::Gray8,
    }
}

/// Returns whether rows are laid out as `info` says, which everybody expects of a buffer without `GstVideoMeta`.
pub fn is_packed(buffer: &gst::BufferRef, info: &VideoInfo) -> bool {
    frame_layout::meta(buffer).is_none_or(|meta| {
        let planes = info.n_planes() as usize;
        meta.stride[..planes] == *info.stride() && meta.offset[..planes] == *info.offset()
    })
}

/// Returns the caps of the pad templates: all formats in order of preference, system memory, any size and framerate.
pub fn caps() -> gst::Caps {
    gst_video::VideoCapsBuilder::new()
        .format_list(PixelFormat::ALL.map(video_format))
        .build()
}

/// Puts the formats that caps offer in our order of preference, colour before grey: those of each structure, and the
/// structures by the best of theirs. Other fields, and structures without a known format, keep their order.
///
/// A source that takes the first structure of the nearest size, as `libcamerasrc` does, would take grey otherwise, if its
/// own list begins with it.
pub fn in_order_of_preference(caps: &gst::CapsRef) -> gst::Caps {
    let rank = |name: &str| {
        let known = |format: &PixelFormat| video_format(*format).to_str().as_str() == name;
        PixelFormat::ALL
            .iter()
            .position(known)
            .unwrap_or(PixelFormat::ALL.len())
    };
    let mut ranked: Vec<_> = caps
        .iter_with_features()
        .map(|(structure, features)| {
            let mut structure = structure.to_owned();
            let mut names: Vec<String> = match structure.get::<gst::List>("format") {
                Ok(list) => list.iter().filter_map(|name| name.get().ok()).collect(),
                Err(_) => structure.get("format").into_iter().collect(),
            };
            names.sort_by_key(|name| rank(name));
            let best = names
                .first()
                .map_or(PixelFormat::ALL.len(), |name| rank(name));
            if names.len() > 1 {
                structure.set("format", gst::List::new(names));
            }
            (best, structure, features.to_owned())
        })
        .collect();
    ranked.sort_by_key(|(best, ..)| *best);
    let mut ordered = gst::Caps::new_empty();
    let all = ordered.make_mut();
    for (_, structure, features) in ranked {
        all.append_structure_full(structure, Some(features));
    }
    ordered
}

/// Reads what caps say about the pictures of a stream.
///
/// Where they name no matrix or range, GStreamer's defaults for the format and size apply, which
/// `gst_video_info_from_caps` has filled in: BT.601 up to a height of 576, BT.709 above, limited range, and full range
/// for grey. Two matrices are approximated: FCC by BT.601, SMPTE 240M by BT.709. RGB has neither matrix nor range.
///
/// # Errors
/// [`FrameError::Format`]
pub fn picture_info(info: &VideoInfo) -> Result<PictureInfo, FrameError> {
    let format = PixelFormat::ALL
        .into_iter()
        .find(|known| video_format(*known) == info.format())
        .ok_or(FrameError::Format(info.format()))?;
    let size = Size::new(info.width(), info.height());
    let positive = |v: i32| u32::try_from(v).unwrap_or(1).max(1);
    let (colorimetry, default) = (info.colorimetry(), default_colorimetry(info));
    Ok(PictureInfo {
        pixel_aspect: (positive(info.par().numer()), positive(info.par().denom())),
        matrix: matrix(colorimetry.matrix())
            .or(default.as_ref().and_then(|d| matrix(d.matrix())))
            .unwrap_or(YuvMatrix::Bt601),
        range: range(colorimetry.range())
            .or(default.as_ref().and_then(|d| range(d.range())))
            .unwrap_or(YuvRange::Limited),
        ..PictureInfo::new(format, size)
    })
}

/// Returns GStreamer's default for a [`VideoInfo`] that was not made from caps and so may lack colorimetry.
fn default_colorimetry(info: &VideoInfo) -> Option<gst_video::VideoColorimetry> {
    VideoInfo::builder(info.format(), info.width(), info.height())
        .build()
        .ok()
        .map(|default| default.colorimetry())
}

fn matrix(matrix: VideoColorMatrix) -> Option<YuvMatrix> {
    match matrix {
        VideoColorMatrix::Bt601 | VideoColorMatrix::Fcc => Some(YuvMatrix::Bt601),
        VideoColorMatrix::Bt709 | VideoColorMatrix::Smpte240m => Some(YuvMatrix::Bt709),
        VideoColorMatrix::Bt2020 => Some(YuvMatrix::Bt2020),
        _ => None,
    }
}

fn range(range: VideoColorRange) -> Option<YuvRange> {
    match range {
        VideoColorRange::Range0_255 => Some(YuvRange::Full),
        VideoColorRange::Range16_235 => Some(YuvRange::Limited),
        _ => None,
    }
}

/// Maps a frame of the stream `video`, which `info` describes too, for reading, once it is known to lie in the memory of the
/// buffer.
///
/// # Errors
/// [`FrameError`] if the buffer does not hold a frame of that stream, or cannot be mapped.
pub fn readable<'a>(
    buffer: &'a gst::BufferRef,
    video: &VideoInfo,
    info: &PictureInfo,
) -> Result<VideoFrameRef<&'a gst::BufferRef>, FrameError> {
    frame_layout::extents(buffer, video, info)?;
    VideoFrameRef::from_buffer_ref_readable(buffer, video)
        .map_err(|_| FrameError::Map { for_writing: false })
}

/// Maps a frame like [`readable`], to be painted on.
///
/// # Errors
/// The same as for [`readable`].
pub fn writable<'a>(
    buffer: &'a mut gst::BufferRef,
    video: &VideoInfo,
    info: &PictureInfo,
) -> Result<VideoFrameRef<&'a mut gst::BufferRef>, FrameError> {
    frame_layout::extents(buffer, video, info)?;
    VideoFrameRef::from_buffer_ref_writable(buffer, video)
        .map_err(|_| FrameError::Map { for_writing: true })
}

/// Returns the planes of a mapped frame of the stream `info`.
///
/// # Errors
/// [`FrameError`] if the frame is not of that stream, or its memory does not fit its format.
pub fn view<'a>(
    frame: &'a VideoFrameRef<&gst::BufferRef>,
    info: &PictureInfo,
) -> Result<ImageView<'a>, FrameError> {
    let mapped = mapped(frame, info)?;
    let mut planes = [Plane::EMPTY; MOST_PLANES];
    for (plane, mapped) in planes.iter_mut().zip(mapped).take(count(info)) {
        // SAFETY: `mapped` has checked that the bytes are memory of the buffer, which the frame keeps mapped.
        let data = unsafe { slice::from_raw_parts(mapped.data, mapped.length) };
        *plane = Plane {
            data,
            stride: mapped.stride,
        };
    }
    Ok(ImageView::new(*info, &planes[..count(info)])?)
}

/// Returns the planes of a mapped frame for drawing.
///
/// # Errors
/// The same as for [`view`], and [`FrameError::Overlap`].
pub fn view_mut<'a>(
    frame: &'a mut VideoFrameRef<&mut gst::BufferRef>,
    info: &PictureInfo,
) -> Result<PictureMut<'a>, FrameError> {
    let mapped = &mapped(&*frame, info)?[..count(info)];
    for (b, after) in mapped.iter().enumerate() {
        for (a, before) in mapped[..b].iter().enumerate() {
            let (one, other) = (before.range(), after.range());
            if one.start < other.end && other.start < one.end {
                return Err(FrameError::Overlap { planes: (a, b) });
            }
        }
    }
    let planes = mapped.iter().map(|mapped| {
        // SAFETY: as in `view`. The frame is mapped for writing and borrowed alone, and no byte belongs to two planes.
        let data = unsafe { slice::from_raw_parts_mut(mapped.data, mapped.length) };
        PlaneMut {
            data,
            stride: mapped.stride,
        }
    });
    Ok(PictureMut::new(*info, planes.collect())?)
}

/// The bytes of one plane of a mapped frame, without the padding of its last row.
#[derive(Clone, Copy)]
struct Mapped {
    data: *mut u8,
    length: usize,
    stride: usize,
}

impl Mapped {
    fn range(&self) -> Range<usize> {
        let start = self.data as usize;
        start..start.saturating_add(self.length)
    }
}

fn count(info: &PictureInfo) -> usize {
    info.format.planes(info.size).len()
}

/// Finds the planes of a mapped frame. A video meta may state another format or size, and memory that is not there.
fn mapped(
    frame: &impl VideoFrameExt,
    info: &PictureInfo,
) -> Result<[Mapped; MOST_PLANES], FrameError> {
    let found = (frame.format(), Size::new(frame.width(), frame.height()));
    let expected = (video_format(info.format), info.size);
    if found != expected {
        return Err(FrameError::Changed { found, expected });
    }
    let extents = frame_layout::extents(frame.buffer(), frame.info(), info)?;
    let empty = Mapped {
        data: std::ptr::NonNull::dangling().as_ptr(),
        length: 0,
        stride: 0,
    };
    let mut planes = [empty; MOST_PLANES];
    let given = planes.iter_mut().zip(frame.plane_stride()).zip(extents);
    for (plane, ((mapped, &stride), extent)) in given.take(count(info)).enumerate() {
        // What maps the memory of a meta may state another stride than the meta does.
        let stride = usize::try_from(stride).map_err(|_| FrameError::Stride { plane, stride })?;
        info.check_plane(plane, stride, extent.length)?;
        // SAFETY: the frame is mapped, so its pointers are set. They are only copied.
        let data = unsafe { (*frame.as_ptr()).data[plane] };
        *mapped = Mapped {
            data: data.cast(),
            length: info.plane_bytes(plane, stride),
            stride,
        };
    }
    Ok(planes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info_of(caps: &str) -> VideoInfo {
        gst::init().expect("GStreamer is installed");
        let caps: gst::Caps = caps.parse().expect("caps of a test");
        VideoInfo::from_caps(&caps).expect("video caps")
    }

    fn colours(caps: &str) -> (YuvMatrix, YuvRange) {
        let info = info_of(&format!("video/x-raw,framerate=30/1,{caps}"));
        let info = picture_info(&info).expect("a known format");
        (info.matrix, info.range)
    }

    #[test]
    fn the_template_names_every_format_in_order() {
        gst::init().expect("GStreamer is installed");
        let caps = caps();
        let formats = caps
            .structure(0)
            .and_then(|s| s.get::<gst::List>("format").ok());
        let formats = formats.expect("a list of formats");
        let names: Vec<_> = formats
            .iter()
            .filter_map(|v| v.get::<&str>().ok())
            .collect();
        assert_eq!(names.len(), PixelFormat::ALL.len());
        assert_eq!((names[0], names[20]), ("I420", "GRAY8"));
    }

    #[test]
    fn colorimetry_is_that_of_the_caps_else_of_gstreamer() {
        use YuvMatrix::*;
        use YuvRange::*;
        let cases = [
            ("format=I420,width=640,height=480", (Bt601, Limited)),
            ("format=I420,width=720,height=576", (Bt601, Limited)),
            ("format=I420,width=1280,height=720", (Bt709, Limited)),
            (
                "format=I420,width=1280,height=720,colorimetry=bt601",
                (Bt601, Limited),
            ),
            (
                "format=NV12,width=640,height=480,colorimetry=1:4:0:0",
                (Bt601, Full),
            ),
            (
                "format=I420,width=640,height=480,colorimetry=bt2020",
                (Bt2020, Limited),
            ),
            (
                "format=I420,width=640,height=480,colorimetry=smpte240m",
                (Bt709, Limited),
            ),
        ];
        for (caps, wanted) in cases {
            assert_eq!(colours(caps), wanted, "{caps}");
        }
        assert_eq!(colours("format=GRAY8,width=640,height=480").1, Full);
    }

    #[test]
    fn caps_are_ordered_and_nothing_else_of_them_changes() {
        gst::init().expect("GStreamer is installed");
        let caps: gst::Caps =
            "video/x-raw(meta:Other),format={GRAY8,RGB},width=1; video/x-raw,width=2; \
             video/x-raw,format=P010_10LE,width=3; video/x-raw,format=NV12,width=[4,9]; \
             video/x-raw,format={NV16,I420},width=5; video/x-raw,format=NV12,width=6"
                .parse()
                .expect("caps of a test");
        let wanted: gst::Caps =
            "video/x-raw,format={I420,NV16},width=5; video/x-raw,format=NV12,width=[4,9]; \
             video/x-raw,format=NV12,width=6; video/x-raw(meta:Other),format={RGB,GRAY8},width=1; \
             video/x-raw,width=2; video/x-raw,format=P010_10LE,width=3"
                .parse()
                .expect("caps of a test");
        assert_eq!(
            in_order_of_preference(&caps).to_string(),
            wanted.to_string()
        );
        let empty = gst::Caps::new_empty();
        assert!(in_order_of_preference(&empty).is_empty());
    }

    #[test]
    fn a_short_buffer_is_told_with_bytes_met_and_wanted_and_its_rows() {
        let info = info_of("video/x-raw,format=RGB,width=81,height=15,framerate=0/1");
        let told = |info: &VideoInfo, length| {
            let buffer = gst::Buffer::with_size(length).expect("a few bytes");
            let picture = picture_info(info).expect("a known format");
            let frame = readable(&buffer, info, &picture);
            frame.map(drop).unwrap_err().to_string()
        };
        assert_eq!(
            told(&info, 100),
            "buffer has 100 bytes, expected 3660 for RGB of 81x15: 15 rows of 243 bytes padded to 244"
        );
        assert!(told(&info, 81 * 3 * 15).contains("rows without padding, as these seem to be"));
        let info = info_of("video/x-raw,format=NV12,width=5,height=3,framerate=0/1");
        let told = told(&info, 27);
        assert!(
            told.contains(
                "3 rows of 5 bytes padded to 8, 2 rows of 6 bytes padded to 8; rows without"
            ),
            "{told}"
        );
    }

    #[test]
    fn a_format_we_do_not_read_is_named_with_those_we_do() {
        let info = info_of("video/x-raw,format=P010_10LE,width=64,height=48,framerate=30/1");
        let error = picture_info(&info).unwrap_err().to_string();
        assert!(
            error.contains("P010_10LE") && error.contains("NV16"),
            "{error}"
        );
    }

    #[test]
    fn pixel_aspect_and_size_come_from_the_caps() {
        let caps =
            "video/x-raw,format=BGR,width=720,height=576,framerate=0/1,pixel-aspect-ratio=16/15";
        let info = picture_info(&info_of(caps)).expect("BGR is known");
        assert_eq!(
            (info.size, info.pixel_aspect),
            (Size::new(720, 576), (16, 15))
        );
    }

    #[test]
    fn stride_and_offset_of_the_video_meta_hold() {
        let info = info_of("video/x-raw,format=GRAY8,width=3,height=2,framerate=0/1");
        let picture = picture_info(&info).expect("GRAY8 is known");
        let mut buffer = gst::Buffer::from_slice((0..40_u8).collect::<Vec<_>>());
        let writable = buffer.get_mut().expect("one owner");
        let flags = gst_video::VideoFrameFlags::empty();
        gst_video::VideoMeta::add_full(writable, flags, VideoFormat::Gray8, 3, 2, &[5], &[16])
            .expect("a layout inside the buffer");
        let frame = VideoFrameRef::from_buffer_ref_readable(&buffer, &info).expect("mapped");
        let view = view(&frame, &picture).expect("a picture");
        assert_eq!(view.plane(0).row(0, 3), [5, 6, 7]);
        assert_eq!(view.plane(0).row(1, 3), [21, 22, 23]);

        let other = PictureInfo::new(PixelFormat::Gray8, Size::new(4, 2));
        assert!(matches!(
            super::view(&frame, &other),
            Err(FrameError::Changed { .. })
        ));
    }

    #[test]
    fn rows_from_the_bottom_up_are_refused() {
        let info = info_of("video/x-raw,format=GRAY8,width=4,height=4,framerate=0/1");
        let picture = picture_info(&info).expect("GRAY8 is known");
        let mut buffer = gst::Buffer::from_slice([0_u8; 16]);
        let writable = buffer.get_mut().expect("one owner");
        let flags = gst_video::VideoFrameFlags::empty();
        gst_video::VideoMeta::add_full(writable, flags, VideoFormat::Gray8, 4, 4, &[12], &[-4])
            .expect("a layout inside the buffer");
        let frame = VideoFrameRef::from_buffer_ref_readable(&buffer, &info).expect("mapped");
        let error = view(&frame, &picture).unwrap_err().to_string();
        assert!(error.contains("stride of -4"), "{error}");
    }
}
