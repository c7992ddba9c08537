//! Models of which tract runs a part around the executor, and models at several sizes.

use super::super::op::ConvnetOp;
use super::{difference, picture};
use crate::base::geometry::Size;
use crate::base::tensor::{
    ColourOrder, Element, InputSpec, Interpolation, Layout, ResizeMode, Tensor as Ours,
};
use crate::engine::tract::Tract;
use crate::engine::tract::load::Loading;
use crate::engine::tract::tests::{cast, floats, integers, node, value_info};
use crate::engine::{Engine, EngineOptions};
use prost::Message;
use std::time::Duration;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::*;
use tract_onnx::prelude::f16;

pub fn input(size: [usize; 2]) -> InputSpec {
    InputSpec {
        name: "in".into(),
        size: Size::new(size[1] as u32, size[0] as u32),
        layout: Layout::Nchw,
        element: Element::F32,
        colour: ColourOrder::Rgb,
        mean: [128.0; 3],
        std: [64.0; 3],
        resize: ResizeMode::Stretch,
        pad_value: 0.0,
        interpolation: Interpolation::Linear,
    }
}

/// Creates a file with the input `in` of this size and type, and the named outputs of unknown shape.
pub fn file(
    size: [usize; 2],
    data_type: DataType,
    initializer: Vec<TensorProto>,
    node: Vec<NodeProto>,
    outputs: &[(&str, DataType)],
) -> Vec<u8> {
    let dims = [1, 3, size[0] as i64, size[1] as i64];
    let graph = GraphProto {
        name: "around".into(),
        input: vec![value_info("in", data_type, &dims)],
        output: (outputs.iter())
            .map(|&(name, data_type)| value_info(name, data_type, &[]))
            .collect(),
        initializer,
        node,
        ..Default::default()
    };
    let model = ModelProto {
        ir_version: 7,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 13,
        }],
        graph: Some(graph),
        ..Default::default()
    };
    model.encode_to_vec()
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: attribute_proto::AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..Default::default()
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: attribute_proto::AttributeType::Int as i32,
        i: value,
        ..Default::default()
    }
}

/// A convolution that keeps the size, and its weights.
pub fn conv(input: &str, output: &str, [from, to, side]: [i64; 3]) -> (NodeProto, TensorProto) {
    let weights = format!("{output}_weights");
    let mut conv = node("Conv", &[input, &weights], output);
    conv.attribute.push(ints("pads", &[side / 2; 4]));
    let count = (from * to * side * side) as u32;
    let value = |n: u32| (n.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5;
    let values: Vec<f32> = (0..count).map(value).collect();
    (conv, floats(&weights, &[to, from, side, side], &values))
}

fn half(tensor: TensorProto) -> TensorProto {
    let bytes = tensor.float_data.iter();
    TensorProto {
        data_type: DataType::Float16 as i32,
        raw_data: bytes
            .flat_map(|&v| f16::from_f32(v).to_bits().to_le_bytes())
            .collect(),
        float_data: Vec::new(),
        ..tensor
    }
}

fn open(bytes: &[u8], size: [usize; 2], least_work: Option<u64>) -> Tract {
    let options = EngineOptions {
        threads: 1,
        ..EngineOptions::default()
    };
    let loading = Loading::without_measuring(least_work);
    Tract::open_with(bytes, &input(size), &options, loading).expect("it loads")
}

/// Runs a model with the executor and without; checks that the outputs are the same, and that the executor runs a part.
/// Returns the outputs and what stays outside in words.
fn compare(bytes: &[u8], size: [usize; 2], limit: f32) -> (Vec<Ours>, String) {
    let picture = picture(&input(size));
    let expected = open(bytes, size, None)
        .run(&picture)
        .expect("tract runs it");
    let mut with = open(bytes, size, Some(0));
    for _ in 0..2 {
        let found = with.run(&picture).expect("it runs");
        for (expected, found) in expected.iter().zip(&found) {
            let worst = difference(expected, found);
            assert!(worst <= limit, "{}: {worst}", expected.name);
        }
    }
    let coverage = with.coverage.as_ref().expect("asked for");
    assert!(coverage.networks > 0, "{coverage}");
    assert!(!coverage.outside.is_empty(), "{coverage}");
    (expected, coverage.to_string())
}

const SIZE: [usize; 2] = [16, 20];
pub const FLOAT: DataType = DataType::Float;

/// The maps of the picture and their double are a batch of two.
fn batch_of_two() -> Vec<u8> {
    let (first, a) = conv("in", "a", [3, 8, 3]);
    let (second, b) = conv("batch", "b", [8, 8, 3]);
    let (third, c) = conv("one", "c", [8, 16, 3]);
    let mut batch = node("Concat", &["a", "twice"], "batch");
    batch.attribute.push(int("axis", 0));
    let nodes = vec![
        first,
        node("Add", &["a", "a"], "twice"),
        batch,
        second,
        node("Slice", &["b", "from", "to", "axis"], "one"),
        third,
        node("Relu", &["c"], "out"),
    ];
    let constants = vec![
        a,
        b,
        c,
        integers("from", &[1]),
        integers("to", &[2]),
        integers("axis", &[0]),
    ];
    file(
        SIZE,
        FLOAT,
        constants,
        nodes,
        &[("out", FLOAT), ("b", FLOAT)],
    )
}

#[test]
fn a_batch_inside_the_model_is_left_to_tract() {
    let (outputs, text) = compare(&batch_of_two(), SIZE, 1e-4);
    assert_eq!(outputs[0].dims, [1, 16, 16, 20]);
    assert_eq!(outputs[1].dims, [2, 8, 16, 20]);
    assert!(text.contains("Conv"), "{text}");
}

/// tract gives its optimised nodes other names than the model's.
#[test]
fn what_stays_outside_is_timed() {
    let loading = Loading {
        is_profiled: true,
        ..Loading::without_measuring(Some(0))
    };
    let options = EngineOptions::default();
    let engine = Tract::open_with(&batch_of_two(), &input(SIZE), &options, loading);
    let engine = engine.expect("it loads");
    let coverage = engine.coverage.as_ref().expect("asked for");
    let times = coverage.times.expect("it was measured");
    let outside: Duration = coverage.outside.iter().map(|outside| outside.time).sum();
    assert!(!times.inside.is_zero() && !outside.is_zero(), "{coverage}");
    let traced = (times.inside + outside).as_secs_f64() / times.all.as_secs_f64();
    assert!(
        (0.7..=1.0).contains(&traced),
        "{traced} of the time: {coverage}"
    );
    let text = engine.description().expect("there is a coverage");
    assert!(text.contains(" % of the time"), "{text}");
    assert!(text.contains("Conv (time "), "{text}");
}

#[test]
fn channels_that_become_a_batch_are_left_to_tract() {
    let (first, a) = conv("in", "a", [3, 8, 3]);
    let (second, b) = conv("batch", "b", [4, 4, 3]);
    let (third, c) = conv("joined", "c", [8, 8, 1]);
    let nodes = vec![
        first,
        node("Reshape", &["a", "two"], "batch"),
        second,
        node("Reshape", &["b", "one"], "joined"),
        third,
        node("Relu", &["c"], "out"),
    ];
    let [two, one] = [("two", [2, 4, 16, 20]), ("one", [1, 8, 16, 20])]
        .map(|(name, dims)| integers(name, &dims));
    let constants = vec![a, b, c, two, one];
    let bytes = file(SIZE, FLOAT, constants, nodes, &[("out", FLOAT)]);
    let (outputs, _) = compare(&bytes, SIZE, 1e-4);
    assert_eq!(outputs[0].dims, [1, 8, 16, 20]);
}

/// Files of f16 are widened before an engine gets them. What cannot be widened is tract's.
#[test]
fn parts_of_f16_are_left_to_tract() {
    let half_type = DataType::Float16;
    let (first, a) = conv("in", "a", [3, 8, 3]);
    let (second, b) = conv("wide", "b", [8, 8, 3]);
    let (third, c) = conv("narrow", "c", [8, 4, 1]);
    let nodes = vec![
        first,
        cast("a", "wide", FLOAT),
        second,
        node("Relu", &["b"], "positive"),
        cast("positive", "narrow", half_type),
        third,
    ];
    let constants = vec![half(a), b, half(c)];
    let outputs = [("c", half_type), ("positive", FLOAT)];
    let bytes = file(SIZE, half_type, constants, nodes, &outputs);
    let (outputs, text) = compare(&bytes, SIZE, 2e-3);
    assert_eq!(outputs[0].dims, [1, 4, 16, 20]);
    assert!(text.contains("computes F16"), "{text}");
}

/// The shares of all pixels by all pixels are made where somebody reads them, and where they are not those of attention.
#[test]
fn shares_that_somebody_reads_are_left_to_tract() {
    for (function, axis, read) in [
        ("Softmax", 3, true),
        ("Softmax", 2, false),
        ("Sigmoid", 0, false),
    ] {
        let parts = ["q", "k", "v"].map(|name| conv("in", name, [3, 8, 1]));
        let (mut nodes, mut constants): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let turned = |from: &str, to: &str| {
            let mut node = node("Transpose", &[from], to);
            node.attribute.push(ints("perm", &[0, 1, 3, 2]));
            node
        };
        let mut shares = node(function, &["products"], "shares");
        if function == "Softmax" {
            shares.attribute.push(int("axis", axis));
        }
        nodes.extend([
            node("Reshape", &["q", "heads"], "queries"),
            node("Reshape", &["k", "heads"], "keys"),
            node("Reshape", &["v", "heads"], "values"),
            turned("queries", "first"),
            node("MatMul", &["first", "keys"], "products"),
            shares,
            turned("shares", "second"),
            node("MatMul", &["values", "second"], "taken"),
            node("Reshape", &["taken", "map"], "out"),
        ]);
        constants.push(integers("heads", &[1, 2, 4, 320]));
        constants.push(integers("map", &[1, 8, 16, 20]));
        let outputs = [("out", FLOAT), ("shares", FLOAT)];
        let outputs = &outputs[..if read { 2 } else { 1 }];
        let bytes = file(SIZE, FLOAT, constants, nodes, outputs);
        let (outputs, text) = compare(&bytes, SIZE, 1e-4);
        assert_eq!(outputs[0].dims, [1, 8, 16, 20]);
        assert!(text.contains("EinSum"), "{function} {axis}: {text}");
    }
}

#[test]
fn what_depends_on_the_picture_is_computed_behind_tract() {
    let (first, a) = conv("in", "a", [3, 8, 3]);
    let (second, b) = conv("positive", "b", [8, 8, 3]);
    let mut gather = node("Gather", &["row", "places"], "picked");
    gather.attribute.push(int("axis", 0));
    let nodes = vec![
        first,
        node("Relu", &["a"], "positive"),
        second,
        node("Reshape", &["b", "flat"], "row"),
        node("Greater", &["row", "limit"], "large"),
        node("NonZero", &["large"], "found"),
        node("Reshape", &["found", "flat"], "places"),
        gather,
        node("Mul", &["picked", "picked"], "squares"),
    ];
    let constants = vec![a, b, integers("flat", &[-1]), floats("limit", &[1], &[0.7])];
    let outputs = [("squares", FLOAT), ("b", FLOAT)];
    let bytes = file(SIZE, FLOAT, constants, nodes, &outputs);
    let (outputs, text) = compare(&bytes, SIZE, 1e-4);
    let picked = outputs[0].dims[0];
    assert!((1..8 * 16 * 20).contains(&picked), "{picked} of them");
    assert!(text.contains("1 GT") && !text.contains("Gather"), "{text}");
}

/// Places of the packed weights in the networks of an engine.
fn places(engine: &Tract) -> Vec<*const f32> {
    let nodes = engine.plan.model().nodes().iter();
    let networks = nodes.filter_map(|node| node.op_as::<ConvnetOp>());
    networks
        .flat_map(|op| op.network().places_of_weights())
        .collect()
}

/// Strided, pointwise and depthwise layers: their form does not depend on the size of the picture.
fn detector(size: [usize; 2]) -> Vec<u8> {
    let (mut first, a) = conv("in", "a", [3, 16, 3]);
    first.attribute.push(ints("strides", &[2, 2]));
    let (mut second, b) = conv("a", "b", [1, 16, 3]);
    second.attribute.push(int("group", 16));
    let (third, c) = conv("b", "c", [16, 32, 1]);
    let nodes = vec![first, second, third, node("Relu", &["c"], "out")];
    file(size, FLOAT, vec![a, b, c], nodes, &[("out", FLOAT)])
}

#[test]
fn sizes_of_one_model_share_its_weights() {
    let sizes = [[32, 48], [64, 64], [40, 24]];
    let engines = sizes.map(|size| open(&detector(size), size, Some(0)));
    let [first, others @ ..] = engines.each_ref().map(places);
    assert_eq!(first.len(), 3, "packed weights of each layer");
    for other in others {
        assert_eq!(first, other);
    }
    for (engine, size) in engines.iter().zip(sizes) {
        let coverage = engine.coverage.as_ref().expect("asked for");
        assert_eq!(coverage.networks, 1, "{coverage}");
        let picture = picture(&input(size));
        let expected = open(&detector(size), size, None).run(&picture);
        let found = engine.twin(1).and_then(|mut twin| twin.run(&picture));
        let (expected, found) = (expected.expect("it runs"), found.expect("it runs"));
        assert!(difference(&expected[0], &found[0]) <= 1e-4, "{size:?}");
    }
}

#[test]
fn engines_of_one_model_have_one_plan() {
    let size = [32, 48];
    let engine = open(&detector(size), size, Some(0));
    let twin = engine.twin(2).expect("there is memory");
    assert_eq!(places(&engine), places(&twin));
    let again = open(&detector(size), size, Some(0));
    assert_eq!(places(&engine), places(&again));
}
