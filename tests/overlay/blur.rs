//! Boxes named by `blur` cannot be recognised, in every format, whoever composes; doubts are warned of.

use crate::support::{self, Overlay, detection};
use gst_video::VideoOverlayCompositionMeta as CompositionMeta;
use gstdetect::base::geometry::{BBox, Size};
use gstdetect::base::image::PixelFormat;
use gstdetect::bridge::meta::{self, Labelled};
use gstdetect::bridge::video_frame::video_format;
use std::collections::HashSet;

const SIZE: Size = Size::new(160, 120);
/// Pixelated is an eighth more on each side, 50..110 by 26..86, in squares of 10 pixels.
const BOX: BBox = BBox::new(56.0, 32.0, 104.0, 80.0);
/// Without lines and letters, which would lie over what is looked at.
const BARE: &str = "line-width=1 show-labels=false show-scores=false";

/// Noise of one brightness a pixel, so that every format keeps it.
fn noise(caps: &str) -> gst::Buffer {
    let grey = support::caps("GRAY8", SIZE);
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 / 2 + 60
    };
    let pixels: Vec<u8> = (0..SIZE.area()).map(next).collect();
    support::convert(&gst::Buffer::from_slice(pixels), &grey, caps)
}

fn luma(buffer: &gst::Buffer, caps: &str) -> Vec<u8> {
    let pixels = support::to_rgb(buffer, caps, SIZE);
    pixels.into_iter().map(|[_, g, _]| g).collect()
}

fn at(pixels: &[u8], xs: std::ops::Range<usize>, ys: std::ops::Range<usize>) -> Vec<u8> {
    let width = SIZE.width as usize;
    let row = |y: usize| pixels[y * width + xs.start..y * width + xs.end].to_vec();
    ys.flat_map(row).collect()
}

/// The inside of one of the squares of 10 pixels has one brightness, and the far outside is as it was.
fn check(caps: &str, before: &[u8], after: &[u8]) {
    for (x, y) in [(60, 36), (70, 46), (90, 66)] {
        let square = at(after, x..x + 10, y..y + 10);
        let (least, most) = (square.iter().min(), square.iter().max());
        let spread = most.unwrap() - least.unwrap();
        assert!(
            spread <= 3,
            "{caps}: the square at {x},{y} spreads {spread}"
        );
    }
    let values: HashSet<_> = at(after, 60..100, 36..76).into_iter().collect();
    assert!(values.len() <= 16 * 2, "{caps}: {} values", values.len());
    for (xs, ys) in [
        (0..48, 0..120),
        (112..160, 0..120),
        (48..112, 0..24),
        (48..112, 88..120),
    ] {
        assert_eq!(
            at(after, xs.clone(), ys.clone()),
            at(before, xs, ys),
            "{caps}: outside"
        );
    }
}

#[test]
fn every_format_is_pixelated_and_a_shared_frame_is_not_touched() {
    support::init();
    let properties = format!("{BARE} blur=plate,Face");
    for format in PixelFormat::ALL.map(video_format) {
        let caps = support::caps(format.to_str(), SIZE);
        let frame = support::with_regions(noise(&caps), SIZE, &[detection(BOX, "face", 1)]);
        let before = luma(&frame, &caps);
        let shared = frame.clone();
        let painted = Overlay::new(&properties, &caps).push(frame);
        check(&caps, &before, &luma(&painted, &caps));
        assert_eq!(
            luma(&shared, &caps),
            before,
            "{caps}: somebody else's frame"
        );
        let composing = Overlay::composing(&properties, &caps, true).push(shared);
        assert!(composing.meta::<CompositionMeta>().is_some(), "{caps}");
        check(&caps, &before, &luma(&composing, &caps));
    }
}

#[test]
fn faces_at_the_edge_are_covered_to_the_edge_and_other_labels_are_left() {
    support::init();
    let caps = support::caps("GRAY8", SIZE);
    let regions = [
        detection(BBox::new(-30.0, -20.0, 30.0, 40.0), "face", 1),
        detection(BBox::new(90.0, 60.0, 150.0, 110.0), "dog", 2),
    ];
    let mut frame = noise(&caps);
    // As another producer may write it: unclipped, and without a structure.
    gst_video::VideoRegionOfInterestMeta::add(frame.make_mut(), "face", (150, 100, 30, 30));
    let frame = support::with_regions(frame, SIZE, &regions);
    let before = luma(&frame, &caps);
    let after = luma(
        &Overlay::new(&format!("{BARE} blur=face"), &caps).push(frame),
        &caps,
    );
    let values: HashSet<_> = at(&after, 0..28, 0..38).into_iter().collect();
    assert!(values.len() <= 40, "{} values at the corner", values.len());
    assert_eq!(at(&after, 95..145, 62..105), at(&before, 95..145, 62..105));
    let corner: HashSet<_> = at(&after, 152..158, 102..117).into_iter().collect();
    assert!(
        corner.len() <= 6,
        "{} values at the other corner",
        corner.len()
    );
}

#[test]
fn old_boxes_are_covered_more_widely() {
    support::init();
    let caps = support::caps("GRAY8", SIZE);
    let blurred = |age| {
        let mut frame = noise(&caps);
        let before = luma(&frame, &caps);
        let face = Labelled {
            age,
            ..detection(BOX, "face", 1)
        };
        meta::attach(frame.make_mut(), SIZE, &[face]);
        let after = luma(
            &Overlay::new(&format!("{BARE} blur=face"), &caps).push(frame),
            &caps,
        );
        before.iter().zip(&after).filter(|(a, b)| a != b).count()
    };
    assert!(blurred(Some(gst::ClockTime::from_mseconds(300))) > 3 * blurred(None) / 2);
}

/// Warnings that a pipeline has posted until EOS.
fn warnings(elements: &str) -> Vec<String> {
    let source = support::portrait();
    let pipeline = support::Pipeline::new(&format!("{source} ! videoconvert ! {elements}"));
    let warnings = pipeline.warnings();
    pipeline.set_state(gst::State::Playing);
    pipeline.rest();
    let warnings = warnings.lock().expect("nobody panics with it");
    warnings.clone()
}

#[test]
fn a_label_that_the_model_has_not_is_warned_of_with_those_it_has() {
    let wrong = warnings("detect ! queue ! detectoverlay blur=faces,face");
    assert!(
        wrong.len() == 1 && wrong[0].contains("\"faces\"") && wrong[0].ends_with("are: face"),
        "{wrong:?}"
    );
    assert_eq!(warnings("detect ! detectoverlay blur=face"), [""; 0]);
    let inactive = warnings("detect active=false ! detectoverlay blur=face");
    assert!(
        inactive.len() == 1 && inactive[0].contains("active=false"),
        "{inactive:?}"
    );
}

#[test]
fn classes_that_are_not_reported_are_no_labels() {
    let model = support::micro_model("yolov8_micro.onnx");
    let detect = format!(
        "videoscale ! detect model={} classes=0 ! detectoverlay",
        model.display()
    );
    let count = |name| warnings(&format!("{detect} blur={name}")).len();
    assert_eq!((count("cat"), count("dog")), (0, 1));
}
