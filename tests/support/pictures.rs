//! Frames with regions, and the overlay in a harness.

use gst::prelude::*;
use gst_video::prelude::*;
use gst_video::{VideoFrame, VideoInfo};
use gstdetect::base::detection::Detection;
use gstdetect::base::geometry::{BBox, Size};
use gstdetect::bridge::meta::{self, Labelled};

pub fn caps(format: &str, size: Size) -> String {
    let Size { width, height } = size;
    format!("video/x-raw,format={format},width={width},height={height},framerate=30/1")
}

pub fn info(caps: &str) -> VideoInfo {
    let caps: gst::Caps = caps.parse().expect("caps of a test");
    VideoInfo::from_caps(&caps).expect("video caps")
}

pub fn detection(bbox: BBox, label: &str, number: u64) -> Labelled<'_> {
    let detection = Detection {
        bbox,
        class: 0,
        score: 0.87,
    };
    Labelled {
        detection,
        label,
        number,
        track: None,
        seen: None,
        age: None,
    }
}

pub fn with_regions(mut buffer: gst::Buffer, size: Size, regions: &[Labelled<'_>]) -> gst::Buffer {
    meta::attach(buffer.make_mut(), size, regions);
    buffer
}

/// A frame of one colour.
pub fn converted(caps: &str, size: Size, colour: [u8; 3]) -> gst::Buffer {
    let rgb = self::caps("RGB", size);
    let mut buffer = gst::Buffer::with_size(info(&rgb).size()).expect("memory");
    let writable = buffer.get_mut().expect("one owner");
    let mut frame =
        gst_video::VideoFrameRef::from_buffer_ref_writable(writable, &info(&rgb)).expect("mapped");
    let stride = frame.plane_stride()[0] as usize;
    for row in frame.plane_data_mut(0).expect("RGB").chunks_mut(stride) {
        row[..size.width as usize * 3]
            .chunks_mut(3)
            .for_each(|pixel| pixel.copy_from_slice(&colour));
    }
    drop(frame);
    convert(&buffer, &rgb, caps)
}

/// The pixels, row by row.
pub fn to_rgb(buffer: &gst::Buffer, caps: &str, size: Size) -> Vec<[u8; 3]> {
    let rgb = self::caps("RGB", size);
    let buffer = convert(buffer, caps, &rgb);
    let frame = VideoFrame::from_buffer_readable(buffer, &info(&rgb)).expect("mapped");
    let stride = frame.plane_stride()[0] as usize;
    let rows = frame.plane_data(0).expect("RGB").chunks(stride);
    rows.flat_map(|row| row[..size.width as usize * 3].chunks_exact(3))
        .map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect()
}

/// By `videoconvert`, chroma not interpolated, so that a pixel's colour is its own.
pub fn convert(buffer: &gst::Buffer, from: &str, to: &str) -> gst::Buffer {
    let mut h = gst_check::Harness::new_parse("videoconvert dither=none chroma-mode=none");
    h.set_src_caps(from.parse().expect("caps of a test"));
    h.set_sink_caps(to.parse().expect("caps of a test"));
    h.push_and_pull(buffer.copy()).expect("a converted frame")
}

/// `detectoverlay` between two pads of the test.
pub struct Overlay {
    pub harness: gst_check::Harness,
}

impl Overlay {
    /// Painting: the test's sink accepts `caps` as they are.
    pub fn new(properties: &str, caps: &str) -> Self {
        let mut overlay = Self::without_caps(properties);
        overlay
            .harness
            .set_src_caps(caps.parse().expect("caps of a test"));
        overlay
    }

    pub fn without_caps(properties: &str) -> Self {
        let element = gst::parse::launch(&format!("detectoverlay {properties}"));
        let element = element.expect("properties of a test");
        let harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        Self { harness }
    }

    /// A sink that composes; `allocation`: whether it says so in the ALLOCATION query too.
    pub fn composing(properties: &str, caps: &str, allocation: bool) -> Self {
        Self::composing_behind(&format!("detectoverlay {properties}"), caps, allocation)
    }

    /// The same behind `elements`, which begin with the overlay.
    pub fn composing_behind(elements: &str, caps: &str, allocation: bool) -> Self {
        super::init();
        let element = match elements.contains('!') {
            true => gst::parse::bin_from_description(elements, true).map(|bin| bin.upcast()),
            false => gst::parse::launch(elements),
        };
        let element: gst::Element = element.expect("elements of a test");
        let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        if allocation {
            let meta = gst_video::VideoOverlayCompositionMeta::meta_api();
            harness.add_propose_allocation_meta(meta, None);
        }
        let mut sink: gst::Caps = caps.parse().expect("caps of a test");
        let feature = gst_video::CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION;
        let features = gst::CapsFeatures::new(["memory:SystemMemory", feature.as_str()]);
        sink.make_mut().set_features_simple(Some(features));
        sink.merge(caps.parse::<gst::Caps>().expect("caps of a test"));
        harness.set_sink_caps(sink);
        harness.set_src_caps(caps.parse().expect("caps of a test"));
        Self { harness }
    }

    pub fn push(&mut self, buffer: gst::Buffer) -> gst::Buffer {
        self.harness.push_and_pull(buffer).expect("a frame")
    }
}
