//! Micro models of families on one picture, against what a small implementation in numpy finds there.
//!
//! `tests/models/families.py` describes the picture. The recipes in the folders of families write cases: a model, a card,
//! and the expected rows of class, score and corners in pixels of the picture. A model that needs its card has the texts
//! that the error without the card must contain.

use super::{Folder, micro_model};
use gstdetect::base::detection::Thresholds;
use gstdetect::base::geometry::{BBox, Size};
use gstdetect::base::image::{ImageView, PictureInfo, PixelFormat, Plane};
use gstdetect::detector::{Detector, DetectorOptions};
use gstdetect::families::Family;
use gstdetect::families::yolov8::{Yolov8, Yolov8Heads};
use gstdetect::families::yolox::{YoloxHeads, YoloxRaw};
use gstdetect::model::ModelOptions;
use serde_json::Value;

pub const SIZE: Size = Size::new(128, 64);
/// The expected numbers are rounded, and computed in another order.
const PIXELS: f32 = 0.05;
const SCORE: f32 = 0.001;

pub struct Case {
    /// The folder of the recipe in `src/families`; empty for tables of `make_tables.py`.
    pub folder: String,
    pub model: String,
    pub card: Value,
    /// What the error names if there is no card; nothing if the model is recognised without one.
    pub refusal: Vec<String>,
    /// Class, score, left, top, right, bottom.
    expected: Vec<[f32; 6]>,
}

/// Returns the family of the whole graph that has these raw heads; any other family is returned as it is.
pub fn of_whole_graph(family: &dyn Family) -> Box<dyn Family> {
    if let Some(heads) = family.downcast_ref::<YoloxHeads>() {
        let strides = heads.strides.clone();
        return Box::new(YoloxRaw { strides });
    }
    match family.downcast_ref::<Yolov8Heads>() {
        Some(_) => Box::new(Yolov8),
        None => family.to_boxed(),
    }
}

/// The cases beside the micro models, of every family with a recipe.
pub fn cases() -> Vec<Case> {
    cases_of("families.json")
}

/// The cases in one file beside the micro models.
pub fn cases_of(file: &str) -> Vec<Case> {
    let text = std::fs::read(micro_model(file)).expect("the file of cases");
    let cases: Vec<Value> = serde_json::from_slice(&text).expect("a list of cases");
    let cases = cases.into_iter().map(|case| Case {
        folder: case["folder"].as_str().unwrap_or_default().to_owned(),
        model: case["model"].as_str().expect("a name").to_owned(),
        card: case["card"].clone(),
        refusal: refusal(&case["refusal"]),
        expected: serde_json::from_value(case["expected"].clone()).expect("rows of six"),
    });
    cases.collect()
}

fn refusal(value: &Value) -> Vec<String> {
    let texts: Option<_> = serde_json::from_value(value.clone()).expect("a list of texts");
    texts.unwrap_or_default()
}

/// Opens the model of a case, with its card or without, so that either is compared with what the card says.
pub fn open(case: &Case, with_card: bool) -> Result<Detector, String> {
    let folder = Folder::new();
    let card = folder.file("card.json", case.card.to_string().as_bytes());
    let model = ModelOptions {
        path: Some(micro_model(&format!("{}.onnx", case.model))),
        card: with_card.then_some(card),
        ..ModelOptions::default()
    };
    let options = DetectorOptions {
        model,
        ..DetectorOptions::default()
    };
    Detector::open(&options).map_err(|error| error.to_string())
}

/// Panics unless the model is of the card's family and finds what is expected, no more and no less.
pub fn check(case: &Case, with_card: bool) {
    let what = format!("{}, card: {with_card}", case.model);
    let mut detector = open(case, with_card).unwrap_or_else(|error| panic!("{what}: {error}"));
    let model = detector.model().clone();
    // A graph that ends before its suppression has candidates, and its own threshold is detect's.
    let is_cut = |said: &String| said.contains("before its suppression");
    let cut = model.rewrites.iter().any(is_cut);
    let decode = match cut {
        true => "boxes_scores",
        false => case.card["decode"].as_str().expect("a family"),
    };
    assert_eq!(decode, model.family.name(), "{what}");
    let iou = match cut {
        true => model.iou_threshold,
        false => case.card["nms_iou"].as_f64().unwrap_or(1.0) as f32,
    };
    if with_card || iou == 1.0 {
        assert_eq!(detector.model().iou_threshold, iou, "{what}");
    }
    let thresholds = Thresholds {
        score: case.card["score_threshold"].as_f64().expect("a threshold") as f32,
        iou,
        max_detections: 1000,
        class_agnostic: false,
        min_size: 0,
        classes: None,
    };
    let pixels = picture();
    let plane = Plane {
        data: &pixels,
        stride: SIZE.width as usize * 3,
    };
    let info = PictureInfo::new(PixelFormat::Rgb, SIZE);
    let image = ImageView::new(info, &[plane]).expect("a picture");
    let found = detector.detect(&image, &thresholds);
    let mut found = found
        .unwrap_or_else(|error| panic!("{what}: {error}"))
        .detections;
    for &[class, score, x1, y1, x2, y2] in &case.expected {
        let wanted = BBox::new(x1, y1, x2, y2);
        let same = found.iter().position(|d| {
            d.class as f32 == class && (d.score - score).abs() < SCORE && near(&d.bbox, &wanted)
        });
        let Some(index) = same else {
            panic!("{what}: no {class} of {score} at {wanted:?} among {found:#?}")
        };
        found.swap_remove(index);
    }
    assert!(found.is_empty(), "{what}: too many: {found:#?}");
}

fn near(a: &BBox, b: &BBox) -> bool {
    let sides = |b: &BBox| [b.x1, b.y1, b.x2, b.y2];
    (sides(a).iter().zip(sides(b))).all(|(a, b)| (a - b).abs() < PIXELS)
}

/// RGB, as `picture` of families.py.
pub fn picture() -> Vec<u8> {
    let pixel = |x: u32, y: u32| {
        let (x, y) = (x / 16, y / 16);
        [0, 1, 2].map(|c| ((x * 73 + y * 151 + c * 97 + x * y * 29) % 256) as u8)
    };
    (0..SIZE.height)
        .flat_map(|y| (0..SIZE.width).flat_map(move |x| pixel(x, y)))
        .collect()
}
