//! Whatever a buffer says of its memory, the overlay paints inside of it, or refuses the frame.

use crate::support::metas::{Layout, Random};
use crate::support::{self, Overlay, detection};
use gstdetect::base::geometry::{BBox, Size};
use gstdetect::base::image::PixelFormat;
use gstdetect::bridge::video_frame::video_format;

const SIZE: Size = Size::new(45, 37);
/// Layouts of each format.
const LAYOUTS: usize = 150;

#[test]
fn a_meta_that_leaves_its_memory_is_refused_in_every_format() {
    support::init();
    let mut random = Random::new(20_261_130);
    let (mut refused, mut painted) = (0, 0);
    let everywhere = BBox::new(-9.0, -9.0, 99.0, 99.0);
    for format in PixelFormat::ALL {
        let caps = support::caps(video_format(format).to_str(), SIZE);
        for properties in ["", "blur=dog"] {
            let mut overlay = Overlay::new(properties, &caps);
            for _ in 0..LAYOUTS / 2 {
                let layout = Layout::random(&mut random, format, SIZE);
                let regions = [detection(everywhere, "dog", 1)];
                let buffer = support::with_regions(layout.buffer(), SIZE, &regions);
                let pushed = overlay.harness.push(buffer);
                let good = layout.holds(format, SIZE) && layout.is_apart();
                assert_eq!(pushed.is_ok(), good, "{format:?}: {layout:?}");
                *(if good { &mut painted } else { &mut refused }) += 1;
            }
        }
    }
    assert!(
        refused > 500 && painted > 500,
        "{refused} refused, {painted} painted"
    );
}

#[test]
fn a_frame_that_needs_no_paint_passes_whatever_its_meta_says() {
    support::init();
    let caps = support::caps("I420", SIZE);
    let mut overlay = Overlay::new("", &caps);
    let mut random = Random::new(7);
    for _ in 0..LAYOUTS {
        let layout = Layout::random(&mut random, PixelFormat::I420, SIZE);
        assert!(overlay.harness.push(layout.buffer()).is_ok(), "{layout:?}");
    }
}
