//! Suppression of 8,400 boxes of one class, as many as a YOLOv8 of 640x640 can find, without a limit.
//!
//! `cargo bench --bench nms`

mod support;

use divan::Bencher;
use gstdetect::base::detection::Detection;
use gstdetect::base::geometry::BBox;
use gstdetect::vision::nms;
use std::fmt;

const COUNT: usize = 8400;
const IOU_THRESHOLD: f32 = 0.45;

/// Arrangement of the boxes.
#[derive(Clone, Copy)]
enum Layout {
    /// Over a picture of 640x640, sides of 10 to 110: about half are kept.
    Random,
    /// Around fifty objects, as a model finds them.
    Objects,
    /// One is kept.
    Together,
    /// All are kept.
    Apart,
    Row,
    Column,
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Random => "random",
            Self::Objects => "fifty objects",
            Self::Together => "all overlap",
            Self::Apart => "all disjoint",
            Self::Row => "one row",
            Self::Column => "one column",
        })
    }
}

const LAYOUTS: [Layout; 6] = [
    Layout::Random,
    Layout::Objects,
    Layout::Together,
    Layout::Apart,
    Layout::Row,
    Layout::Column,
];

fn main() {
    divan::main();
}

#[divan::bench(args = LAYOUTS)]
fn suppress_8400_boxes(bencher: Bencher, layout: Layout) {
    let boxes = boxes(layout);
    let mut kept = boxes.clone();
    nms::suppress(&mut kept, IOU_THRESHOLD, usize::MAX);
    let possible = match layout {
        Layout::Random => 2000..5000,
        Layout::Objects => 50..500,
        Layout::Together => 1..2,
        Layout::Apart | Layout::Row | Layout::Column => COUNT..COUNT + 1,
    };
    assert!(possible.contains(&kept.len()), "{} are kept", kept.len());
    bencher
        .with_inputs(|| boxes.clone())
        .bench_local_refs(|boxes| nms::suppress(boxes, IOU_THRESHOLD, usize::MAX));
}

fn boxes(layout: Layout) -> Vec<Detection> {
    let mut random = support::noise();
    let mut bbox = |index: usize| {
        let (a, b) = (random(), random());
        let (x, y, width, height) = match layout {
            Layout::Random => (
                a * 640.0,
                b * 640.0,
                10.0 + random() * 100.0,
                10.0 + random() * 100.0,
            ),
            Layout::Objects => {
                let object = (index % 50) as f32;
                let (x, y) = (object * 37.0 % 600.0, object * 91.0 % 600.0);
                (x + a * 10.0, y + b * 10.0, 60.0, 60.0)
            }
            Layout::Together => (a * 6.0, b * 6.0, 300.0, 300.0),
            Layout::Apart => (
                (index % 92) as f32 * 7.0,
                (index / 92) as f32 * 7.0,
                6.0,
                6.0,
            ),
            Layout::Row => (index as f32 * 7.0, 100.0, 6.0, 6.0),
            Layout::Column => (100.0, index as f32 * 7.0, 6.0, 6.0),
        };
        BBox::new(x, y, x + width, y + height)
    };
    let bboxes: Vec<BBox> = (0..COUNT).map(&mut bbox).collect();
    bboxes
        .into_iter()
        .map(|bbox| Detection {
            bbox,
            class: 0,
            score: 0.4 + 0.6 * random(),
        })
        .collect()
}
