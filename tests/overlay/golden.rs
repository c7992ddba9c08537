//! Boxes, labels, tracks and a pixelated face beside the picture kept of them, which people have looked at.
//!
//! `DETECT_GOLDEN=write cargo test --test overlay golden` writes `tests/golden/overlay.png` anew.

use crate::support::{self, Overlay, detection};
use gst::prelude::*;
use gstdetect::base::geometry::{BBox, Size};
use std::path::{Path, PathBuf};

const SIZE: Size = Size::new(320, 180);
/// Greatest mean difference of all channels; `videoconvert` alone makes 3.
const MEAN: f64 = 5.0;
/// A channel that differs by more is far off: letters on a ground of another colour, where four pixels share their chroma.
const FAR: u8 = 80;
/// Greatest share of pixels with such a channel.
const MOST_FAR: f64 = 0.01;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/overlay.png")
}

/// Light and dark of several colours, with edges, in steps so that the file is small.
fn ground() -> Vec<u8> {
    let pixel = |index: u32| {
        let (x, y) = (index % SIZE.width, index / SIZE.width);
        let band = (x / 40 % 2 * 90) as i32 - 45;
        let slope = |v: u32, of: u32| (v * 8 / of * 32) as i32;
        [slope(x, SIZE.width), slope(y, SIZE.height), 128].map(|v| (v + band).clamp(0, 255) as u8)
    };
    (0..SIZE.area() as u32).flat_map(pixel).collect()
}

fn rgb() -> String {
    support::caps("RGB", SIZE)
}

/// The ground in `caps`, through the overlay if it is to be drawn on, as RGB.
fn picture(caps: &str, drawn: bool) -> Vec<[u8; 3]> {
    let ground = gst::Buffer::from_slice(ground());
    let frame = support::convert(&ground, &rgb(), caps);
    if !drawn {
        return support::to_rgb(&frame, caps, SIZE);
    }
    // Odd corners: lines of two pixels then begin with a chroma cell, and no format puts them elsewhere.
    let regions = [
        detection(BBox::new(21.0, 41.0, 101.0, 161.0), "person", 1),
        detection(BBox::new(25.0, 41.0, 77.0, 101.0), "face", 2),
        detection(BBox::new(141.0, 3.0, 221.0, 61.0), "кот", 3),
        detection(BBox::new(241.0, 91.0, 341.0, 151.0), "traffic light", 4),
        detection(BBox::new(131.0, 111.0, 135.0, 117.0), "bird", 5),
    ];
    let mut frame = support::with_regions(frame, SIZE, &regions);
    let track = gst::Structure::builder("object_id").field("id", 7_i32);
    let writable = frame.make_mut();
    if let Some(mut meta) = writable.meta_mut::<gst_video::VideoRegionOfInterestMeta>() {
        meta.add_param(track.build());
    }
    let mut overlay = Overlay::new("blur=face", caps);
    support::to_rgb(&overlay.push(frame), caps, SIZE)
}

fn run(pipeline: &str) -> gst::Sample {
    support::run(pipeline).remove(0)
}

/// Mean difference of the channels, and share of the pixels that are far off.
fn difference(a: &[[u8; 3]], b: &[[u8; 3]]) -> (f64, f64) {
    assert_eq!(a.len(), b.len());
    let (mut sum, mut far) = (0_u64, 0_u64);
    for (a, b) in a.iter().zip(b) {
        let channels = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
        sum += channels.clone().map(u64::from).sum::<u64>();
        far += u64::from(channels.max().unwrap_or(0) > FAR);
    }
    let count = a.len() as f64;
    (sum as f64 / count / 3.0, far as f64 / count)
}

fn write(pixels: &[[u8; 3]], path: &Path) {
    let bytes: Vec<u8> = pixels.concat();
    let pipeline = gst::parse::launch(&format!(
        "appsrc name=in caps=\"{}\" format=time ! pngenc compression-level=9 ! filesink location=\"{}\"",
        rgb(),
        path.display()
    ));
    let pipeline = pipeline
        .expect("elements that are there")
        .downcast::<gst::Pipeline>()
        .expect("several");
    let source = pipeline.by_name("in").expect("just named");
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let flow: gst::FlowReturn =
        source.emit_by_name("push-buffer", &[&gst::Buffer::from_slice(bytes)]);
    assert_eq!(flow, gst::FlowReturn::Ok);
    let _: gst::FlowReturn = source.emit_by_name("end-of-stream", &[]);
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let end = bus.timed_pop_filtered(
        gst::ClockTime::from_seconds(20),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    assert!(end.is_some_and(|m| m.type_() == gst::MessageType::Eos));
    pipeline.set_state(gst::State::Null).expect("it ends");
}

#[test]
fn the_drawing_is_the_one_that_was_looked_at() {
    support::init();
    let formats = ["RGBA", "I420", "NV12"].map(|format| support::caps(format, SIZE));
    if std::env::var_os("DETECT_GOLDEN").is_some() {
        write(&picture(&formats[0], true), &golden());
    }
    let sample = run(&format!(
        "filesrc location=\"{}\" ! pngdec ! videoconvert ! video/x-raw,format=RGB",
        golden().display()
    ));
    let kept = support::to_rgb(&sample.buffer_owned().expect("a picture"), &rgb(), SIZE);
    for caps in formats {
        let drawn = picture(&caps, true);
        let seen = Path::new(env!("CARGO_TARGET_TMPDIR")).join("overlay.png");
        write(&drawn, &seen); // the one that fails stays, to be looked at
        let (mean, far) = difference(&drawn, &kept);
        assert!(
            mean <= MEAN && far <= MOST_FAR,
            "{caps}: mean {mean:.2}, far {far:.4}"
        );
        let (_, far) = difference(&picture(&caps, false), &kept);
        assert!(
            far > 5.0 * MOST_FAR,
            "{caps}: nothing drawn is taken for good"
        );
    }
}
