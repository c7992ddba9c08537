//! Forms in which exporters leave models: dims that are all symbolic, outputs beside the table, a suppression in the graph.
//! Micro models on one picture, against an implementation in numpy, on every engine that is here.

use crate::support::engines::{OPTIONS, installed};
use crate::support::families::{SIZE, picture};
use crate::support::{Folder, micro_model, skipped};
use gstdetect::base::detection::{Detection, Thresholds};
use gstdetect::base::geometry::{BBox, Size};
use gstdetect::base::image::{ImageView, PictureInfo, PixelFormat, Plane};
use gstdetect::base::tensor::Tensor;
use gstdetect::detector::{Detector, DetectorOptions};
use gstdetect::engine::{self, EngineKind};
use gstdetect::families::{Labelling, decoder_for};
use gstdetect::model::{InputSize, Model, ModelOptions};
use gstdetect::vision::nms;
use serde_json::Value;
use std::path::Path;

/// The expected numbers are rounded, and computed in another order.
const EXACT: (f32, f32) = (0.05, 0.001);
/// Weights of 16 bits have three digits.
const HALF: (f32, f32) = (0.3, 0.004);

struct Case {
    model: String,
    /// Class, score, left, top, right, bottom.
    expected: Vec<[f32; 6]>,
    fields: Value,
}

fn cases() -> Vec<Case> {
    let text = std::fs::read(micro_model("exports.json")).expect("the file of cases");
    let cases: Vec<Value> = serde_json::from_slice(&text).expect("a list of cases");
    let case = |fields: Value| Case {
        model: fields["model"].as_str().expect("a name").to_owned(),
        expected: serde_json::from_value(fields["expected"].clone()).expect("rows of six"),
        fields,
    };
    cases.into_iter().map(case).collect()
}

fn open(case: &Case, engine: EngineKind) -> Result<Detector, String> {
    let folder = Folder::new();
    let card = match &case.fields["card"] {
        Value::Null => None,
        card => Some(folder.file("card.json", card.to_string().as_bytes())),
    };
    let side = case.fields["size"].as_u64().map(|side| side as u32);
    let model = ModelOptions {
        path: Some(micro_model(&format!("{}.onnx", case.model))),
        card,
        input_size: side.map_or(InputSize::Auto, |s| InputSize::Fixed(Size::new(s, s))),
        ..ModelOptions::default()
    };
    let options = DetectorOptions {
        model,
        engine,
        engine_options: OPTIONS,
    };
    Detector::open(&options).map_err(|error| error.to_string())
}

fn found(detector: &mut Detector, score: f32, iou: f32) -> Vec<Detection> {
    let thresholds = Thresholds {
        score,
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
    let analysis = detector.detect(&image, &thresholds);
    analysis
        .unwrap_or_else(|error| panic!("{error}"))
        .detections
}

/// Panics unless `found` is what is expected, no more and no less.
fn check(what: &str, case: &Case, mut found: Vec<Detection>) {
    let (pixels, score) = match case.fields["half"].as_bool() {
        Some(true) => HALF,
        _ => EXACT,
    };
    let sides = |b: &BBox| [b.x1, b.y1, b.x2, b.y2];
    for &[class, wanted, x1, y1, x2, y2] in &case.expected {
        let same = found.iter().position(|d| {
            let mut pairs = sides(&d.bbox).into_iter().zip([x1, y1, x2, y2]);
            d.class as f32 == class
                && (d.score - wanted).abs() < score
                && pairs.all(|(a, b)| (a - b).abs() < pixels)
        });
        let Some(index) = same else {
            panic!("{what}: no {class} of {wanted} at {x1} {y1} {x2} {y2} among {found:#?}")
        };
        found.swap_remove(index);
    }
    assert!(found.is_empty(), "{what}: too many: {found:#?}");
}

#[test]
fn boxes_are_those_of_the_twin_on_every_engine() {
    let engines = [&[EngineKind::Tract], &installed()[..]].concat();
    for case in cases() {
        for engine in &engines {
            let what = format!("{} on {engine}", case.model);
            let opened = open(&case, *engine);
            if let Some(wanted) = case.fields["refused"].as_str() {
                let error = opened
                    .err()
                    .unwrap_or_else(|| panic!("{what}: not refused"));
                assert!(error.contains(wanted), "{what}: {error}");
                continue;
            }
            let mut detector = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
            let model = detector.model();
            let decisions = model.decisions.iter().map(ToString::to_string);
            let told: Vec<String> = decisions.chain(model.rewrites.iter().cloned()).collect();
            let said = case.fields["said"].as_str().expect("a text");
            assert!(
                told.iter().any(|line| line.contains(said)),
                "{what}: {told:#?}"
            );
            let number = |key: &str| case.fields[key].as_f64().expect("a number") as f32;
            let (score, iou) = (number("threshold"), number("iou"));
            check(&what, &case, found(&mut detector, score, iou));
        }
    }
}

/// What the graph suppressed at its own threshold, detect suppresses at that of the user.
#[test]
fn a_suppression_that_was_cut_follows_the_threshold() {
    let cut = |case: &Case| case.fields["said"] == "before its suppression";
    let mut models = 0;
    for case in cases().into_iter().filter(cut) {
        let mut detector = open(&case, EngineKind::Tract).unwrap_or_else(|error| panic!("{error}"));
        let model = detector.model().clone();
        assert_eq!(model.iou_threshold, 0.35, "{}", case.model);
        let own = found(&mut detector, 0.45, model.iou_threshold).len();
        let more = found(&mut detector, 0.45, 0.9).len();
        assert!(
            more > own,
            "{}: {own} boxes at 0.35, {more} at 0.9",
            case.model
        );
        let lower = found(&mut detector, 0.2, model.iou_threshold).len();
        assert!(
            lower > own,
            "{}: {own} boxes above 0.45, {lower} above 0.2",
            case.model
        );
        models += 1;
    }
    assert!(models >= 12, "{models} models");
}

/// What a model makes of one picture on an engine, above a score of 0.45.
fn on_engine(kind: EngineKind, model: &Model) -> Vec<Detection> {
    let opened = engine::open(kind, model, &OPTIONS);
    let mut engine = opened
        .unwrap_or_else(|error| panic!("{kind}: {error}"))
        .engine;
    let dims = model.input.dims();
    let pixel = |i: usize| (i / 16 * 7919 % 1013) as f32 / 1013.0;
    let numbers = (0..dims.iter().product()).map(pixel).collect();
    let outputs = engine.run(&Tensor::f32(&*model.input.name, dims, numbers));
    let outputs = outputs.unwrap_or_else(|error| panic!("{kind}: {error}"));
    let labelling = Labelling::new(model.multi_label, None);
    let (size, classes, specs) = (model.input.size, model.classes, engine.outputs());
    let decoder = decoder_for(model.family.as_ref(), size, classes, specs, labelling);
    let mut found = Vec::new();
    let decoder = decoder.unwrap_or_else(|error| panic!("{kind}: {error}"));
    decoder.decode(&outputs, 0.45, &mut found).expect("it fits");
    let suppress = match model.class_agnostic {
        true => nms::suppress_across_classes,
        false => nms::suppress,
    };
    suppress(&mut found, model.iou_threshold, usize::MAX);
    found
}

/// Panics unless two lists, best first, are the same but for rounding.
fn assert_same(what: &str, found: &[Detection], wanted: &[Detection]) {
    assert_eq!(found.len(), wanted.len(), "{what}: {found:#?}, {wanted:#?}");
    for (found, wanted) in found.iter().zip(wanted) {
        let same = found.class == wanted.class
            && (found.score - wanted.score).abs() < 1e-5
            && found.bbox.iou(&wanted.bbox) > 0.9999;
        assert!(same, "{what}: {found:?}, {wanted:?}");
    }
}

/// The boxes of a graph that was cut, and of one that tract cannot run by itself, are those of ONNX Runtime on the graph
/// of the file.
#[test]
fn boxes_are_those_of_onnx_runtime_on_the_whole_graph() {
    if !installed().contains(&EngineKind::OnnxRuntime) {
        return skipped("onnxruntime is not on this machine");
    }
    let suppresses = |case: &Case| {
        let name = &case.model;
        name.starts_with("rows_") || name.starts_with("dets_")
    };
    let names = cases()
        .into_iter()
        .filter(suppresses)
        .map(|case| case.model);
    let names = names.chain(["rows_dfl_micro".to_owned()]);
    for name in names {
        let options = ModelOptions {
            path: Some(micro_model(&format!("{name}.onnx"))),
            ..ModelOptions::default()
        };
        let whole = Model::open_uncut(&options).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(whole.iou_threshold, 1.0, "{name}");
        let wanted = on_engine(EngineKind::OnnxRuntime, &whole);
        assert!(wanted.len() >= 3, "{name}: {wanted:#?}");
        let by_tract = on_engine(EngineKind::Tract, &whole);
        assert_same(&format!("{name}, whole"), &by_tract, &wanted);
        let model = Model::open(&options).unwrap_or_else(|error| panic!("{error}"));
        assert_same(&name, &on_engine(EngineKind::Tract, &model), &wanted);
    }
}

/// Models as people export them: one object of class 1, at a place that is known.
#[test]
fn field_cases_give_the_right_box_on_every_engine() {
    let Some(shared) = std::env::var_os("DETECT_SHARED") else {
        return skipped("DETECT_SHARED does not name the folder of shared models");
    };
    let folder = Path::new(&shared).join("field-cases");
    let engines = [&[EngineKind::Tract], &installed()[..]].concat();
    for name in ["dynamic_dims", "nms_true", "two_outputs"] {
        for engine in &engines {
            let what = format!("{name} on {engine}");
            let model = ModelOptions {
                path: Some(folder.join(format!("{name}.onnx"))),
                ..ModelOptions::default()
            };
            let options = DetectorOptions {
                model,
                engine: *engine,
                ..DetectorOptions::default()
            };
            let detector = Detector::open(&options);
            let mut detector = detector.unwrap_or_else(|error| panic!("{what}: {error}"));
            let size = Size::new(64, 64);
            let pixels = vec![128; 64 * 64 * 3];
            let plane = Plane {
                data: &pixels,
                stride: 64 * 3,
            };
            let info = PictureInfo::new(PixelFormat::Rgb, size);
            let image = ImageView::new(info, &[plane]).expect("a picture");
            let own = detector.model();
            let thresholds = Thresholds {
                score: own.score_threshold,
                iou: own.iou_threshold,
                max_detections: 100,
                class_agnostic: false,
                min_size: 0,
                classes: None,
            };
            let found = detector.detect(&image, &thresholds);
            let found = found
                .unwrap_or_else(|error| panic!("{what}: {error}"))
                .detections;
            let [only] = found[..] else {
                panic!("{what}: {found:#?}")
            };
            let right = only.class == 1
                && (only.score - 0.9).abs() < 0.02
                && only.bbox.iou(&BBox::new(16.0, 16.0, 32.0, 48.0)) >= 0.95;
            assert!(right, "{what}: {only:?}");
        }
    }
}

/// The end of the graph is cut before the suppression, and then at its raw heads, which slide over any input.
#[test]
fn a_fixed_export_with_its_suppression_takes_another_size() {
    let open = |name: &str| {
        let options = ModelOptions {
            path: Some(micro_model(name)),
            input_size: InputSize::Fixed(Size::new(96, 64)),
            ..ModelOptions::default()
        };
        Model::open(&options).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let (fixed, mut free) = (open("rows_dfl_micro.onnx"), open("yolov8_dfl_free.onnx"));
    assert_eq!(fixed.family, free.family, "{:?}", fixed.rewrites);
    assert_eq!(fixed.iou_threshold, 0.35);
    free.iou_threshold = fixed.iou_threshold;
    let (found, wanted) = (
        on_engine(EngineKind::Tract, &fixed),
        on_engine(EngineKind::Tract, &free),
    );
    assert!(!wanted.is_empty());
    assert_same("96x64", &found, &wanted);
}
