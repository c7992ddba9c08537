//! Elements of one process that run the same model have its weights once.

use crate::counting::{HELD, alone};
use crate::support;
use crate::support::onnx::{node, value};
use gst::prelude::*;
use prost::Message;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::*;

const SIDE: i64 = 64;
/// Cells of a side of 64 at strides 8, 16 and 32.
const CANDIDATES: i64 = 84;
const ROWS: i64 = 6;
/// One matrix from every number of the picture to every number of the output.
const WEIGHTS: [i64; 2] = [3 * SIDE * SIDE, ROWS * CANDIDATES];
const WEIGHTS_BYTES: usize = (WEIGHTS[0] * WEIGHTS[1] * 4) as usize;

fn constant(name: &str, data_type: DataType, dims: &[i64], raw_data: Vec<u8>) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: data_type as i32,
        raw_data,
        ..Default::default()
    }
}

fn shape(name: &str, dims: &[i64]) -> TensorProto {
    let numbers = dims.iter().flat_map(|dim| dim.to_le_bytes()).collect();
    constant(name, DataType::Int64, &[dims.len() as i64], numbers)
}

/// A model that is nearly all weights.
fn write_model(path: &Path) {
    let weights: Vec<u8> = (0..WEIGHTS_BYTES / 4)
        .flat_map(|n| ((n % 1000) as f32 * 1e-7).to_le_bytes())
        .collect();
    let output = [1, ROWS, CANDIDATES];
    let model = ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 13,
        }],
        graph: Some(GraphProto {
            node: vec![
                node("Reshape", &["images", "row"], "flat"),
                node("MatMul", &["flat", "weights"], "product"),
                node("Reshape", &["product", "boxes"], "output0"),
            ],
            input: vec![value("images", &[1, 3, SIDE, SIDE])],
            output: vec![value("output0", &output)],
            initializer: vec![
                shape("row", &[1, WEIGHTS[0]]),
                constant("weights", DataType::Float, &WEIGHTS, weights),
                shape("boxes", &output),
            ],
            ..Default::default()
        }),
        ..Default::default()
    };
    std::fs::write(path, model.encode_to_vec()).expect("the folder is writable");
}

fn started(path: &Path) -> gst::Element {
    let launch = format!("detect workers=2 model={}", path.display());
    let element = gst::parse::launch(&launch).expect("the properties are right");
    element.set_state(gst::State::Paused).expect("a good model");
    element
}

#[test]
fn eight_elements_have_the_weights_once() {
    let _alone = alone();
    support::init();
    let folder = support::Folder::new();
    let path = folder.path().join("weights.onnx");
    write_model(&path);
    folder.file(
        "weights.detect.json",
        br#"{"decode": "yolov8", "num_classes": 2}"#,
    );
    let before = HELD.load(Relaxed);
    let mut elements = vec![started(&path)];
    let one = HELD.load(Relaxed) - before;
    elements.extend((1..8).map(|_| started(&path)));
    let eight = HELD.load(Relaxed) - before;
    println!("weights {WEIGHTS_BYTES}, one element {one}, eight {eight} bytes");
    assert!(one >= WEIGHTS_BYTES, "they must be somewhere");
    assert!(one < WEIGHTS_BYTES * 3 / 2, "and not twice");
    assert!(
        eight - one < WEIGHTS_BYTES / 4,
        "the other seven need little"
    );
    for element in elements {
        element.set_state(gst::State::Null).expect("it stops");
    }
    let after = HELD.load(Relaxed) - before;
    assert!(after < WEIGHTS_BYTES / 4, "{after} bytes stay");
}
