//! `detectoverlay` paints every format in its own matrix, on the right pixels and nowhere else.

use crate::support::{self, Overlay, detection};
use gst_video::VideoFormat;
use gstdetect::base::geometry::{BBox, Size};
use gstdetect::base::image::PixelFormat;
use gstdetect::bridge::video_frame::video_format;
use gstdetect::vision::draw::colour_of;

const SIZE: Size = Size::new(64, 48);
const GREY: [u8; 3] = [128; 3];
/// `videoconvert` calculates some formats with seven bits.
const TOLERANCE: u8 = 6;
/// In pixels of the frame; the line of width 4 lies two pixels to either side.
const BOX: BBox = BBox::new(20.0, 12.0, 44.0, 36.0);

/// A frame of `caps` painted in grey, with one region, through the overlay and back to RGB.
fn painted(caps: &str, size: Size) -> Vec<[u8; 3]> {
    let mut overlay = Overlay::new("line-width=4 show-labels=false show-scores=false", caps);
    let buffer = support::converted(caps, size, GREY);
    let out = overlay.push(support::with_regions(
        buffer,
        size,
        &[detection(BOX, "dog", 1)],
    ));
    support::to_rgb(&out, caps, size)
}

/// The largest difference of a channel.
fn distance(a: [u8; 3], b: [u8; 3]) -> u8 {
    let channels = a.into_iter().zip(b).map(|(a, b)| a.abs_diff(b));
    channels.max().unwrap_or(0)
}

fn luma([r, g, b]: [u8; 3]) -> u8 {
    (0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)).round() as u8
}

fn check(caps: &str, format: VideoFormat) {
    let pixels = painted(caps, SIZE);
    let before = support::to_rgb(&support::converted(caps, SIZE, GREY), caps, SIZE);
    let [r, g, b, _] = colour_of("dog");
    let line = match format {
        VideoFormat::Gray8 => [luma([r, g, b]); 3],
        _ => [r, g, b],
    };
    let at = |x: usize, y: usize| pixels[y * SIZE.width as usize + x];
    for x in 18..46 {
        for y in [10, 13, 34, 37] {
            let found = at(x, y);
            assert!(
                distance(found, line) <= TOLERANCE,
                "{caps}: {x},{y} is {found:?}, expected {line:?}"
            );
        }
    }
    for y in 10..38 {
        for x in [18, 21, 42, 45] {
            let found = at(x, y);
            assert!(
                distance(found, line) <= TOLERANCE,
                "{caps}: {x},{y} is {found:?}, expected {line:?}"
            );
        }
    }
    // One dark pixel on either side, in 4:2:0 with its share of the neighbour's chroma.
    let far = |v: usize, from: usize, to: usize| v < from - 2 || v > to + 1;
    for y in 0..SIZE.height as usize {
        for x in 0..SIZE.width as usize {
            let inside = (24..40).contains(&x) && (16..32).contains(&y);
            if inside || far(x, 18, 46) || far(y, 10, 38) {
                let place = y * SIZE.width as usize + x;
                assert_eq!(pixels[place], before[place], "{caps}: {x},{y} was touched");
            }
        }
    }
}

#[test]
fn every_format_gets_the_colour_of_the_class_on_the_edge_and_nothing_elsewhere() {
    support::init();
    for format in PixelFormat::ALL.map(video_format) {
        check(&support::caps(format.to_str(), SIZE), format);
    }
}

#[test]
fn the_colour_does_not_depend_on_matrix_and_range() {
    support::init();
    for colorimetry in ["bt601", "bt709", "bt2020", "1:4:0:0", "1:3:0:0"] {
        let caps = support::caps("NV12", SIZE);
        check(
            &format!("{caps},colorimetry={colorimetry}"),
            VideoFormat::Nv12,
        );
    }
}

#[test]
fn odd_sizes_are_painted_up_to_their_last_pixel() {
    support::init();
    for format in PixelFormat::ALL.map(video_format) {
        let size = Size::new(45, 37);
        let pixels = painted(&support::caps(format.to_str(), size), size);
        let corner = pixels[pixels.len() - 1];
        let [r, g, b, _] = colour_of("dog");
        let line = if format == VideoFormat::Gray8 {
            [luma([r, g, b]); 3]
        } else {
            [r, g, b]
        };
        assert!(
            distance(corner, line) <= 8,
            "{format}: {corner:?}, expected {line:?}"
        );
    }
}

/// Formats of the pad templates and formats tested are one list.
#[test]
fn the_template_lists_what_is_tested() {
    support::init();
    let factory = gst::ElementFactory::find("detectoverlay").expect("registered");
    for template in factory.static_pad_templates() {
        let caps = template.caps();
        let first = caps
            .structure(0)
            .and_then(|s| s.get::<gst::List>("format").ok());
        assert_eq!(first.expect("formats").len(), PixelFormat::ALL.len());
    }
}
