//! Which form of a quantised model an engine runs: folded to float, or as it is quantised; and that both are the same
//! model to whoever feeds it and decodes its outputs.
//!
//! Where the library of an engine is not on the machine its part is skipped, and says so.

use crate::support::engines::{OPTIONS, installed};
use crate::support::{self, Folder, micro_model};
use gstdetect::base::detection::Detection;
use gstdetect::base::geometry::Size;
use gstdetect::base::tensor::Tensor;
use gstdetect::detector::{Detector, DetectorOptions};
use gstdetect::engine::{self, Engine, EngineKind, Opened};
use gstdetect::families::{Labelling, decoder_for};
use gstdetect::model::{InputSize, Model, ModelOptions, Quantisation};
use prost::Message;
use std::path::{Path, PathBuf};
use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{ModelProto, StringStringEntryProto};

const FORMS: [(&str, Quantisation); 6] = [
    ("yolox_micro.qdq", Quantisation::Qdq),
    ("yolox_micro.qdq_pc", Quantisation::Qdq),
    ("yolox_micro.qop", Quantisation::QOperator),
    ("yolox_micro.dyn", Quantisation::Dynamic),
    ("yolov8_dfl_micro.qdq", Quantisation::Qdq),
    ("yolov8_dfl_micro.qop", Quantisation::QOperator),
];

fn options(path: PathBuf, input_size: InputSize) -> ModelOptions {
    ModelOptions {
        path: Some(path),
        input_size,
        ..ModelOptions::default()
    }
}

fn open(path: PathBuf, input_size: InputSize) -> Model {
    let shown = path.display().to_string();
    Model::open(&options(path, input_size)).unwrap_or_else(|error| panic!("{shown}: {error}"))
}

fn micro(name: &str) -> Model {
    open(micro_model(&format!("{name}.onnx")), InputSize::Auto)
}

fn opened(kind: EngineKind, model: &Model) -> Opened {
    engine::open(kind, model, &OPTIONS).unwrap_or_else(|error| panic!("{kind}: {error}"))
}

/// The same model in the bytes of its file alone.
fn of_file(model: &Model) -> Model {
    let path = model.path.as_ref().expect("a file");
    let mut whole = model.clone();
    whole.bytes = std::fs::read(path).expect("it can be read").into();
    whole.quantised = None;
    whole
}

/// A block a cell of the finest grid, none like another.
fn picture(model: &Model) -> Tensor {
    let dims = model.input.dims();
    let [_, _, height, width] = dims;
    let most = if model.family.name() == "yolov8" {
        1.0 / 255.0
    } else {
        1.0
    };
    let block = |i: usize| {
        let (channel, y, x) = (i / (height * width), i / width % height / 8, i % width / 8);
        ((channel * 16 + y * 4 + x) * 97 % 256) as f32 * most
    };
    let count = dims.iter().product();
    Tensor::f32(&*model.input.name, dims, (0..count).map(block).collect())
}

fn outputs(engine: &mut dyn Engine, model: &Model) -> Vec<Tensor> {
    engine.run(&picture(model)).expect("it runs")
}

/// Every candidate, in the order of the cells.
fn candidates(model: &Model, opened: &mut Opened) -> Vec<Detection> {
    let engine = opened.engine.as_mut();
    let (size, classes) = (model.input.size, model.classes);
    let specs = engine.outputs().to_vec();
    let decoder = decoder_for(
        model.family.as_ref(),
        size,
        classes,
        &specs,
        Labelling::Best,
    );
    let mut found = Vec::new();
    let outputs = outputs(engine, model);
    let decoded = decoder.map(|decoder| decoder.decode(&outputs, 0.0, &mut found));
    decoded.expect("its family").expect("outputs as made");
    found
}

#[test]
fn each_engine_runs_the_form_that_suits_it() {
    let engines = installed();
    for (name, quantisation) in FORMS {
        let model = micro(name);
        let form = model.quantised.as_ref().expect("it is quantised");
        assert_eq!(form.quantisation, quantisation, "{name}");
        for &kind in engines.iter().chain([&EngineKind::Tract]) {
            let opened = opened(kind, &model);
            let suits = match kind {
                EngineKind::OnnxRuntime => true,
                EngineKind::OpenVino => quantisation == Quantisation::Qdq,
                _ => false,
            };
            assert_eq!(opened.quantised, suits, "{name}, {kind}: {}", opened.reason);
            let told = match kind {
                EngineKind::Tract => "asked for",
                _ if suits => "runs the quantised model",
                _ => "folded to float: openvino",
            };
            assert!(opened.reason.contains(told), "{name}: {}", opened.reason);
        }
    }
}

#[test]
fn a_quantised_file_that_needs_no_rewrite_is_run_as_it_is() {
    for (name, _) in FORMS
        .into_iter()
        .filter(|(name, _)| name.starts_with("yolox"))
    {
        let path = micro_model(&format!("{name}.onnx"));
        let model = Model::open_uncut(&options(path, InputSize::Auto)).expect("it is there");
        let form = model.quantised.as_ref().expect("it is quantised");
        assert_eq!(form.rewrites, [""; 0], "{name}");
        assert_eq!(form.bytes, of_file(&model).bytes, "{name}");
        assert!(model.rewrites[0].contains("folded"), "{:?}", model.rewrites);
        if !installed().contains(&EngineKind::OnnxRuntime) {
            continue;
        }
        let mut quantised = opened(EngineKind::OnnxRuntime, &model).engine;
        let mut whole = opened(EngineKind::OnnxRuntime, &of_file(&model)).engine;
        let (found, wanted) = (
            outputs(quantised.as_mut(), &model),
            outputs(whole.as_mut(), &model),
        );
        assert_eq!(found, wanted, "{name}");
        let mut folded = opened(EngineKind::Tract, &model).engine;
        assert_eq!(quantised.outputs(), folded.outputs(), "{name}");
        assert_ne!(found, outputs(folded.as_mut(), &model), "{name}: rounded");
    }
}

#[test]
fn a_cut_head_gives_the_boxes_of_the_whole_quantised_graph() {
    // Name, outputs, the output of the file, how far scores may be off: the output of some is rounded in the file.
    for (name, heads, output, tolerance) in [
        ("yolov8_dfl_micro.qdq", 6, "output0", 1e-4),
        ("yolov8_dfl_micro.qop", 6, "output0", 1e-4),
        ("yolox_micro.dyn", 9, "output", 1e-4),
        ("yolox_micro.qdq", 9, "output", 0.01),
        ("yolox_micro.qop", 9, "output", 0.01),
    ] {
        let cut = micro(name);
        let form = cut.quantised.as_ref().expect("it is quantised");
        assert!(form.rewrites[0].contains("raw heads"), "{name}");
        assert_eq!(cut.outputs.len(), heads, "{name}: {:?}", cut.rewrites);
        let mut whole = of_file(&cut);
        whole.family = support::families::of_whole_graph(cut.family.as_ref());
        whole.outputs = vec![output.into()];
        for kind in installed() {
            let mut in_rust = opened(kind, &cut);
            if !in_rust.quantised {
                continue;
            }
            let mut in_graph = opened(kind, &whole);
            let names: Vec<_> = in_rust.engine.outputs().iter().map(|o| &o.name).collect();
            assert_eq!(
                names,
                cut.outputs.iter().collect::<Vec<_>>(),
                "{name}, {kind}"
            );
            let (found, wanted) = (
                candidates(&cut, &mut in_rust),
                candidates(&whole, &mut in_graph),
            );
            assert_eq!((found.len(), wanted.len()), (21, 21), "{name}, {kind}");
            for (found, wanted) in found.iter().zip(&wanted) {
                let same = found.class == wanted.class
                    && found.bbox.iou(&wanted.bbox) > 0.999
                    && (found.score - wanted.score).abs() < tolerance;
                assert!(same, "{name}, {kind}: {found:?}, {wanted:?}");
            }
        }
    }
}

#[test]
fn the_quantised_form_follows_the_input_size_as_the_folded_one_does() {
    let size = InputSize::Fixed(Size::new(96, 64));
    for (name, _) in FORMS {
        let model = open(micro_model(&format!("{name}.onnx")), size);
        let Some(form) = model.quantised.as_ref() else {
            let why = model.rewrites.last().expect("it is told");
            let told = "folded graph: QLinearAveragePool of another domain is not followed";
            assert!(name == "yolox_micro.qop" && why.contains(told), "{why}");
            continue;
        };
        let last = form.rewrites.last().expect("it was changed");
        assert!(last.contains("32x32 to 96x64"), "{name}: {last}");
        for kind in installed() {
            let opened = opened(kind, &model);
            let mut folded = self::opened(EngineKind::Tract, &model).engine;
            assert_eq!(opened.engine.outputs(), folded.outputs(), "{name}, {kind}");
            let (mut engine, wanted) = (opened.engine, outputs(folded.as_mut(), &model));
            let found = outputs(engine.as_mut(), &model);
            let specs = |tensors: &[Tensor]| tensors.iter().map(Tensor::spec).collect::<Vec<_>>();
            assert_eq!(specs(&found), specs(&wanted), "{name}, {kind}");
        }
    }
}

/// In which one operator is given a scale that none can have, which ONNX Runtime tells when it is run.
fn spoilt(bytes: &[u8]) -> Vec<u8> {
    let mut model = ModelProto::decode(bytes).expect("a model");
    let graph = model.graph.as_mut().expect("with a graph");
    let conv = graph.node.iter_mut().find(|n| n.op_type == "QLinearConv");
    let scale = &mut conv.expect("of integers").input[1];
    let mut tensors = graph.initializer.iter();
    let found = tensors.find(|tensor| tensor.name == *scale);
    let mut pair = found.expect("a constant").clone();
    pair.name = "pair of scales".into();
    pair.dims = vec![2];
    pair.float_data = vec![0.5, 0.25];
    pair.raw_data.clear();
    *scale = pair.name.clone();
    graph.initializer.push(pair);
    model.encode_to_vec()
}

#[test]
fn where_the_quantised_form_fails_the_folded_one_serves() {
    let model = micro("yolox_micro.qdq");
    let of_integers = micro("yolox_micro.qop");
    let whole = of_integers
        .quantised
        .clone()
        .expect("it is quantised")
        .bytes;
    for kind in installed() {
        let mut cases = vec![("cut off", model.clone(), whole[..whole.len() / 2].to_vec())];
        if kind == EngineKind::OnnxRuntime {
            cases.push(("spoilt", of_integers.clone(), spoilt(&whole)));
        }
        for (what, mut model, bytes) in cases {
            let form = model.quantised.as_mut().expect("it is quantised");
            form.bytes = bytes.into();
            let mut serves = opened(kind, &model);
            assert!(!serves.quantised, "{what}, {kind}");
            for part in ["folded to float: ", &kind.to_string()] {
                assert!(serves.reason.contains(part), "{what}: {}", serves.reason);
            }
            println!("{what}, {kind}: {}", serves.reason);
            model.quantised = None;
            let mut folded = opened(kind, &model);
            let wanted = outputs(folded.engine.as_mut(), &model);
            assert_eq!(outputs(serves.engine.as_mut(), &model), wanted, "{what}");
        }
    }
}

#[test]
fn what_was_rewritten_is_told_of_the_form_that_runs() {
    let rewrites = |kind| {
        let detector = Detector::open(&DetectorOptions {
            model: options(micro_model("yolov8_dfl_micro.qdq.onnx"), InputSize::Auto),
            engine: kind,
            engine_options: OPTIONS,
        });
        let detector = detector.unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert!(detector.model().bytes.is_empty());
        assert!(detector.model().quantised.is_none(), "nobody needs it now");
        detector.model().rewrites.join("; ")
    };
    let folded = rewrites(EngineKind::Tract);
    assert!(
        folded.contains("folded") && folded.contains("raw heads"),
        "{folded}"
    );
    for kind in installed() {
        let told = rewrites(kind);
        assert!(
            !told.contains("folded") && told.contains("raw heads"),
            "{told}"
        );
    }
}

/// The micro model with one constant in a second file.
fn with_external_data(folder: &Path) -> PathBuf {
    let bytes = std::fs::read(micro_model("yolox_micro.qdq.onnx")).expect("it is there");
    let mut model = ModelProto::decode(&bytes[..]).expect("a model");
    let tensors = &mut model.graph.as_mut().expect("with a graph").initializer;
    let long = tensors
        .iter_mut()
        .max_by_key(|tensor| tensor.raw_data.len());
    let tensor = long.expect("constants");
    std::fs::write(folder.join("x.data"), &tensor.raw_data).expect("a writable folder");
    tensor.raw_data.clear();
    tensor.data_location = Some(DataLocation::External as i32);
    tensor.external_data = vec![StringStringEntryProto {
        key: "location".into(),
        value: "x.data".into(),
    }];
    let path = folder.join("x.onnx");
    std::fs::write(&path, model.encode_to_vec()).expect("a writable folder");
    path
}

#[test]
fn weights_of_a_second_file_are_in_both_forms() {
    let folder = Folder::new();
    let path = with_external_data(folder.path());
    let model = open(path, InputSize::Auto);
    let form = model.quantised.as_ref().expect("it is quantised");
    assert!(form.rewrites[0].contains("x.data"), "{:?}", form.rewrites);
    assert!(model.rewrites[0].contains("x.data"), "{:?}", model.rewrites);
    let plain = micro("yolox_micro.qdq");
    for kind in installed() {
        let mut engines = [opened(kind, &model), opened(kind, &plain)];
        let [external, plain] = &mut engines;
        assert!(external.quantised, "{}", external.reason);
        assert_eq!(
            outputs(external.engine.as_mut(), &model),
            outputs(plain.engine.as_mut(), &model),
            "{kind}"
        );
    }
}

#[test]
fn a_file_that_would_lose_something_has_one_form_for_all() {
    let folder = Folder::new();
    let mut bytes = std::fs::read(micro_model("yolox_micro.qdq.onnx")).expect("it is there");
    // field 26 of the model, empty
    bytes.extend([0xd2, 0x01, 0]);
    let model = open(folder.file("x.onnx", &bytes), InputSize::Auto);
    assert!(model.quantised.is_none() && *model.bytes == *bytes);
    assert!(
        model.warnings[0].contains("Model.26"),
        "{:?}",
        model.warnings
    );
    for kind in installed() {
        let opened = opened(kind, &model);
        assert!(
            !opened.reason.contains("runs the model"),
            "{}",
            opened.reason
        );
    }
}
