//! The line of `show-stats`: from the detector upstream, in the left upper corner, or a warning.

use crate::support::{self, PORTRAIT_SIDE, Pipeline};
use gstdetect::base::geometry::Size;

/// Colour of the line's ground, whose corner is at 4, 4.
const GROUND: [u8; 3] = [24; 3];

fn ground_at(sample: &gst::Sample, x: usize, y: usize) -> [u8; 3] {
    let size = Size::new(PORTRAIT_SIDE, PORTRAIT_SIDE);
    let buffer = sample.buffer_owned().expect("a frame");
    support::to_rgb(&buffer, &support::caps("RGB", size), size)[y * PORTRAIT_SIDE as usize + x]
}

fn first(elements: &str) -> (gst::Sample, Vec<String>) {
    let pipeline = format!(
        "{} ! videoconvert ! video/x-raw,format=RGB ! {elements}",
        support::portrait()
    );
    let pipeline = Pipeline::new(&pipeline);
    let warnings = pipeline.warnings();
    pipeline.set_state(gst::State::Playing);
    let sample = pipeline.rest().remove(0);
    let warnings = warnings.lock().expect("nobody panics with it");
    (sample, warnings.clone())
}

#[test]
fn the_figures_of_the_detector_are_shown_through_elements_between() {
    let (with, warnings) = first("detect ! queue ! identity ! detectoverlay show-stats=true");
    assert_eq!((ground_at(&with, 5, 5), warnings.len()), (GROUND, 0));
    let (without, _) = first("detect ! detectoverlay");
    assert_ne!(ground_at(&without, 5, 5), GROUND);
}

#[test]
fn without_a_detector_there_is_no_line_but_a_warning() {
    let (sample, warnings) = first("detectoverlay show-stats=true");
    assert_ne!(ground_at(&sample, 5, 5), GROUND);
    assert!(
        warnings.len() == 1 && warnings[0].contains("show-stats"),
        "{warnings:?}"
    );
}
