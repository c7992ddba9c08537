//! A model file cannot make us take memory by what it says of itself; numbers that it names many times are kept once.

use crate::counting::{HELD, LARGEST, PEAK, alone};
use crate::support::onnx::{node, value};
use gstdetect::families::card::Card;
use gstdetect::model::{Model, ModelOptions};
use prost::Message;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::*;

/// The most that one allocation may ask for.
const MAX_BYTES: usize = 8 << 20;

fn model(input: &[i64], output: &[i64], constant: Option<TensorProto>) -> ModelProto {
    let fill = constant.as_ref();
    let fill = fill.map(|_| node("ConstantOfShape", &["c"], "f"));
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 13,
        }],
        graph: Some(GraphProto {
            node: fill
                .into_iter()
                .chain([node("Relu", &["x"], "y")])
                .collect(),
            input: vec![value("x", input)],
            output: vec![value("y", output)],
            initializer: constant.into_iter().collect(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn constant(dims: &[i64], numbers: &[i64]) -> Option<TensorProto> {
    Some(TensorProto {
        name: "c".into(),
        dims: dims.to_vec(),
        data_type: DataType::Int64 as i32,
        int64_data: numbers.to_vec(),
        ..Default::default()
    })
}

fn with_metadata(key: &str, text: &str) -> ModelProto {
    let entry = StringStringEntryProto {
        key: key.into(),
        value: text.into(),
    };
    ModelProto {
        metadata_props: vec![entry],
        ..model(&[1, 3, 64, 64], &[1, 6, 84], None)
    }
}

/// The largest allocation of reading `model` with a card that says `card`, and whether it was taken.
fn largest(model: &ModelProto, card: &str) -> (usize, bool) {
    let bytes = model.encode_to_vec();
    assert!(bytes.len() < 400, "{} bytes", bytes.len());
    let card = Card::parse(Path::new("x.detect.json"), card.as_bytes()).expect("a card");
    LARGEST.store(0, Relaxed);
    let result = Model::from_bytes(bytes.into(), card, &ModelOptions::default());
    (LARGEST.load(Relaxed), result.is_ok())
}

#[test]
fn what_a_small_model_says_of_itself_is_no_reason_to_allocate() {
    let _alone = alone();
    drop(std::hint::black_box(vec![0_u8; 2 * MAX_BYTES]));
    assert!(
        LARGEST.load(Relaxed) >= 2 * MAX_BYTES,
        "untouched memory counts"
    );

    const SIDE: i64 = 1 << 26;
    let elsewhere = TensorProto {
        data_location: Some(DataLocation::External as i32),
        ..constant(&[SIDE, SIDE], &[]).expect("made so")
    };
    let picture = [1, 3, 64, 64];
    let cases = [
        ("classes, in rows", model(&picture, &[1, 0, SIDE], None)),
        ("classes, in columns", model(&picture, &[1, SIDE, 0], None)),
        ("classes, in a map", model(&picture, &[1, SIDE, 1, 1], None)),
        ("candidates", model(&picture, &[1, SIDE / 8, 6], None)),
        ("an output", model(&picture, &[1, SIDE, SIDE], None)),
        ("an input", model(&[1, 3, SIDE, SIDE], &[1, 6, 84], None)),
        (
            "a constant",
            model(&picture, &[1, 6, 84], constant(&[SIDE], &[1])),
        ),
        (
            "a fill",
            model(&picture, &[1, 6, 84], constant(&[2], &[SIDE, SIDE])),
        ),
        (
            "a constant elsewhere",
            model(&picture, &[1, 6, 84], Some(elsewhere)),
        ),
        ("names", with_metadata("names", "{99999999: 'a'}")),
        ("a size", with_metadata("imgsz", "[99999999, 99999999]")),
    ];
    for (what, model) in cases {
        for decode in ["yolov5", "yolov8", "fastestdet", "e2e6", "gfl"] {
            for text in [format!("{{\"decode\": \"{decode}\"}}"), "{}".into()] {
                let (bytes, taken) = largest(&model, &text);
                assert!(
                    bytes <= MAX_BYTES,
                    "{what}, {text}: {bytes} bytes at once, taken: {taken}"
                );
            }
        }
    }
}

/// Nodes that name one constant of `LONG` numbers, each time in a chain of their own.
const NODES: usize = 2_000;
const LONG: usize = 50_000;

fn long(name: &str, data_type: DataType, number: &[u8]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![LONG as i64],
        data_type: data_type as i32,
        raw_data: number.repeat(LONG),
        ..Default::default()
    }
}

fn quantised(nodes: impl Iterator<Item = NodeProto>, constants: Vec<TensorProto>) -> ModelProto {
    let mut model = model(&[1, 3, 64, 64], &[1, 6, 84], None);
    let graph = model.graph.as_mut().expect("made so");
    graph.node.extend(nodes);
    graph.initializer = constants;
    model
}

#[test]
fn numbers_that_are_named_many_times_are_kept_once() {
    let _alone = alone();
    let pairs = (0..NODES).map(|i| node("QuantizeLinear", &["x", "s", "z"], &format!("q{i}")));
    let pairs = quantised(
        pairs,
        vec![
            long("s", DataType::Float, &1_f32.to_le_bytes()),
            long("z", DataType::Int8, &[0]),
        ],
    );
    let reshapes = (0..NODES).map(|i| node("Reshape", &["s", "d"], &format!("r{i}")));
    let dynamic = node("DynamicQuantizeLinear", &["x"], "q");
    let reshapes = quantised(
        reshapes.chain([dynamic]),
        vec![
            long("s", DataType::Float, &1_f32.to_le_bytes()),
            long("d", DataType::Int64, &1_i64.to_le_bytes()),
        ],
    );
    for (what, model) in [("scales", pairs), ("dims", reshapes)] {
        let bytes = model.encode_to_vec();
        assert!(bytes.len() < 1 << 20, "{} bytes", bytes.len());
        let card = Card::parse(Path::new("x.detect.json"), b"{}").expect("a card");
        let before = HELD.load(Relaxed);
        PEAK.store(before, Relaxed);
        let result = Model::from_bytes(bytes.into(), card, &ModelOptions::default());
        let peak = PEAK.load(Relaxed) - before;
        assert!(
            peak < 64 << 20,
            "{what}: {peak} bytes, taken: {}",
            result.is_ok()
        );
    }
}
