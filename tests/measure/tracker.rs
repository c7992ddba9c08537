//! Tracking costs little beside an inference.

use crate::kept_in_one_of;
use gstdetect::base::detection::Detection;
use gstdetect::base::geometry::BBox;
use gstdetect::vision::track::{Tracker, TrackerOptions};
use std::time::{Duration, Instant};

/// Forty times what it takes where nothing disturbs; `tests/benches/track.rs` measures.
const MOST: Duration = Duration::from_millis(20);

/// Numbers from 0 to 1, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u32 << 24) as f32
    }
}

/// The median time of an update with two hundred objects that move a little.
fn update() -> Duration {
    let mut random = Random(1);
    let mut objects: Vec<_> = (0..200)
        .map(|_| Detection {
            bbox: BBox::from_centre(random.next() * 1280.0, random.next() * 720.0, 60.0, 80.0),
            class: 0,
            score: 0.8,
        })
        .collect();
    let mut tracker = Tracker::new(TrackerOptions::default());
    let mut times = Vec::new();
    for step in 0..30u64 {
        let begin = Instant::now();
        let tracks = tracker.update(Duration::from_millis(step * 100), &objects, &[]);
        times.push(begin.elapsed());
        assert_eq!(tracks.len(), 200);
        for object in &mut objects {
            let off = random.next() * 4.0 - 2.0;
            object.bbox.x1 += off;
            object.bbox.x2 += off;
        }
    }
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn two_hundred_objects_take_little_time() {
    kept_in_one_of(3, || {
        let time = update();
        println!("an update with 200 objects takes {time:?}");
        match time < MOST {
            true => Ok(()),
            false => Err(format!("{time:?}, at most {MOST:?}")),
        }
    });
}
