//! A model of some hundred bytes takes no memory to speak of, whatever it says of itself.

use gstdetect::model::card::Card;
use gstdetect::model::{Model, ModelOptions};
use prost::Message;
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::*;

/// The most that one allocation may ask for.
const MAX_BYTES: usize = 8 << 20;

#[global_allocator]
static COUNTING: Counting = Counting;

/// The largest allocation since it was last set to 0: memory that is asked for counts even if it is never touched.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = dims.iter().map(|&dim| Dimension {
        value: Some(dimension::Value::DimValue(dim)),
        ..Default::default()
    });
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(TensorShapeProto { dim: dim.collect() }),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn model(input: &[i64], output: &[i64], constant: Option<TensorProto>) -> ModelProto {
    let node = |op: &str, input: &str, output: &str| NodeProto {
        op_type: op.into(),
        input: vec![input.into()],
        output: vec![output.into()],
        ..Default::default()
    };
    let fill = constant.as_ref().map(|_| node("ConstantOfShape", "c", "f"));
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 13,
        }],
        graph: Some(GraphProto {
            node: fill.into_iter().chain([node("Relu", "x", "y")]).collect(),
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
