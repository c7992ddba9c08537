//! Small models of kinds of export that were once read wrongly: `DETECT_SHARED`/field-cases shows one object each.

use crate::support::engines::installed;
use crate::support::skipped;
use gstdetect::base::detection::Thresholds;
use gstdetect::base::geometry::{BBox, Size};
use gstdetect::base::image::{ImageView, PictureInfo, PixelFormat, Plane};
use gstdetect::detector::{Detector, DetectorOptions};
use gstdetect::engine::EngineKind;
use gstdetect::model::ModelOptions;
use std::path::PathBuf;

/// Model, side of its input, class and box of the one object.
type Case = (&'static str, u32, u32, [f32; 4]);

const CASES: [Case; 4] = [
    ("transposed_v8", 64, 1, [16.0, 16.0, 32.0, 48.0]),
    ("face_v8", 128, 0, [32.0, 32.0, 64.0, 96.0]),
    ("normalised_v8", 64, 1, [16.0, 16.0, 32.0, 48.0]),
    ("segment", 64, 1, [16.0, 16.0, 32.0, 48.0]),
];
const SCORE: f32 = 0.9;

#[test]
fn the_object_of_each_field_case_is_found_without_a_card() {
    let Some(shared) = std::env::var_os("DETECT_SHARED").map(PathBuf::from) else {
        return skipped("DETECT_SHARED does not name the folder of shared models");
    };
    for engine in std::iter::once(EngineKind::Tract).chain(installed()) {
        for case in CASES {
            let path = shared.join("field-cases").join(format!("{}.onnx", case.0));
            check(path, engine, case);
        }
    }
}

fn check(path: PathBuf, engine: EngineKind, (name, side, class, [x1, y1, x2, y2]): Case) {
    let what = format!("{name} with {engine}");
    let options = DetectorOptions {
        model: ModelOptions {
            path: Some(path),
            ..ModelOptions::default()
        },
        engine,
        ..DetectorOptions::default()
    };
    let mut detector = Detector::open(&options).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(detector.model().warnings, [""; 0], "{what}");
    let size = Size::new(side, side);
    let pixels = vec![90; size.area() as usize * 3];
    let plane = Plane {
        data: &pixels,
        stride: side as usize * 3,
    };
    let image = ImageView::new(PictureInfo::new(PixelFormat::Rgb, size), &[plane]);
    let thresholds = Thresholds {
        score: 0.4,
        iou: 0.45,
        max_detections: 100,
        class_agnostic: false,
        min_size: 0,
        classes: None,
    };
    let analysis = detector.detect(&image.expect("a picture"), &thresholds);
    let analysis = analysis.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(analysis.warning, None, "{what}");
    let [found] = &analysis.detections[..] else {
        panic!("{what}: one object expected: {:?}", analysis.detections)
    };
    let wanted = BBox::new(x1, y1, x2, y2);
    assert!(found.bbox.iou(&wanted) >= 0.95, "{what}: {found:?}");
    assert_eq!(found.class, class, "{what}");
    assert!((found.score - SCORE).abs() < 0.02, "{what}: {found:?}");
}
