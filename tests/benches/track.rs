//! Objects tracked from analysis to analysis, and their boxes between two analyses. Results are checked before timing.

use divan::Bencher;
use gstdetect::base::detection::Detection;
use gstdetect::base::geometry::BBox;
use gstdetect::vision::track::{Shown, ShownOptions, Tracker, TrackerOptions};
use std::time::Duration;

const COUNTS: [usize; 3] = [10, 50, 200];
const CYCLE: Duration = Duration::from_millis(100);

fn main() {
    divan::main();
}

/// Scatters objects of one class over a picture of 1280x720, so that many overlap; `step` moves them a little.
fn objects(count: usize, step: u32) -> Vec<Detection> {
    let place = |index: usize, factor: usize, range: usize| (index * factor % range) as f32;
    let one = |index| Detection {
        bbox: BBox::from_centre(
            place(index, 7919, 1280) + step as f32,
            place(index, 104_729, 720),
            60.0,
            80.0,
        ),
        class: 0,
        score: 0.8,
    };
    (0..count).map(one).collect()
}

#[divan::bench(args = COUNTS)]
fn update(bencher: Bencher, count: usize) {
    let mut tracker = Tracker::new(TrackerOptions::default());
    tracker.update(Duration::ZERO, &objects(count, 0), &[]);
    let ids = tracker.update(CYCLE, &objects(count, 1), &[]);
    assert!(ids.iter().all(Option::is_some), "every object is known");
    let frames = [objects(count, 2), objects(count, 1)];
    let mut step = 1;
    bencher.bench_local(|| {
        step += 1;
        tracker.update(CYCLE * step, &frames[step as usize % 2], &[])
    });
}

#[divan::bench(args = COUNTS)]
fn boxes_of_a_frame(bencher: Bencher, count: usize) {
    let mut shown = Shown::new(ShownOptions::default(), TrackerOptions::default());
    for step in 0..3 {
        shown.update(CYCLE * step, &objects(count, step), &[]);
    }
    assert_eq!(shown.at(CYCLE * 3).len(), count);
    bencher.bench_local(|| shown.at(CYCLE * 3));
}
