//! One detector in the forms in which it may be exported: quantised, in f16, and spelt in old and new operator sets.
//! All must be recognised alike and give what the plain form gives.

use crate::support;
use gstdetect::base::tensor::{Tensor, TensorData};
use gstdetect::engine::{self, EngineKind, EngineOptions};
use gstdetect::model::{Model, ModelOptions};
use prost::Message;
use tract_onnx::pb::ModelProto;

fn open(name: &str) -> Model {
    // Ended at its raw heads it has nine outputs, which are not named alike in all forms.
    let model = Model::open_uncut(&ModelOptions {
        path: Some(support::micro_model(&format!("{name}.onnx"))),
        ..ModelOptions::default()
    });
    model.unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The output for a picture of blocks, a block a cell of the finest grid.
fn output(model: &Model) -> Vec<f32> {
    let mut engine = engine::open(EngineKind::Tract, model, &EngineOptions::default())
        .unwrap_or_else(|error| panic!("{:?}: {error}", model.path));
    let dims = model.input.dims();
    assert_eq!(dims, [1, 3, 32, 32]);
    let block = |i: usize| {
        let (channel, y, x) = (i / 1024, i / 32 % 32 / 8, i % 32 / 8);
        ((channel * 16 + y * 4 + x) * 97 % 256) as f32
    };
    let picture = Tensor::f32(&model.input.name, dims, (0..3 * 1024).map(block).collect());
    let mut outputs = engine.engine.run(&picture).expect("it runs");
    match outputs.remove(0).data {
        TensorData::F32(numbers) => numbers,
        other => panic!("not floats: {other:?}"),
    }
}

fn operators(model: &Model) -> Vec<String> {
    let proto = ModelProto::decode(&model.bytes[..]).expect("it has been encoded just now");
    let nodes = proto.graph.into_iter().flat_map(|graph| graph.node);
    nodes.map(|node| node.op_type).collect()
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

#[test]
fn quantised_and_half_forms_are_read_as_their_float_form() {
    let float = open("yolox_micro");
    let wanted = output(&float);
    // Form, first column that is compared, tolerance. A static quantiser has no scale for weights that are all 0, as
    // those of the two offsets are, and so loses their bias; ONNX Runtime finds the same.
    for (form, first, tolerance) in [
        ("fp16", 0, 1e-3),
        ("fp16io", 0, 1e-3),
        ("qdq", 2, 0.03),
        ("qdq_pc", 2, 0.03),
        ("qop", 2, 0.03),
        ("dyn", 0, 0.03),
    ] {
        let model = open(&format!("yolox_micro.{form}"));
        assert_eq!(model.family, float.family, "{form}");
        assert_eq!(model.classes, float.classes, "{form}");
        assert_eq!(model.input.element, float.input.element, "{form}");
        assert_eq!(model.warnings, float.warnings, "{form}");
        assert!(!model.rewrites.is_empty(), "{form}");
        let left: Vec<_> = operators(&model)
            .into_iter()
            .filter(|op| {
                op.contains("Quantize") || op.contains("QLinear") || op.contains("Integer")
            })
            .collect();
        assert_eq!(left, [""; 0], "{form}");
        let columns = |numbers: &[f32]| -> Vec<f32> {
            numbers
                .chunks(7)
                .flat_map(|row| row[first..].to_vec())
                .collect()
        };
        let difference = worst(&columns(&output(&model)), &columns(&wanted));
        println!(
            "{form:8} worst difference {difference}: {}",
            model.rewrites[0]
        );
        assert!(difference < tolerance, "{form}: {difference}");
    }
}

#[test]
fn every_operator_set_gives_the_same() {
    let plain = open("yolox_micro");
    let wanted = output(&plain);
    for opset in [7, 9, 11, 13, 17, 21] {
        let model = open(&format!("opset{opset}"));
        assert_eq!(model.family, plain.family, "operator set {opset}");
        let difference = worst(&output(&model), &wanted);
        assert!(difference < 1e-4, "operator set {opset}: {difference}");
        // Version 3 demands that every constant is listed as an input, those that a rewrite added as well.
        let proto = ModelProto::decode(&model.bytes[..]).expect("it has been decoded before");
        let inputs = proto.graph.map_or(0, |graph| graph.input.len());
        assert_eq!(inputs, 1, "operator set {opset}");
        assert!(proto.ir_version >= 4, "operator set {opset}");
    }
}
