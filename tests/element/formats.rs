//! A face is found alike in frames of every format, size and memory layout, and the frames pass untouched.

use crate::support::{PORTRAIT_SIDE, Rig, Source, face, init, portrait, run, scaled};
use gst_video::prelude::*;
use gst_video::{VideoFrame, VideoInfo};
use gstdetect::base::geometry::BBox;
use gstdetect::base::image::PixelFormat;

/// Least IoU of a box, which is in whole pixels, with the expected one.
const MIN_IOU: f32 = 0.9;
/// How far the score may be from that of RGB of the same size. Formats differ by up to 0.005 (chroma of half the
/// size, rounding); red and blue exchanged make 0.017, U and V exchanged 0.04.
const SAME_PICTURE: f64 = 0.01;
/// The same for grey: the model was trained on colours, of which there are none; 0.015 was measured.
const WITHOUT_COLOURS: f64 = 0.05;
/// The same where the picture was scaled by `videoscale` first.
const SCALED_PICTURE: f64 = 0.1;
/// Chroma planes of half the width and height are rounded up.
const ODD: (u32, u32) = (301, 299);

/// The picture as one frame of these caps, before the element.
fn picture(format: &str, width: u32, height: u32, more: &str) -> gst::Sample {
    let mut frames = run(&pictures(format, width, height, more));
    frames.pop().expect("one frame")
}

fn pictures(format: &str, width: u32, height: u32, more: &str) -> String {
    format!(
        "{} ! videoscale add-borders=false ! videoconvert \
         ! video/x-raw,format={format},width={width},height={height}{more}",
        portrait()
    )
}

/// The face that the element finds in it.
fn found(format: &str, width: u32, height: u32, more: &str) -> (BBox, f64) {
    let pipeline = pictures(format, width, height, more);
    let frames = run(&format!("{pipeline} ! detect"));
    assert_eq!(frames.len(), 1, "{format} {width}x{height}");
    face(frames[0].buffer().expect("a frame"))
}

fn assert_alike(what: &str, found: (BBox, f64), expected: (BBox, f64), tolerance: f64) {
    let (iou, difference) = (found.0.iou(&expected.0), (found.1 - expected.1).abs());
    assert!(
        iou >= MIN_IOU && difference <= tolerance,
        "{what}: {found:?}, expected {expected:?}: IoU {iou}, scores {difference} apart"
    );
}

/// How far the score of a format may be from that of RGB.
fn tolerance(format: &str) -> f64 {
    match format {
        "GRAY8" => WITHOUT_COLOURS,
        _ => SAME_PICTURE,
    }
}

fn formats() -> Vec<String> {
    init();
    let formats = PixelFormat::ALL
        .map(|format| gstdetect::bridge::video_frame::video_format(format).to_string());
    assert_eq!(formats.len(), 21);
    formats.into()
}

/// The formats that the element offers to a source with these caps, in order: those of each structure.
fn offered(source: Option<&str>) -> Vec<Vec<String>> {
    let rig = Rig::stopped("", Source::LIVE);
    let caps = source.map(|caps| caps.parse::<gst::Caps>().expect("caps of a test"));
    let answer = rig.source_pad().peer_query_caps(caps.as_ref());
    let formats = |structure: &gst::StructureRef| match structure.get::<gst::List>("format") {
        Ok(list) => list.iter().map(|f| f.get().expect("a text")).collect(),
        Err(_) => vec![structure.get("format").expect("a text")],
    };
    answer.iter().map(formats).collect()
}

#[test]
fn a_source_is_offered_formats_in_our_order_whatever_its_own() {
    let all = formats();
    assert_eq!(offered(None), [all.clone()]);
    // As libcamerasrc asks: each format with its sizes, grey first.
    let camera = "video/x-raw,format=GRAY8,width=640,height=480; \
                  video/x-raw,format=BGR,width=1280,height=720; \
                  video/x-raw,format=NV12,width=640,height=480; \
                  video/x-raw,format=BGR,width=640,height=480; video/x-raw,format=P010_10LE";
    let wanted = ["NV12", "BGR", "BGR", "GRAY8"];
    assert_eq!(
        offered(Some(camera)),
        wanted.map(|format| vec![format.to_owned()])
    );
    let mut backwards = all.clone();
    backwards.reverse();
    let list = format!("video/x-raw,format={{{}}}", backwards.join(","));
    assert_eq!(offered(Some(&list)), [all]);
}

#[test]
fn the_face_is_found_in_every_format() {
    let expected = found("RGB", PORTRAIT_SIDE, PORTRAIT_SIDE, "");
    for format in formats() {
        let found = found(&format, PORTRAIT_SIDE, PORTRAIT_SIDE, "");
        assert_alike(&format, found, expected, tolerance(&format));
    }
}

#[test]
fn the_face_is_found_in_every_format_of_odd_size() {
    let (width, height) = ODD;
    let square = ",pixel-aspect-ratio=1/1";
    let (whole, score) = found("RGB", PORTRAIT_SIDE, PORTRAIT_SIDE, "");
    let side = PORTRAIT_SIDE as f32;
    let smaller = scaled(whole, width as f32 / side, height as f32 / side);
    let expected = found("RGB", width, height, square);
    assert_alike("RGB", expected, (smaller, score), SCALED_PICTURE);
    for format in formats() {
        let found = found(&format, width, height, square);
        assert_alike(&format, found, expected, tolerance(&format));
    }
}

#[test]
fn swapped_colours_are_beyond_the_tolerance() {
    for (is, read_as) in [("BGR", "RGB"), ("YV12", "I420"), ("NV21", "NV12")] {
        let [is, read_as] = [is, read_as].map(|f| picture(f, PORTRAIT_SIDE, PORTRAIT_SIDE, ""));
        let right = read_as.buffer_owned().expect("a frame");
        let bytes = is
            .buffer()
            .expect("a frame")
            .map_readable()
            .expect("memory")
            .to_vec();
        let mut harness = detect_for(&read_as);
        let mut score = |frame| face(&harness.push_and_pull(frame).expect("a frame")).1;
        let (right, wrong) = (score(right), score(gst::Buffer::from_slice(bytes)));
        assert!((right - wrong).abs() > SAME_PICTURE, "{right} {wrong}");
    }
}

#[test]
fn a_box_is_in_pixels_also_where_these_are_no_squares() {
    let (whole, score) = found("RGB", PORTRAIT_SIDE, PORTRAIT_SIDE, "");
    let half = PORTRAIT_SIDE / 2;
    for (width, height, aspect, x, y) in [
        (half, PORTRAIT_SIDE, "2/1", 0.5, 1.0),
        (PORTRAIT_SIDE, half, "1/2", 1.0, 0.5),
    ] {
        let more = format!(",pixel-aspect-ratio={aspect}");
        for format in ["RGB", "I420"] {
            let found = found(format, width, height, &more);
            assert_alike(&more, found, (scaled(whole, x, y), score), SCALED_PICTURE);
        }
    }
}

/// The frame again, each plane in a memory of its own, its rows `padding` bytes apart, these filled with noise.
fn in_pieces(sample: &gst::Sample, padding: usize) -> gst::Buffer {
    let info = info_of(sample);
    let frame = VideoFrame::from_buffer_readable(sample.buffer_owned().expect("a frame"), &info);
    let frame = frame.expect("mapped");
    let mut buffer = gst::Buffer::new();
    let writable = buffer.get_mut().expect("a new buffer");
    let (mut offsets, mut strides) = (Vec::new(), Vec::new());
    for plane in 0..frame.n_planes() {
        let from = frame.plane_stride()[plane as usize] as usize;
        let component = if plane == 0 { 0 } else { 1 };
        let pixel = frame.comp_pstride(component) as usize;
        let (width, height) = (
            frame.comp_width(component) as usize * pixel,
            frame.comp_height(component),
        );
        let (mut memory, data) = (Vec::new(), frame.plane_data(plane).expect("a plane"));
        for row in data.chunks(from).take(height as usize) {
            memory.extend_from_slice(&row[..width]);
            memory.extend((0..padding).map(|n| (n * 97) as u8));
        }
        offsets.push(writable.size());
        strides.push((width + padding) as i32);
        writable.append_memory(gst::Memory::from_mut_slice(memory));
    }
    let flags = gst_video::VideoFrameFlags::empty();
    gst_video::VideoMeta::add_full(
        writable,
        flags,
        info.format(),
        info.width(),
        info.height(),
        &offsets,
        &strides,
    )
    .expect("a layout inside the buffer");
    buffer
}

fn info_of(sample: &gst::Sample) -> VideoInfo {
    VideoInfo::from_caps(sample.caps().expect("a frame has caps")).expect("video caps")
}

fn detect_for(sample: &gst::Sample) -> gst_check::Harness {
    init();
    let mut harness = gst_check::Harness::new("detect");
    harness.set_src_caps(sample.caps_owned().expect("a frame has caps"));
    harness
}

#[test]
fn padded_rows_and_a_memory_for_each_plane_are_read_as_the_video_meta_says() {
    let even = (PORTRAIT_SIDE, PORTRAIT_SIDE);
    for (format, (width, height)) in [("I420", even), ("NV12", even), ("I420", ODD), ("NV12", ODD)]
    {
        let sample = picture(format, width, height, ",pixel-aspect-ratio=1/1");
        let mut harness = detect_for(&sample);
        let whole = harness.push_and_pull(sample.buffer_owned().expect("a frame"));
        let pieces = in_pieces(&sample, 37);
        assert!(pieces.n_memory() > 1);
        let pieces = harness.push_and_pull(pieces);
        let (whole, pieces) = (whole.expect("a frame"), pieces.expect("a frame"));
        assert_eq!(face(&pieces), face(&whole), "{format} {width}x{height}");
    }
}

#[test]
fn the_frame_passes_untouched() {
    let sample = picture("I420", PORTRAIT_SIDE, PORTRAIT_SIDE, "");
    let mut harness = detect_for(&sample);
    for shared in [false, true] {
        let mut frame = in_pieces(&sample, 64);
        let before = frame.copy_deep().expect("memory");
        let writable = frame.get_mut().expect("a new buffer");
        writable.set_pts(gst::ClockTime::SECOND);
        writable.set_offset(7);
        let memories: Vec<_> = (0..frame.n_memory())
            .map(|n| frame.peek_memory(n).as_ptr())
            .collect();
        // A tee, or a source that keeps its frames, holds one as well.
        let kept = shared.then(|| frame.clone());
        let out = harness.push_and_pull(frame).expect("a frame");
        face(&out);
        let after: Vec<_> = (0..out.n_memory())
            .map(|n| out.peek_memory(n).as_ptr())
            .collect();
        assert_eq!(
            after, memories,
            "the same memories, not copies; shared: {shared}"
        );
        assert_eq!((out.pts(), out.offset()), (Some(gst::ClockTime::SECOND), 7));
        assert!(out.meta::<gst_video::VideoMeta>().is_some());
        let bytes = |buffer: &gst::Buffer| buffer.map_readable().expect("readable").to_vec();
        assert!(bytes(&out) == bytes(&before), "the pixels have changed");
        if let Some(kept) = kept {
            assert!(
                gstdetect::bridge::meta::read(&kept).is_empty(),
                "what others hold is left alone"
            );
        }
    }
}
