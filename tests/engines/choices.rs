//! Which algorithm computes a 3x3 convolution: measured, remembered in the cache folder, or fixed by the environment.

use crate::loaded_libraries::launched;
use crate::support::onnx::{node, value};
use crate::support::{Folder, skipped};
use prost::Message;
use std::path::{Path, PathBuf};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::*;

const SIDE: i64 = 64;
/// Four numbers of a box and two classes for each cell of a side of 64 at strides 8, 16 and 32.
const OUTPUT: [i64; 3] = [1, 6, 84];

fn weights(name: &str, dims: &[i64]) -> TensorProto {
    let count = dims.iter().product::<i64>();
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
        float_data: (0..count).map(|n| (n % 7 - 3) as f32 * 0.01).collect(),
        ..Default::default()
    }
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: attribute_proto::AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..Default::default()
    }
}

/// Writes a detector with two 3x3 convolutions that can be computed in several ways, and a card for it.
fn write_model(folder: &Folder) -> PathBuf {
    let conv = |input: &str, output: &str, stride: i64| {
        let mut conv = node("Conv", &[input, &format!("{output}_weights")], output);
        conv.attribute.push(ints("pads", &[1; 4]));
        conv.attribute.push(ints("strides", &[stride; 2]));
        conv
    };
    let shape = TensorProto {
        name: "shape".into(),
        dims: vec![3],
        data_type: DataType::Int64 as i32,
        int64_data: OUTPUT.to_vec(),
        ..Default::default()
    };
    let graph = GraphProto {
        node: vec![
            conv("images", "a", 4),
            conv("a", "b", 1),
            conv("b", "c", 1),
            node("GlobalAveragePool", &["c"], "mean"),
            node("Conv", &["mean", "d_weights"], "d"),
            node("Reshape", &["d", "shape"], "output0"),
        ],
        input: vec![value("images", &[1, 3, SIDE, SIDE])],
        output: vec![value("output0", &OUTPUT)],
        initializer: vec![
            weights("a_weights", &[16, 3, 3, 3]),
            weights("b_weights", &[24, 16, 3, 3]),
            weights("c_weights", &[16, 24, 3, 3]),
            weights("d_weights", &[OUTPUT[1] * OUTPUT[2], 16, 1, 1]),
            shape,
        ],
        ..Default::default()
    };
    let model = ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 13,
        }],
        graph: Some(graph),
        ..Default::default()
    };
    folder.file(
        "choices.detect.json",
        br#"{"decode": "yolov8", "num_classes": 2}"#,
    );
    folder.file("choices.onnx", &model.encode_to_vec())
}

/// Folder of what was measured.
fn folder_of_choices(cache: &Path) -> PathBuf {
    cache.join("gst-plugin-detect/convolutions")
}

/// Files of what was measured, and their text.
fn remembered(cache: &Path) -> Vec<(PathBuf, String)> {
    let Ok(files) = std::fs::read_dir(folder_of_choices(cache)) else {
        return Vec::new();
    };
    files
        .map(|file| {
            let file = file.expect("a readable folder").path();
            let text = std::fs::read_to_string(&file).expect("a text");
            (file, text)
        })
        .collect()
}

/// Sizes of the two layers, as they are remembered.
const LAYERS: [&str; 2] = ["; 16 24 16 16 ", "; 24 16 16 16 "];

/// Loads that a busy machine gets, whose times spread and are not remembered.
const ATTEMPTS: usize = 10;

#[test]
fn algorithms_are_measured_and_remembered() {
    let (folder, cache) = (Folder::new(), Folder::new());
    let model = format!("model={}", write_model(&folder).display());
    let place = [("XDG_CACHE_HOME", cache.path())];
    let launch = || {
        let (good, told) = launched(&[&model], &place);
        assert!(good, "{told}");
        assert!(told.contains("our executor computes"), "{told}");
        assert!(folder_of_choices(cache.path()).is_dir(), "it was measured");
        remembered(cache.path())
    };
    let complete = |files: &Vec<(PathBuf, String)>| {
        let [(_, text)] = &files[..] else {
            return false;
        };
        LAYERS.iter().all(|layer| text.contains(layer))
    };
    let Some(files) = (0..ATTEMPTS).map(|_| launch()).find(complete) else {
        return skipped("the machine is too busy for steady times of two layers");
    };
    assert_eq!(launch(), files, "nothing was measured again");
    let (file, _) = &files[0];
    std::fs::write(file, "{\"key\": 1").expect("writable");
    launch();
}

#[test]
fn nothing_is_measured_where_the_environment_chooses() {
    let folder = Folder::new();
    let model = format!("model={}", write_model(&folder).display());
    for algorithm in ["direct", "winograd2", "winograd4", "estimate"] {
        let cache = Folder::new();
        let environment = [
            ("XDG_CACHE_HOME", cache.path()),
            ("GST_DETECT_CONVOLUTION", Path::new(algorithm)),
        ];
        let (good, told) = launched(&[&model], &environment);
        assert!(good, "{told}");
        assert!(told.contains("our executor computes"), "{told}");
        assert!(!folder_of_choices(cache.path()).exists(), "{algorithm}");
    }
}

#[test]
fn the_stub_measures_nothing() {
    let (folder, cache) = (Folder::new(), Folder::new());
    let model = format!("model={}", write_model(&folder).display());
    let place = [("XDG_CACHE_HOME", cache.path())];
    let (good, told) = launched(&[&model, "engine=stub"], &place);
    assert!(good, "{told}");
    assert!(!folder_of_choices(cache.path()).exists());
}
