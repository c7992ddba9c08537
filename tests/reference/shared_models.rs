//! Parity with the reference: real models on real pictures, through the whole element.
//!
//! Needs the folder of shared models and pictures in the environment variable `DETECT_SHARED`; without it the checks
//! are skipped, and say so. Pictures that are not PNG are taken from `DETECT_PICTURES`, a folder with `NAME.png` for
//! each `NAME.jpg`, decoded by OpenCV as the reference does.

use crate::support;
use crate::support::engines::installed;
use gst::prelude::*;
use gstdetect::base::geometry::BBox;
use gstdetect::bridge::message::{DETECTIONS, DetectStats, STATS_PROPERTY};
use gstdetect::engine::EngineKind;
use gstdetect::model::{Model, ModelOptions};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The cards of the families that are decoded so far.
const CARDS: [&str; 17] = [
    "blazeface_back_256",
    "blazeface_front_128",
    "yolox_nano_416",
    "yolox_nano_decoded_416",
    "yolox_nano_as_yolov5_416",
    "yolox_nano_as_yolov8_416",
    "yolox_nano_dynamic",
    "yunet_n_320",
    "yunet_n_dynamic",
    "ultraface_rfb_320",
    "ultraface_rfb_320_raw",
    "nanodet_m_320",
    "picodet_xs_320",
    "yolox_nano_e2e_nms6_416",
    "yolox_nano_e2e_boxes_scores_labels_416",
    "yolox_nano_as_detr_416",
    "yolox_nano_e2e_tfod_416",
];
/// Models whose graph chooses the boxes.
const WITHOUT_SUPPRESSION: [&str; 4] = [
    "yolox_nano_e2e_nms6_416",
    "yolox_nano_e2e_boxes_scores_labels_416",
    "yolox_nano_as_detr_416",
    "yolox_nano_e2e_tfod_416",
];
/// In RGB only. Two cells have nearly the same score for the astronaut: the reference changes from one to the other as
/// well when it is given the picture as OpenCV writes and reads I420 (left edge at pixel 27 instead of 1).
const CARDS_IN_RGB: [&str; 1] = ["fastestdet_352"];
/// Models that need no card to give the same boxes.
const WITHOUT_CARD: [&str; 9] = [
    "blazeface_back_256",
    "blazeface_front_128",
    "yolox_nano_416",
    "yunet_n_320",
    "ultraface_rfb_320",
    "ultraface_rfb_320_raw",
    "nanodet_m_320",
    "picodet_xs_320",
    "fastestdet_352",
];
/// Forms whose graph is rewritten to float, and how many boxes of the card (or beyond it) may differ.
///
/// A quantised graph computes in steps of 1/256; so little moves a number by a step, and a step so often tips a choice
/// between neighbouring cells, that the boxes are only ever repeated by the same arithmetic in the same order: ONNX
/// Runtime itself, which made them, moves 12 of the 31 of fastestdet and three of the 24 of yolox_nano when its
/// own optimisations are off. Folded to float there are no steps, and what the weights mean comes out.
const FOLDED: [(&str, usize); 13] = [
    ("fastestdet_352.qdq_pc", 14),
    ("nanodet_m_320.dyn", 0),
    ("nanodet_m_320.qdq", 2),
    ("nanodet_m_320.qdq_pc", 1),
    ("nanodet_m_320.qop_pc", 1),
    ("yolox_nano_416.fp16", 0),
    ("yolox_nano_416.fp16io", 0),
    ("yolox_nano_416.mix_dyn", 2),
    ("yolox_nano_416.mix_qdq_pc", 5),
    ("yolox_nano_416.mix_qop_pc", 3),
    ("yunet_n_320.fp16", 0),
    ("yunet_n_320.qdq_pc", 0),
    ("yunet_n_320.qop_pc", 1),
];

/// The int8 forms, and how many boxes of the card (or beyond it) may differ where OpenVINO runs them. With ONNX Runtime,
/// which made the cards, none may: it is given the same integers and, of RGB, the same levels. (On processors without
/// VNNI, emulated, 182 of the 183 boxes were right; the floats between the integers are added up otherwise there.)
///
/// OpenVINO takes QDQ as it is, and rounds otherwise than ONNX Runtime does; the others it runs folded to float.
const OF_INTEGERS: [(&str, usize); 10] = [
    ("fastestdet_352.qdq_pc", 12),
    ("nanodet_m_320.dyn", 0),
    ("nanodet_m_320.qdq", 1),
    ("nanodet_m_320.qdq_pc", 0),
    ("nanodet_m_320.qop_pc", 1),
    ("yolox_nano_416.mix_dyn", 2),
    ("yolox_nano_416.mix_qdq_pc", 2),
    ("yolox_nano_416.mix_qop_pc", 3),
    ("yunet_n_320.qdq_pc", 1),
    ("yunet_n_320.qop_pc", 1),
];

/// Models whose average precision is compared; .ci/shared.py knows how near it must be.
const FOR_AVERAGE_PRECISION: [&str; 5] = [
    "yolox_nano_416",
    "yolox_nano_416.mix_qdq_pc",
    "nanodet_m_320",
    "picodet_xs_320",
    "fastestdet_352",
];

/// Models that need no card to give most of the boxes.
const OTHER_CONVENTION: [&str; 7] = [
    "yolox_nano_decoded_416",
    "yolox_nano_as_yolov5_416",
    "yolox_nano_as_yolov8_416",
    "yolox_nano_e2e_nms6_416",
    "yolox_nano_e2e_boxes_scores_labels_416",
    "yolox_nano_as_detr_416",
    "yolox_nano_e2e_tfod_416",
];

#[derive(Debug, Clone, PartialEq)]
struct Found {
    bbox: BBox,
    score: f64,
    label: String,
}

struct Tolerance {
    iou: f32,
    score: f64,
}

const EXACT: Tolerance = Tolerance {
    iou: 0.97,
    score: 0.02,
};
/// Colour at half resolution, and rounded twice; or weights of few bits.
const SUBSAMPLED: Tolerance = Tolerance {
    iou: 0.9,
    score: 0.1,
};

fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("DETECT_SHARED").map(PathBuf::from);
    if folder.is_none() {
        support::skipped("DETECT_SHARED does not name the folder of shared models");
    }
    folder
}

/// The picture as a PNG: itself, or as decoded by OpenCV.
fn png(shared: &Path, image: &Path) -> PathBuf {
    if image.extension().is_some_and(|e| e == "png") {
        return shared.join(image);
    }
    let folder = std::env::var_os("DETECT_PICTURES")
        .expect("DETECT_PICTURES names the folder of pictures decoded by OpenCV");
    let name = Path::new(image.file_name().expect("a file")).with_extension("png");
    PathBuf::from(folder).join(name)
}

/// Runs one picture through `detect` with these properties; the boxes, from the message.
fn detect(picture: &Path, format: &str, properties: &str) -> (Vec<Found>, DetectStats) {
    let launch = format!(
        "filesrc location={} ! pngdec ! videoconvert ! video/x-raw,format={format} \
         ! detect name=detect post-detections=true {properties} ! fakesink",
        picture.display()
    );
    let pipeline = gst::parse::launch(&launch)
        .expect("the pipeline is right")
        .downcast::<gst::Pipeline>()
        .expect("several elements are a pipeline");
    let bus = pipeline.bus().expect("a pipeline has a bus");
    pipeline.set_state(gst::State::Playing).ok();
    let mut found = None;
    for message in bus.iter_timed(gst::ClockTime::from_seconds(60)) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(err) => panic!("{picture:?}: {err:?}"),
            gst::MessageView::Element(element) => {
                if let Some(s) = element.structure().filter(|s| s.name() == DETECTIONS) {
                    assert!(found.is_none(), "one picture is one message");
                    found = Some(boxes(s));
                }
            }
            _ => {}
        }
    }
    let element = pipeline.by_name("detect").expect("it has this name");
    let stats: gst::Structure = element.property("stats");
    assert_eq!(stats.name(), STATS_PROPERTY);
    let stats = DetectStats::from_structure(&stats).expect("its fields");
    pipeline.set_state(gst::State::Null).ok();
    (found.expect("the message came"), stats)
}

fn boxes(message: &gst::StructureRef) -> Vec<Found> {
    let detections = message.get::<gst::Array>("detections").expect("the field");
    let one = |value: &glib::SendValue| {
        let d = value.get::<gst::Structure>().expect("a structure");
        let share = |field| d.get::<f64>(field).expect("a coordinate") as f32;
        Found {
            bbox: BBox::new(
                share("x_min"),
                share("y_min"),
                share("x_max"),
                share("y_max"),
            ),
            score: d.get("confidence").expect("a score"),
            label: d.get("label").expect("a label"),
        }
    };
    detections.iter().map(one).collect()
}

fn card(shared: &Path, name: &str) -> Value {
    let path = shared.join(format!("models/{name}.json"));
    let text = std::fs::read_to_string(path).expect("a card beside each model");
    serde_json::from_str(&text).expect("cards are JSON")
}

/// The card's boxes of one picture, as shares of its size.
fn expected(picture: &Value, size: (f32, f32)) -> Vec<Found> {
    let number = |v: &Value| v.as_f64().expect("a number");
    let boxes = picture["boxes"].as_array().expect("boxes").iter();
    boxes
        .map(|b| {
            let (x, y) = (
                |i: usize| number(&b[i]) as f32 / size.0,
                |i: usize| number(&b[i]) as f32 / size.1,
            );
            Found {
                bbox: BBox::new(x(0), y(1), x(2), y(3)),
                score: number(&b[4]),
                label: b[5].as_str().expect("a label").into(),
            }
        })
        .collect()
}

fn size_of(picture: &Path) -> (f32, f32) {
    let bytes = std::fs::read(picture).expect("the picture is there");
    let side = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as f32;
    assert_eq!(&bytes[12..16], b"IHDR", "{picture:?} is a PNG");
    (side(16), side(20))
}

/// Worst IoU and score difference of the expected boxes, or what is wrong first.
fn compare(
    expected: &[Found],
    found: &[Found],
    threshold: f64,
    tolerance: &Tolerance,
) -> Result<(f32, f64), String> {
    let (worst, wrong) = differences(expected, found, threshold, tolerance);
    wrong.into_iter().next().map_or(Ok(worst), Err)
}

/// Worst IoU and score difference of the boxes that are right, and what is wrong with the others.
fn differences(
    expected: &[Found],
    found: &[Found],
    threshold: f64,
    tolerance: &Tolerance,
) -> ((f32, f64), Vec<String>) {
    let mut rest: Vec<_> = found.to_vec();
    let mut worst = (1.0f32, 0.0f64);
    let mut wrong = Vec::new();
    for wanted in expected {
        let fits = |f: &Found| f.label == wanted.label;
        let best = (0..rest.len()).filter(|i| fits(&rest[*i])).max_by(|a, b| {
            let iou = |i: &usize| rest[*i].bbox.iou(&wanted.bbox);
            iou(a).total_cmp(&iou(b))
        });
        // A box within the tolerance of the threshold may fall on either side of it.
        let Some(best) = best else {
            if wanted.score >= threshold + tolerance.score {
                wrong.push(format!("missing {wanted:?}, found {found:?}"));
            }
            continue;
        };
        let met = rest.swap_remove(best);
        let iou = met.bbox.iou(&wanted.bbox);
        let difference = (met.score - wanted.score).abs();
        if iou < tolerance.iou || difference > tolerance.score {
            wrong.push(format!("wanted {wanted:?}, met {met:?}: IoU {iou}"));
        } else {
            worst = (worst.0.min(iou), worst.1.max(difference));
        }
    }
    let extra = rest
        .iter()
        .filter(|f| f.score > threshold + tolerance.score);
    wrong.extend(extra.map(|f| format!("one too many: {f:?}")));
    (worst, wrong)
}

/// How one model is run on all pictures of its card.
#[derive(Debug, Clone, Copy)]
struct Case<'a> {
    name: &'a str,
    format: &'a str,
    with_card: bool,
    engine: EngineKind,
    /// So many boxes may differ.
    allowed: usize,
}

impl<'a> Case<'a> {
    fn new(name: &'a str, format: &'a str, with_card: bool) -> Self {
        Self {
            name,
            format,
            with_card,
            engine: EngineKind::Tract,
            allowed: 0,
        }
    }

    fn properties(&self, shared: &Path, card: &Value) -> String {
        let file = |kind| shared.join(format!("models/{}.{kind}", self.name));
        let engine = self.engine;
        let model = format!("engine={engine} model={}", file("onnx").display());
        match self.with_card {
            true => format!("{model} model-config={}", file("json").display()),
            false => format!(
                "{model} score-threshold={} iou-threshold={}",
                card["score_threshold"], card["nms_iou"]
            ),
        }
    }

    /// Checks the boxes, prints a row, and says how many there are and how many are right.
    fn check(&self, shared: &Path, tolerance: &Tolerance) -> (usize, usize) {
        let card = card(shared, self.name);
        let threshold = card["score_threshold"].as_f64().expect("a threshold");
        let properties = self.properties(shared, &card);
        let (mut worst, mut count, mut time) = ((1.0f32, 0.0f64), 0, Vec::new());
        let mut moved = Vec::new();
        for picture in card["expected"].as_array().expect("pictures") {
            let image = picture["image"].as_str().expect("a path");
            let image = Path::new(image);
            let png = png(shared, image);
            let wanted = expected(picture, size_of(&png));
            let (found, stats) = detect(&png, self.format, &properties);
            count += wanted.len();
            time.extend(stats.snapshot.model_mean);
            let ((iou, score), wrong) = differences(&wanted, &found, threshold, tolerance);
            worst = (worst.0.min(iou), worst.1.max(score));
            moved.extend(wrong.into_iter().map(|what| format!("{image:?}: {what}")));
        }
        assert!(
            moved.len() <= self.allowed,
            "{self:?}: {} boxes differ: {moved:#?}",
            moved.len()
        );
        time.sort();
        let matched = count.saturating_sub(moved.len());
        println!(
            "{:28} {:11} {:5} {:8} {count:5} boxes, {matched} matched, worst IoU {:.4}, worst score difference {:.4}, model {:?}",
            self.name,
            self.engine.to_string(),
            self.format,
            if self.with_card { "card" } else { "no card" },
            worst.0,
            worst.1,
            time.get(time.len() / 2).copied().unwrap_or_default()
        );
        (count, matched)
    }
}

#[test]
fn boxes_with_a_card_are_those_of_the_reference() {
    let Some(shared) = shared() else { return };
    support::init();
    // An emulated processor is slow: tests/arm64.sh asks for one format.
    let wanted = std::env::var("DETECT_FORMATS").unwrap_or_else(|_| "RGB I420 NV12".to_string());
    let formats = [
        ("RGB", &EXACT),
        ("I420", &SUBSAMPLED),
        ("NV12", &SUBSAMPLED),
    ];
    let formats = formats.iter().filter(|(format, _)| wanted.contains(format));
    let formats: Vec<_> = formats.collect();
    assert!(
        !formats.is_empty(),
        "DETECT_FORMATS is {wanted:?}, expected RGB, I420 or NV12"
    );
    for name in CARDS {
        for (format, limits) in &formats {
            Case::new(name, format, true).check(&shared, limits);
        }
    }
    for name in CARDS_IN_RGB {
        Case::new(name, "RGB", true).check(&shared, &EXACT);
    }
}

/// Models with 3x3 convolutions, which the built-in engine can compute in several ways. The numbers of more models are
/// compared in `engine::tract::convnet`.
const WITH_ALGORITHMS: [&str; 4] = [
    "yolox_nano_416",
    "nanodet_m_320",
    "ultraface_rfb_320",
    "fastestdet_352",
];

/// Also runs in processes of their own, with each algorithm, for the test below.
#[test]
fn boxes_with_the_algorithm_of_the_environment_are_those_of_the_reference() {
    let Some(shared) = shared() else { return };
    support::init();
    for name in WITH_ALGORITHMS {
        Case::new(name, "RGB", true).check(&shared, &EXACT);
    }
}

#[test]
fn boxes_are_those_of_the_reference_with_every_algorithm() {
    if shared().is_none() {
        return;
    }
    let name = "boxes_with_the_algorithm_of_the_environment_are_those_of_the_reference";
    let program = std::env::current_exe().expect("this program has a path");
    for algorithm in ["direct", "winograd2", "winograd4", "estimate"] {
        let output = Command::new(&program)
            .args(["--exact", &format!("shared_models::{name}"), "--nocapture"])
            .env("GST_DETECT_CONVOLUTION", algorithm)
            .output()
            .expect("this program runs");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        println!("{algorithm}\n{text}");
        assert!(output.status.success(), "{algorithm}");
        assert!(text.contains("1 passed"), "{algorithm}: it ran");
        for name in WITH_ALGORITHMS {
            assert!(text.contains(name), "{algorithm}: {name} ran");
        }
    }
}

#[test]
fn boxes_without_a_card_are_those_of_the_reference() {
    let Some(shared) = shared() else { return };
    support::init();
    for name in WITHOUT_CARD {
        Case::new(name, "RGB", false).check(&shared, &EXACT);
    }
}

#[test]
fn boxes_of_quantised_and_half_forms_are_near_those_of_the_card() {
    let Some(shared) = shared() else { return };
    support::init();
    for (name, allowed) in FOLDED {
        for with_card in [true, false] {
            let case = Case::new(name, "RGB", with_card);
            Case { allowed, ..case }.check(&shared, &SUBSAMPLED);
        }
    }
}

#[test]
fn boxes_of_int8_forms_are_those_of_the_card_where_integers_compute() {
    let Some(shared) = shared() else { return };
    support::init();
    for engine in installed() {
        let (mut all, mut right) = (0, 0);
        for (name, with_openvino) in OF_INTEGERS {
            let allowed = match engine {
                EngineKind::OpenVino => with_openvino,
                _ => 0,
            };
            let case = Case {
                engine,
                allowed,
                ..Case::new(name, "RGB", true)
            };
            let (count, matched) = case.check(&shared, &SUBSAMPLED);
            (all, right) = (all + count, right + matched);
        }
        println!("{engine}: {right} of {all} boxes of int8 forms are those of the cards");
    }
}

#[test]
fn quantised_and_half_forms_are_recognised_as_their_float_form() {
    let Some(shared) = shared() else { return };
    let open = |name: &str| {
        let path = Some(shared.join(format!("models/{name}.onnx")));
        let options = ModelOptions {
            path,
            ..ModelOptions::default()
        };
        Model::open(&options).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    for (name, _) in FOLDED {
        let (form, float) = (open(name), open(name.split('.').next().expect("a part")));
        assert_eq!(form.family, float.family, "{name}");
        assert_eq!(form.input, float.input, "{name}");
        // Where the heads of a form are integers, the end makes floats of them again.
        let named = |output: &String| output.replace("_quantized/float", "");
        let outputs: Vec<String> = form.outputs.iter().map(named).collect();
        assert_eq!(outputs, float.outputs, "{name}");
        assert_eq!(form.labels.len(), float.labels.len(), "{name}");
        assert_eq!(form.warnings, float.warnings, "{name}");
        println!("{name:28} {}", form.rewrites.join("; "));
        assert!(!form.rewrites.is_empty(), "{name}");
    }
}

/// The re-wired and end-to-end ones are fed otherwise than the exporters of their families do.
#[test]
fn most_boxes_are_found_where_the_convention_is_anothers() {
    let Some(shared) = shared() else { return };
    support::init();
    for name in OTHER_CONVENTION {
        let card = card(&shared, name);
        let properties = format!(
            "model={} score-threshold={}{}",
            shared.join(format!("models/{name}.onnx")).display(),
            card["score_threshold"],
            card["nms_iou"]
                .as_f64()
                .map_or(String::new(), |iou| format!(" iou-threshold={iou}"))
        );
        let labels = card["labels"].as_array().expect("labels");
        // A graph that chooses does not tell how many classes there are, so its labels are numbers.
        let number = |label: &str| labels.iter().position(|l| l == label).unwrap_or_default();
        let (mut met, mut all) = (0, 0);
        for picture in card["expected"].as_array().expect("pictures") {
            let png = png(
                &shared,
                Path::new(picture["image"].as_str().expect("a path")),
            );
            let (found, _) = detect(&png, "RGB", &properties);
            for wanted in expected(picture, size_of(&png)) {
                let labels = [
                    wanted.label.clone(),
                    format!("class {}", number(&wanted.label)),
                ];
                let like = |f: &Found| labels.contains(&f.label) && f.bbox.iou(&wanted.bbox) >= 0.8;
                if wanted.score > 0.5 {
                    all += 1;
                    met += usize::from(found.iter().any(like));
                }
            }
        }
        println!("{name:40} no card: {met} of {all} boxes above 0.5");
        assert!(met * 100 >= all * 80, "{name}: {met} of {all}");
    }
}

/// Their conventions may differ from those of the card, so only the family is compared.
#[test]
fn graphs_that_choose_are_recognised_without_a_card() {
    let Some(shared) = shared() else { return };
    for name in WITHOUT_SUPPRESSION {
        let path = shared.join(format!("models/{name}.onnx"));
        let model = Model::open_uncut(&ModelOptions {
            path: Some(path),
            ..ModelOptions::default()
        });
        let model = model.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(card(&shared, name)["decode"], model.family.name());
        assert_eq!(model.iou_threshold, 1.0, "{name}");
    }
}

/// In it a picture of 3:2 is 8 % smaller than in 416x416, and hardly padded.
const WIDE: (&str, &str) = ("yolox_nano_416", "input-size=416x256");

/// 3:2 or wider, with sides rounded to whole pixels.
fn is_wide((width, height): (f32, f32)) -> bool {
    width >= 1.49 * height
}

/// Writes a file for each model into the folder `DETECT_AP_OUT`, for the script that computes average precision, and
/// one of the wide pictures in an input of their shape.
#[test]
fn detections_for_average_precision() {
    let Some(shared) = shared() else { return };
    let Some(out) = std::env::var_os("DETECT_AP_OUT").map(PathBuf::from) else {
        support::skipped("DETECT_AP_OUT does not name a folder to write into");
        return;
    };
    support::init();
    std::fs::create_dir_all(&out).expect("DETECT_AP_OUT can be made");
    let mut pictures: Vec<_> = std::fs::read_dir(shared.join("coco-mini/images"))
        .expect("the pictures of coco-mini")
        .map(|entry| entry.expect("a readable folder").path())
        .map(|image| (png(&shared, &image), image))
        .collect();
    pictures.sort();
    let write = |file: &str, rows: Vec<Value>| {
        let file = out.join(file);
        std::fs::write(&file, Value::Array(rows).to_string()).expect("the folder is writable");
        println!("written: {}", file.display());
    };
    for name in FOR_AVERAGE_PRECISION {
        let rows = detections_on(&shared, &pictures, name, "");
        write(&format!("{name}.json"), rows);
    }
    pictures.retain(|(png, _)| is_wide(size_of(png)));
    let (name, properties) = WIDE;
    let rows = detections_on(&shared, &pictures, name, properties);
    write(&format!("{name}.wide.json"), rows);
}

/// A row a picture, in the form of the reference's script; each picture is a PNG and the file that it is from.
fn detections_on(
    shared: &Path,
    pictures: &[(PathBuf, PathBuf)],
    name: &str,
    properties: &str,
) -> Vec<Value> {
    let folder = support::Folder::new();
    let mut card = card(shared, name);
    card["multi_label"] = Value::Bool(true);
    let card = folder.file("card.json", card.to_string().as_bytes());
    let properties = format!(
        "model={} model-config={} score-threshold=0.01 max-detections=100 {properties}",
        shared.join(format!("models/{name}.onnx")).display(),
        card.display()
    );
    let row = |(png, image): &(PathBuf, PathBuf)| {
        let (width, height) = size_of(png);
        let (found, _) = detect(png, "RGB", &properties);
        let boxes = found.iter().map(|f| {
            let (x, y) = (|x: f32| x * width, |y: f32| y * height);
            let b = &f.bbox;
            json!([x(b.x1), y(b.y1), x(b.x2), y(b.y2), f.score, f.label])
        });
        json!({"image": image.file_name().unwrap().to_str(), "boxes": boxes.collect::<Vec<_>>()})
    };
    pictures.iter().map(row).collect()
}

#[test]
fn the_comparison_finds_what_is_wrong() {
    let one = |x: f32, score| Found {
        bbox: BBox::new(x, 0.0, x + 0.5, 0.5),
        score,
        label: "a".into(),
    };
    let at = |found: &[Found]| compare(&[one(0.0, 0.8)], found, 0.5, &EXACT);
    assert!(at(&[one(0.0, 0.81)]).is_ok());
    assert!(at(&[]).is_err(), "missing");
    assert!(at(&[one(0.1, 0.8)]).is_err(), "elsewhere");
    assert!(at(&[one(0.0, 0.7)]).is_err(), "another score");
    assert!(at(&[one(0.0, 0.8), one(0.4, 0.6)]).is_err(), "one too many");
    assert!(
        at(&[one(0.0, 0.8), one(0.4, 0.51)]).is_ok(),
        "at the threshold"
    );
}
