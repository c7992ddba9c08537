//! Files of every kind are either opened and recognised, or refused with an error that says what was met.

use gstdetect::base::geometry::Size;
use gstdetect::base::tensor::{ColourOrder, Layout, ResizeMode};
use gstdetect::families::blazeface::BlazeFace;
use gstdetect::families::yolov5::Yolov5;
use gstdetect::families::yolov8::Yolov8;
use gstdetect::families::yolox::YoloxHeads;
use gstdetect::model::{InputSize, Model, ModelError, ModelOptions, OnnxError, topic};
use prost::Message;
use std::path::{Path, PathBuf};
use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{ModelProto, StringStringEntryProto};

fn micro(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/models")
        .join(name)
}

fn options(path: impl Into<PathBuf>) -> ModelOptions {
    ModelOptions {
        path: Some(path.into()),
        ..ModelOptions::default()
    }
}

fn open(name: &str) -> Result<Model, ModelError> {
    Model::open(&options(micro(name)))
}

/// A folder of one test, gone when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gstdetect-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        // Cutting a file that is there makes some file systems wait for the disk.
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn copy(&self, name: &str) -> PathBuf {
        self.write(name, std::fs::read(micro(name)).unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn guessed(model: &Model, topic: &str) -> bool {
    let decision = model
        .decisions
        .iter()
        .find(|decision| decision.topic == topic);
    decision
        .unwrap_or_else(|| panic!("no decision on {topic}"))
        .guessed
}

#[test]
fn the_built_in_model_finds_faces() {
    let model = Model::open(&ModelOptions::default()).unwrap();
    assert!(
        model
            .family
            .downcast_ref::<BlazeFace>()
            .is_some_and(|own| own.anchor_layers.len() == 2)
    );
    assert_eq!(
        (model.input.size, model.input.layout),
        (Size::new(256, 256), Layout::Nhwc)
    );
    assert_eq!((model.classes, model.labels.get(0).as_ref()), (1, "face"));
    assert_eq!((model.score_threshold, model.iou_threshold), (0.6, 0.3));
    assert_eq!(
        model.outputs,
        ["Identity:0", "Identity_1:0", "Identity_2:0", "Identity_3:0"]
    );
    assert_eq!(model.rewrites.len(), 1, "{:?}", model.rewrites);
    assert!(
        model.decisions.iter().all(|decision| !decision.guessed),
        "{:?}",
        model.decisions
    );
}

#[test]
fn the_built_in_model_is_recognised_without_its_card_too() {
    let folder = Folder::new("recognised");
    let bytes = gstdetect::model::builtin::ONNX;
    let model = Model::open(&options(folder.write("x.onnx", bytes))).unwrap();
    let built_in = Model::open(&ModelOptions::default()).unwrap();
    assert_eq!(
        (model.family, model.input),
        (built_in.family, built_in.input)
    );
    assert_eq!(
        (model.labels, model.bytes),
        (built_in.labels, built_in.bytes)
    );
}

#[test]
fn yolov8_is_told_by_its_columns_and_metadata() {
    let model = open("yolov8_micro.onnx").unwrap();
    assert_eq!(model.family, Yolov8);
    assert_eq!(model.classes, 2);
    assert_eq!(
        (model.input.colour, model.input.std),
        (ColourOrder::Rgb, [255.0; 3])
    );
    assert_eq!(model.input.resize, ResizeMode::LetterboxCentre);
    assert_eq!(model.labels.iter().collect::<Vec<_>>(), ["cat", "dog"]);
    assert!(model.labels_source.contains("metadata"));
    assert!(
        !guessed(&model, topic::COLOUR),
        "its metadata name the exporter"
    );
    assert!(guessed(&model, topic::THRESHOLDS));
    let file = std::fs::read(micro("yolov8_micro.onnx")).unwrap();
    assert_eq!(*model.bytes, *file, "nothing had to be changed");
}

#[test]
fn yolox_is_told_by_its_grid_and_whether_it_is_decoded() {
    let raw = open("yolox_micro.onnx").unwrap();
    assert_eq!(
        raw.family,
        YoloxHeads {
            strides: vec![8, 16, 32]
        }
    );
    let decoded = open("yolox_decoded_micro.onnx").unwrap();
    assert_eq!(decoded.family, Yolov5);
    for model in [raw, decoded] {
        assert_eq!(
            (model.input.colour, model.input.std),
            (ColourOrder::Bgr, [1.0; 3])
        );
        assert_eq!(
            (model.input.resize, model.input.pad_value),
            (ResizeMode::LetterboxTopLeft, 114.0)
        );
        assert_eq!(model.labels.get(1), "class 1");
        assert!(guessed(&model, topic::COLOUR));
    }
}

#[test]
fn yolov5_is_told_by_three_candidates_a_cell() {
    let model = open("yolov5_micro.onnx").unwrap();
    assert_eq!(model.family, Yolov5);
    assert_eq!(model.classes, 2);
    assert_eq!(
        (model.input.colour, model.input.std),
        (ColourOrder::Rgb, [255.0; 3])
    );
}

#[test]
fn two_readings_are_refused_until_a_card_decides() {
    let folder = Folder::new("ambiguous");
    let path = folder.copy("ambiguous.onnx");
    let error = Model::open(&options(&path)).unwrap_err();
    assert!(matches!(&error, ModelError::Ambiguous { readings } if readings.len() == 2));
    let text = error.to_string();
    assert!(text.contains("YOLOX") && text.contains("YOLOv5"), "{text}");

    folder.write(
        "ambiguous.detect.json",
        r#"{"decode": "yolov5", "input": {"pad_value": 7}}"#,
    );
    let model = Model::open(&options(&path)).unwrap();
    assert_eq!(
        (model.input.colour, model.input.pad_value),
        (ColourOrder::Rgb, 7.0)
    );

    let card = r#"{"input": {"colour": "BGR", "mean": [0,0,0], "std": [1,1,1], "resize_mode": "stretch"}}"#;
    folder.write("ambiguous.detect.json", card);
    let model = Model::open(&options(&path)).unwrap();
    assert_eq!(model.family, Yolov5);
    assert_eq!(model.input.resize, ResizeMode::Stretch);
}

#[test]
fn what_is_no_detector_is_refused_with_its_inputs_and_outputs() {
    let error = open("not_a_detector.onnx").unwrap_err();
    assert!(matches!(
        error,
        ModelError::Onnx(OnnxError::NotADetector { .. })
    ));
    let text = error.to_string();
    for part in [
        "images [1, 3, 32, 32] float32",
        "logits [1, 10] float32",
        "card",
        "x.detect.json",
    ] {
        assert!(text.contains(part), "{part} in: {text}");
    }
}

#[test]
fn an_operator_that_no_engine_has_is_not_the_models_affair() {
    assert_eq!(open("unknown_op.onnx").unwrap().family, Yolov8);
}

#[test]
fn a_free_size_is_chosen_in_order_of_who_knows_best() {
    let folder = Folder::new("free");
    let path = folder.copy("free_size.onnx");
    let usual = Model::open(&options(&path)).unwrap();
    assert_eq!(usual.input.size, Size::new(640, 640));
    assert!(guessed(&usual, topic::INPUT_SIZE));
    assert!(
        usual.rewrites[0].contains("[1, 3, 640, 640]"),
        "{:?}",
        usual.rewrites
    );

    folder.write(
        "free_size.detect.json",
        r#"{"input": {"width": 320, "height": 192}}"#,
    );
    let by_card = Model::open(&options(&path)).unwrap();
    assert_eq!(by_card.input.dims(), [1, 3, 192, 320]);
    assert!(!guessed(&by_card, topic::INPUT_SIZE));

    let asked = InputSize::Fixed(Size::new(64, 96));
    let by_user = Model::open(&ModelOptions {
        input_size: asked,
        ..options(&path)
    })
    .unwrap();
    assert_eq!(by_user.input.size, Size::new(64, 96));

    let odd = InputSize::Fixed(Size::new(100, 96));
    let error = Model::open(&ModelOptions {
        input_size: odd,
        ..options(&path)
    })
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("100x96") && error.contains("multiples of 32"),
        "{error}"
    );
}

#[test]
fn a_fixed_size_stays_where_boxes_are_made_in_the_graph() {
    let at = |name: &str, width, height| {
        Model::open(&ModelOptions {
            input_size: InputSize::Fixed(Size::new(width, height)),
            ..options(micro(name))
        })
    };
    assert!(at("yolox_decoded_micro.onnx", 32, 32).is_ok());
    for (name, side, wanted) in [
        (
            "yolox_decoded_micro.onnx",
            64,
            "32x32 only: its boxes are made in the graph",
        ),
        (
            "yolov8_dfl_odd.onnx",
            64,
            "32x32 only: its boxes are made in the graph",
        ),
        (
            "yolox_micro.onnx",
            48,
            "32x32 or, if its graph can follow, sides that are multiples of 32",
        ),
    ] {
        let error = at(name, side, side).unwrap_err();
        assert!(matches!(
            error,
            ModelError::Onnx(OnnxError::InputSize { .. })
        ));
        let text = error.to_string();
        assert!(
            text.contains(&format!("{side}x{side}")) && text.contains(wanted),
            "{text}"
        );
    }
}

#[test]
fn a_fixed_size_changes_where_the_graph_can_follow() {
    let wide = Size::new(96, 64);
    for name in ["yolox_micro.onnx", "yolov8_dfl_micro.onnx"] {
        let model = Model::open(&ModelOptions {
            input_size: InputSize::Fixed(wide),
            ..options(micro(name))
        })
        .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(model.input.size, wide);
        let last = model.rewrites.last().expect("one that tells it");
        assert!(last.contains("32x32 to 96x64"), "{last}");
    }
}

#[test]
fn labels_are_taken_from_the_nearest_source() {
    let folder = Folder::new("sources");
    let path = folder.copy("yolox_micro.onnx");
    let label = |options: &ModelOptions| {
        let model = Model::open(options).unwrap();
        (model.labels.get(0).into_owned(), model.warnings)
    };
    folder.write("yolox_micro.names", "names\nb\n");
    assert_eq!(label(&options(&path)), ("names".into(), vec![]));
    folder.write("yolox_micro.labels.txt", "\u{feff}beside\r\nb\r\n\r\n");
    assert_eq!(label(&options(&path)), ("beside".into(), vec![]));
    folder.write("yolox_micro.detect.json", r#"{"labels": ["card", "b"]}"#);
    assert_eq!(label(&options(&path)), ("card".into(), vec![]));
    let labels = Some(folder.write("mine.txt", "mine"));
    let (first, warnings) = label(&ModelOptions {
        labels,
        ..options(&path)
    });
    assert_eq!(first, "mine");
    assert!(
        warnings[0].contains("mine.txt has 1 labels") && warnings[0].contains("2 classes"),
        "{warnings:?}"
    );

    let missing = ModelOptions {
        labels: Some("/nowhere.txt".into()),
        ..options(&path)
    };
    assert!(matches!(
        Model::open(&missing),
        Err(ModelError::Labels { .. })
    ));
}

#[test]
fn a_card_that_does_not_fit_is_refused_with_the_value() {
    let folder = Folder::new("cards");
    let path = folder.copy("yolov8_micro.onnx");
    for (card, wanted) in [
        ("{", "not JSON"),
        (r#"{"decode": "v8"}"#, "\"v8\""),
        (r#"{"decode": "e2e6"}"#, "[1, n, 6]"),
        (r#"{"decode": "nms3"}"#, "scores [n]"),
        (r#"{"decode": "detr"}"#, "pred_boxes"),
        (r#"{"decode": "tfssd"}"#, "num_detections"),
        (r#"{"decode": "blazeface"}"#, "[1, n, 16]"),
        (r#"{"num_classes": 80}"#, "num_classes is 80"),
        (r#"{"input": {"width": 64}}"#, "32x32 only"),
        (r#"{"input": {"name": "data"}}"#, "\"images\""),
        (r#"{"input": {"layout": "NHWC"}}"#, "input.layout"),
    ] {
        let card = Some(folder.write("other.json", card));
        let error = Model::open(&ModelOptions {
            card,
            ..options(&path)
        })
        .unwrap_err();
        assert!(matches!(error, ModelError::Card { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(wanted) && text.contains("other.json"),
            "{text}"
        );
    }
    let missing = ModelOptions {
        card: Some("/nowhere.json".into()),
        ..options(&path)
    };
    assert!(matches!(
        Model::open(&missing),
        Err(ModelError::Card { .. })
    ));
}

#[test]
fn files_that_are_no_models_are_told_apart() {
    let folder = Folder::new("files");
    let error = |path: &Path| Model::open(&options(path)).expect_err("must be refused");
    assert!(matches!(
        error(Path::new("/nowhere/x.onnx")),
        ModelError::Onnx(OnnxError::NotFound { .. })
    ));
    assert!(matches!(
        error(&folder.0),
        ModelError::Onnx(OnnxError::NotAFile { .. })
    ));
    assert!(matches!(
        error(&folder.write("empty.onnx", "")),
        ModelError::Onnx(OnnxError::Empty { .. })
    ));
    for (name, content) in [
        ("text.onnx", &b"<html>"[..]),
        ("zeros.onnx", &[0; 5000]),
        ("png.onnx", b"\x89PNG\r\n"),
    ] {
        let error = error(&folder.write(name, content));
        assert!(
            matches!(error, ModelError::Onnx(OnnxError::NotOnnx { .. })),
            "{name}: {error}"
        );
    }
    #[cfg(unix)]
    if !can_read_everything(&folder) {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.copy("yolov8_micro.onnx");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o0)).unwrap();
        assert!(matches!(
            error(&path),
            ModelError::Onnx(OnnxError::Read { .. })
        ));
    }
}

/// Whether this process may read files without permission, as root may.
#[cfg(unix)]
fn can_read_everything(folder: &Folder) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.write("secret", "x");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o0)).unwrap();
    std::fs::read(&path).is_ok()
}

#[test]
fn a_model_cut_at_any_kilobyte_is_refused_as_cut() {
    let folder = Folder::new("cut");
    for length in (1024..gstdetect::model::builtin::ONNX.len()).step_by(1024) {
        let path = folder.write("cut.onnx", &gstdetect::model::builtin::ONNX[..length]);
        match Model::open(&options(&path)) {
            Err(ModelError::Onnx(OnnxError::Truncated { found, .. })) => {
                assert_eq!(found, length as u64)
            }
            other => panic!("{length} bytes: {other:?}"),
        }
    }
}

#[test]
fn a_small_model_cut_or_damaged_at_any_byte_does_no_harm() {
    let folder = Folder::new("damaged");
    for name in ["yolov8_micro.onnx", "yolox_micro.onnx"] {
        let whole = std::fs::read(micro(name)).unwrap();
        for index in 0..whole.len() {
            let cut = Model::open(&options(folder.write(name, &whole[..index])));
            assert!(
                index == 0 || cut.is_err() || is_whole_without(&whole, index),
                "{name}: {index} bytes"
            );
            for value in [0xff, whole[index] ^ 0x80] {
                let mut damaged = whole.clone();
                damaged[index] = value;
                // A changed weight is no error; no change may be a panic.
                let _ = Model::open(&options(folder.write(name, &damaged)));
            }
        }
    }
}

/// Only metadata lie behind graph and operator sets, and those may be missing.
fn is_whole_without(whole: &[u8], index: usize) -> bool {
    let metadata = whole
        .windows(5)
        .position(|bytes| bytes == b"names")
        .unwrap_or(whole.len());
    index + 8 >= metadata
}

/// Moves the weights of a model to a second file, as exporters do, and returns both files.
fn in_two_files(name: &str, second: &str) -> (Vec<u8>, Vec<u8>) {
    let bytes = std::fs::read(micro(name)).expect("it is there");
    let mut model = ModelProto::decode(&bytes[..]).expect("a model");
    let mut weights = Vec::new();
    let graph = model.graph.as_mut().expect("with a graph");
    for tensor in graph.initializer.iter_mut() {
        let numbers = std::mem::take(&mut tensor.raw_data);
        if numbers.is_empty() {
            continue;
        }
        let entries = [
            ("location", second.to_owned()),
            ("offset", weights.len().to_string()),
            ("length", numbers.len().to_string()),
        ];
        tensor.external_data = entries
            .map(|(key, value)| StringStringEntryProto {
                key: key.into(),
                value,
            })
            .into();
        tensor.data_location = Some(DataLocation::External as i32);
        weights.extend(numbers);
    }
    assert!(!weights.is_empty(), "{name} has its numbers elsewhere");
    (model.encode_to_vec(), weights)
}

#[test]
fn a_model_in_the_cache_of_hugging_face_is_opened_with_its_weights() {
    let folder = Folder::new("hub");
    let cache = folder.0.join("models--someone--detector");
    let (blobs, snapshot) = (cache.join("blobs"), cache.join("snapshots/0123abcd"));
    for made in [&blobs, &snapshot] {
        std::fs::create_dir_all(made).unwrap();
    }
    let (model, weights) = in_two_files("yolov8_micro.onnx", "model.onnx_data");
    for (name, blob, bytes) in [
        ("model.onnx", "5ba1", &model),
        ("model.onnx_data", "77c3", &weights),
    ] {
        std::fs::write(blobs.join(blob), bytes).unwrap();
        let link = format!("../../blobs/{blob}");
        std::os::unix::fs::symlink(link, snapshot.join(name)).unwrap();
    }
    let linked = Model::open(&options(snapshot.join("model.onnx"))).unwrap();
    let whole = open("yolov8_micro.onnx").unwrap();
    assert!(
        linked
            .rewrites
            .iter()
            .any(|r| r.contains("model.onnx_data")),
        "{:?}",
        linked.rewrites
    );
    let weights = |model: &Model| {
        let proto = ModelProto::decode(&model.bytes[..]).expect("a model");
        let graph = proto.graph.expect("with a graph");
        let numbers = graph.initializer.into_iter();
        numbers.map(|t| (t.name, t.raw_data)).collect::<Vec<_>>()
    };
    assert_eq!(weights(&linked), weights(&whole));
    // A link that leads nowhere names the file.
    std::fs::remove_file(blobs.join("77c3")).unwrap();
    let error = Model::open(&options(snapshot.join("model.onnx"))).unwrap_err();
    assert!(error.to_string().contains("model.onnx_data"), "{error}");
}

#[test]
fn a_label_of_any_length_is_cut() {
    let folder = Folder::new("labels");
    let path = folder.copy("yolov8_micro.onnx");
    let long = "x".repeat(1 << 19);
    let card = format!(r#"{{"labels": ["{long}", "dog"]}}"#);
    folder.write("yolov8_micro.detect.json", card);
    let model = Model::open(&options(path)).unwrap();
    let labels: Vec<String> = model.labels.iter().map(|l| l.into_owned()).collect();
    assert!(labels[0].starts_with("xxx") && labels[0].len() < 1100);
    assert_eq!(labels[1], "dog");
}
