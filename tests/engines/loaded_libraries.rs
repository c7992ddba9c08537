//! The engines whose libraries are loaded at run time: each gives what tract gives, and says what is wrong.
//!
//! The libraries are looked for as the element does it: `ORT_DYLIB_PATH` and `OPENVINO_LIB_PATH` may name a Python
//! environment with the wheels. Where a library is not on the machine the checks of its engine are skipped, and say so;
//! where a variable promises one that is not there they fail. What a whole process does is tried in one of its own.

use crate::support::engines::{LOADED, OPTIONS, installed, two_engines};
use crate::support::plugin::plugin_folder;
use crate::support::{self, Folder, micro_model, skipped};
use gst::prelude::*;
use gstdetect::base::geometry::BBox;
use gstdetect::base::tensor::{Element, Tensor, TensorData};
use gstdetect::bridge::message::{DETECTIONS, DetectModel, MODEL_PROPERTY};
use gstdetect::engine::{self, Engine, EngineError, EngineKind, EngineOptions, Precision};
use gstdetect::model::{Model, ModelOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

fn model(path: PathBuf) -> Model {
    let options = ModelOptions {
        path: Some(path),
        ..ModelOptions::default()
    };
    Model::open(&options).unwrap_or_else(|err| panic!("{err}"))
}

/// A model that is no detector, for an engine alone.
fn bare_model(file: &str, outputs: &[&str]) -> Model {
    let mut bare = model(micro_model("yolov8_micro.onnx"));
    let bytes = std::fs::read(micro_model(file)).expect("it is there");
    (bare.bytes, bare.outputs) = (
        bytes.into(),
        outputs.iter().map(ToString::to_string).collect(),
    );
    bare
}

fn opened(kind: EngineKind, model: &Model) -> Box<dyn Engine> {
    match engine::open(kind, model, &OPTIONS) {
        Ok(opened) => opened.engine,
        Err(error) => panic!("{kind}: {error}"),
    }
}

/// Numbers without order that are the same in every run, from 0 to `most`.
fn picture(model: &Model, most: f32) -> Tensor {
    let mut input = model.input.blank();
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 * most
    };
    match &mut input.data {
        TensorData::F32(numbers) => numbers.fill_with(next),
        TensorData::U8(numbers) => numbers.fill_with(|| next() as u8),
        other => panic!("no picture is {:?}", other.element()),
    }
    input
}

/// Largest difference between two outputs of one name, shape and type.
fn difference(one: &Tensor, other: &Tensor) -> f32 {
    assert_eq!(one.spec(), other.spec());
    let (Some(numbers), Some(others)) = (one.as_f32(), other.as_f32()) else {
        assert_eq!(one.data, other.data, "{}", one.name);
        return 0.0;
    };
    let pairs = numbers.iter().zip(others);
    let differences = pairs.map(|(a, b)| (a - b).abs() / a.abs().max(1.0));
    differences.fold(0.0, f32::max)
}

#[test]
fn outputs_are_those_of_tract() {
    for (file, most) in [
        ("yolov8_micro", 1.0),
        ("yolov8_uint8_micro", 255.0),
        ("yolov5_micro", 1.0),
        ("yolox_micro", 255.0),
        ("yolox_decoded_micro", 255.0),
        ("free_size", 255.0),
    ] {
        let model = model(micro_model(&format!("{file}.onnx")));
        compare_with_tract(&model, most, file);
    }
    let model = bare_model("yolov8_float16_micro.onnx", &["output0"]);
    compare_with_tract(&model, 1.0, "a graph with an input of half precision");
}

fn compare_with_tract(model: &Model, most: f32, what: &str) {
    let mut tract = opened(EngineKind::Tract, model);
    for kind in installed() {
        let mut engine = opened(kind, model);
        assert_eq!(engine.outputs(), tract.outputs(), "{kind}, {what}");
        for input in [model.input.blank(), picture(model, most)] {
            let wanted = tract.run(&input).expect("tract runs it");
            let found = engine.run(&input).expect("so does this");
            assert_eq!(found.len(), wanted.len());
            for (found, wanted) in found.iter().zip(&wanted) {
                let worst = difference(found, wanted);
                assert!(worst < 1e-4, "{kind}, {what}: {worst}");
            }
        }
    }
}

#[test]
fn other_types_are_widened_and_lists_are_as_long_as_they_come() {
    let outputs = [
        "float", "float16", "double", "uint8", "bool", "int8", "int32", "int64", "rows",
    ];
    let model = bare_model("every_type.onnx", &outputs);
    let mut tract = opened(EngineKind::Tract, &model);
    for kind in installed() {
        let mut engine = opened(kind, &model);
        assert_eq!(engine.outputs(), tract.outputs(), "{kind}");
        assert_eq!(engine.outputs()[8].dims, [0, 4], "as many as there are");
        let mut input = model.input.blank();
        for lit in [0, 3, 1, 0] {
            if let TensorData::F32(numbers) = &mut input.data {
                numbers.fill(0.0);
                numbers[100..100 + lit].fill(7.5);
            }
            let found = engine.run(&input).expect("it runs");
            assert_eq!(found[8].dims, [lit, 4], "{kind}");
            for (found, wanted) in found.iter().zip(tract.run(&input).expect("tract too")) {
                assert!(difference(found, &wanted) == 0.0, "{kind}: {}", wanted.name);
            }
        }
    }
}

#[test]
fn another_engine_of_a_model_gives_the_same() {
    let model = Model::open(&ModelOptions::default()).expect("it is built in");
    let input = picture(&model, 1.0);
    for kind in [EngineKind::Tract].into_iter().chain(installed()) {
        let answers =
            two_engines(kind, &model).map(|mut engine| engine.run(&input).expect("it runs"));
        assert_eq!(answers[0], answers[1], "{kind}");
    }
}

#[test]
fn an_input_of_another_shape_or_type_is_refused_and_the_next_one_runs() {
    let model = model(micro_model("yolov8_micro.onnx"));
    for kind in installed() {
        let mut engine = opened(kind, &model);
        let mut narrow = model.input.blank();
        narrow.dims = vec![1, 3, 64, 16];
        let mut bytes = model.input.blank();
        bytes.data = TensorData::U8(vec![0; bytes.data.len()]);
        let mut short = model.input.blank();
        short.data = TensorData::F32(vec![0.0; 5]);
        for wrong in [narrow, bytes, short] {
            let error = engine.run(&wrong).expect_err("not the model's");
            assert!(matches!(error, EngineError::Shape { .. }), "{error}");
        }
        assert!(engine.run(&picture(&model, 1.0)).is_ok());
    }
}

/// Why an engine refuses a model.
fn refused(kind: EngineKind, model: &Model, options: &EngineOptions) -> EngineError {
    match engine::open(kind, model, options) {
        Ok(_) => panic!("{kind} takes it"),
        Err(error) => error,
    }
}

#[test]
fn an_operator_that_the_engine_lacks_is_named() {
    let model = model(micro_model("unknown_op.onnx"));
    for kind in installed() {
        let error = refused(kind, &model, &OPTIONS);
        let EngineError::Operator { engine, names } = &error else {
            panic!("{kind}: {error}");
        };
        assert_eq!((*engine, names.len()), (kind, 1), "{error}");
        assert!(names[0].ends_with("NoEngineHasThis"), "{error}");
    }
}

#[test]
fn a_broken_graph_is_refused_with_what_the_engine_says() {
    for kind in installed() {
        let mut broken = model(micro_model("yolov8_micro.onnx"));
        broken.bytes = broken.bytes[..broken.bytes.len() / 2].into();
        let mut renamed = model(micro_model("yolov8_micro.onnx"));
        renamed.input.name = "pixels".into();
        let mut larger = model(micro_model("yolov8_micro.onnx"));
        larger.input.size.width = 64;
        let mut bytes = model(micro_model("yolov8_micro.onnx"));
        bytes.input.element = Element::U8;
        for model in [broken, renamed, larger, bytes] {
            let error = refused(kind, &model, &OPTIONS);
            let text = error.to_string();
            assert!(
                matches!(error, EngineError::Load { .. }) && text.contains(&kind.to_string()),
                "{error:?}"
            );
        }
    }
}

#[test]
fn constants_of_absurd_size_are_refused_before_they_are_made() {
    // the first one before it comes to an engine
    let made = ModelOptions {
        path: Some(micro_model("huge_constantofshape.onnx")),
        ..ModelOptions::default()
    };
    let error = Model::open(&made).expect_err("too large");
    assert!(error.to_string().contains("65536"), "{error}");
    let model = model(micro_model("huge_expand.onnx"));
    for kind in LOADED {
        let text = refused(kind, &model, &OPTIONS).to_string();
        assert!(
            text.contains("65536") && text.contains(&kind.to_string()),
            "{text}"
        );
    }
}

#[test]
fn arithmetic_that_cannot_be_had_is_refused_with_what_can() {
    let model = model(micro_model("yolov8_micro.onnx"));
    let half = EngineOptions {
        precision: Precision::F16,
        ..OPTIONS
    };
    for kind in [EngineKind::Tract, EngineKind::OnnxRuntime] {
        let error = refused(kind, &model, &half);
        let text = error.to_string();
        for part in ["f16", "auto and f32", &kind.to_string()] {
            assert!(text.contains(part), "{text}");
        }
    }
    if !installed().contains(&EngineKind::OpenVino) {
        return;
    }
    // With OpenVINO it is the processor's matter.
    match engine::open(EngineKind::OpenVino, &model, &half) {
        Ok(mut opened) => assert!(opened.engine.run(&picture(&model, 1.0)).is_ok()),
        Err(error) => assert!(matches!(error, EngineError::Precision { .. }), "{error}"),
    }
}

#[test]
fn two_engines_of_a_kind_run_in_two_threads() {
    for kind in installed() {
        let run = move || {
            let model = model(micro_model("yolox_micro.onnx"));
            let mut engine = opened(kind, &model);
            let input = picture(&model, 255.0);
            let first = engine.run(&input).expect("runs");
            for _ in 0..50 {
                assert_eq!(engine.run(&input).expect("runs again"), first);
            }
            first
        };
        let threads = [std::thread::spawn(run), std::thread::spawn(run)];
        let [one, other] = threads.map(|thread| thread.join().expect("right results in both"));
        assert_eq!(one, other);
    }
}

/// Models of the shared folder and a picture with something to find; of half precision, quantised, with integer
/// inputs, and with graphs that choose.
const SHARED: [(&str, &str); 8] = [
    ("yolox_nano_416", "fruits"),
    ("yolox_nano_416.fp16", "fruits"),
    ("nanodet_m_320", "fruits"),
    ("picodet_xs_320", "fruits"),
    ("yolox_nano_e2e_nms6_416", "fruits"),
    ("yolox_nano_e2e_boxes_scores_labels_416", "fruits"),
    ("yolox_nano_e2e_tfod_416", "fruits"),
    ("yunet_n_320", "astronaut"),
];

#[test]
fn boxes_of_shared_models_are_those_of_tract() {
    let Some(shared) = std::env::var_os("DETECT_SHARED").map(PathBuf::from) else {
        skipped("DETECT_SHARED does not name the folder of shared models");
        return;
    };
    let Some(pictures) = std::env::var_os("DETECT_PICTURES").map(PathBuf::from) else {
        skipped("DETECT_PICTURES does not name the folder of decoded pictures");
        return;
    };
    support::init();
    let engines = installed();
    for (name, picture) in SHARED {
        let model = shared.join(format!("models/{name}.onnx"));
        let picture = [&pictures, &shared.join("images")]
            .map(|folder| folder.join(format!("{picture}.png")))
            .into_iter()
            .find(|path| path.is_file())
            .unwrap_or_else(|| panic!("no {picture}.png"));
        let wanted = detected(&model, &picture, "tract");
        assert!(!wanted.is_empty(), "{name} finds nothing");
        for engine in &engines {
            let found = detected(&model, &picture, &engine.to_string());
            compare(&found, &wanted, &format!("{engine}, {name}"));
        }
    }
}

#[derive(Debug)]
struct Found {
    bbox: BBox,
    score: f64,
    class: i32,
}

/// Boxes that `detect` finds in a picture.
fn detected(model: &Path, picture: &Path, engine: &str) -> Vec<Found> {
    let launch = format!(
        "filesrc location={} ! pngdec ! videoconvert ! video/x-raw,format=RGB \
         ! detect name=detect engine={engine} precision=f32 model={} model-config={} post-detections=true \
         ! fakesink",
        picture.display(),
        model.display(),
        model.with_extension("json").display()
    );
    let pipeline = gst::parse::launch(&launch).expect("a right pipeline");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("of elements");
    pipeline.set_state(gst::State::Playing).ok();
    let mut found = Vec::new();
    let bus = pipeline.bus().expect("of a pipeline");
    for message in bus.iter_timed(gst::ClockTime::from_seconds(60)) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(err) => panic!("{engine}: {err:?}"),
            gst::MessageView::Element(element) => {
                let told = element.structure().filter(|s| s.name() == DETECTIONS);
                found.extend(told.map(boxes).unwrap_or_default());
            }
            _ => {}
        }
    }
    let element = pipeline.by_name("detect").expect("named so");
    let info: gst::Structure = element.property("model-info");
    assert_eq!(info.name(), MODEL_PROPERTY);
    let told = DetectModel::from_structure(&info).expect("its fields");
    assert_eq!(told.engine, engine);
    pipeline.set_state(gst::State::Null).ok();
    found
}

fn boxes(message: &gst::StructureRef) -> Vec<Found> {
    let detections = message.get::<gst::Array>("detections").expect("the field");
    let one = |value: &glib::SendValue| {
        let d = value.get::<gst::Structure>().expect("a structure");
        let side = |field| d.get::<f64>(field).expect("a coordinate") as f32;
        Found {
            bbox: BBox::new(side("x_min"), side("y_min"), side("x_max"), side("y_max")),
            score: d.get("confidence").expect("a score"),
            class: d.get("label_id").expect("a class"),
        }
    };
    detections.iter().map(one).collect()
}

fn compare(found: &[Found], wanted: &[Found], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}: {found:?}, {wanted:?}");
    for wanted in wanted {
        let same = |found: &&Found| {
            found.class == wanted.class
                && (found.score - wanted.score).abs() < 0.01
                && found.bbox.iou(&wanted.bbox) >= 0.99
        };
        assert!(
            found.iter().any(|f| same(&f)),
            "{what}: {wanted:?}, {found:?}"
        );
    }
}

/// Runs `detect` with these properties on one frame, in a process of its own with this environment; returns whether it
/// succeeded, and what it printed.
pub fn launched(properties: &[&str], environment: &[(&str, &Path)]) -> (bool, String) {
    let (plugins, registry) = (plugin_folder(), Folder::new());
    let mut command = Command::new("gst-launch-1.0");
    command
        .args(["-m", "videotestsrc", "num-buffers=1", "!", "detect"])
        .args(properties)
        .args(["!", "fakesink"])
        .env("GST_PLUGIN_PATH", plugins.path())
        .env("GST_REGISTRY", registry.path().join("registry"))
        .env("LANG", "C")
        .env_remove("VIRTUAL_ENV")
        .env("XDG_CACHE_HOME", registry.path().join("cache"))
        .envs(environment.iter().copied());
    let output = command.output().expect("gst-launch-1.0 is installed");
    let text = [output.stdout, output.stderr].concat();
    // The structure of a message is told with every space escaped.
    let text = String::from_utf8_lossy(&text)
        .replace("\\\\", "\\")
        .replace('\\', "");
    (output.status.success(), text)
}

#[test]
fn a_library_that_is_not_there_is_an_error_that_says_what_to_install() {
    for (engine, variable, words) in [
        (
            "onnxruntime",
            "ORT_DYLIB_PATH",
            ["libonnxruntime1.21", "pip install onnxruntime"],
        ),
        (
            "openvino",
            "OPENVINO_LIB_PATH",
            ["OPENVINO_LIB_PATH=", "pip install openvino"],
        ),
    ] {
        let folder = Folder::new();
        let property = format!("engine={engine}");
        let (good, told) = launched(&[&property], &[(variable, folder.path())]);
        assert!(!good, "{told}");
        let place = folder.path().display().to_string();
        for word in words.into_iter().chain([engine, variable, &place]) {
            assert!(told.contains(word), "no {word} in {told}");
        }
        let broken = folder.file("library.so", b"not a library");
        let (good, told) = launched(&[&property], &[(variable, &broken)]);
        assert!(!good && told.contains("library.so"), "{told}");
    }
}

#[test]
fn auto_without_libraries_is_tract() {
    let nowhere = Folder::new();
    let without = [
        ("ORT_DYLIB_PATH", nowhere.path()),
        ("OPENVINO_LIB_PATH", nowhere.path()),
    ];
    let (good, told) = launched(&["engine=auto"], &without);
    assert!(good, "{told}");
    for word in [
        "engine=(string)tract",
        "onnxruntime is not installed",
        "openvino is not installed",
    ] {
        assert!(told.contains(word), "no {word} in {told}");
    }
}

#[test]
fn auto_measures_once_and_remembers() {
    let engines = installed();
    if engines.is_empty() {
        return;
    }
    let model = format!("model={}", micro_model("yolov8_micro.onnx").display());
    let cache = Folder::new();
    let run = || {
        let place = [("XDG_CACHE_HOME", cache.path())];
        let (good, told) = launched(&["engine=auto", &model], &place);
        assert!(good, "{told}");
        told
    };
    let first = run();
    assert!(first.contains("fastest here: "), "{first}");
    for engine in engines.iter().chain([&EngineKind::Tract]) {
        assert!(
            first.contains(&format!("{engine} ")),
            "no time of {engine}: {first}"
        );
    }
    assert!(!first.contains("measured before"), "{first}");
    assert!(run().contains("(measured before)"));
    // A folder that cannot be written only means that it is measured again.
    let place = [("XDG_CACHE_HOME", Path::new("/proc/nowhere"))];
    for _ in 0..2 {
        let (good, told) = launched(&["engine=auto", &model], &place);
        assert!(good && told.contains("fastest here: "), "{told}");
        assert!(!told.contains("measured before"), "{told}");
    }
}
