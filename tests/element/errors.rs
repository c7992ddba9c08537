//! Whatever is wrong with a model is one error before the first frame; the element works with the next good model.

use crate::support::onnx::node;
use crate::support::{Folder, Rig, Source, micro_model, skipped};
use gst::glib;
use gst::glib::error::ErrorDomain;
use gst::prelude::*;
use gstdetect::base::tensor::Tensor;
use gstdetect::engine::{EngineError, EngineKind};
use prost::Message;
use std::path::Path;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, TensorProto};

/// An error or a warning, as an application reads it.
#[derive(Debug)]
struct Posted {
    error: glib::Error,
    /// The sentence for people.
    text: String,
}

impl Posted {
    #[track_caller]
    fn is<T: ErrorDomain + PartialEq + std::fmt::Debug>(&self, kind: T) -> &Self {
        assert_eq!(self.error.kind::<T>(), Some(kind), "{self:?}");
        self
    }

    #[track_caller]
    fn names(&self, words: &[&str]) {
        for word in words {
            assert!(self.text.contains(word), "no \"{word}\" in: {}", self.text);
        }
    }
}

/// Waits for a message of this type and takes it apart.
fn parse(message: &gst::Message) -> Posted {
    let error = match message.view() {
        gst::MessageView::Error(error) => error.error(),
        gst::MessageView::Warning(warning) => warning.error(),
        other => unreachable!("{other:?} was not asked for"),
    };
    Posted {
        text: error.message().to_owned(),
        error,
    }
}

/// All that is on the bus of this kind; other messages are thrown away.
fn all(rig: &Rig, kind: gst::MessageType) -> Vec<Posted> {
    let messages = std::iter::from_fn(|| rig.bus.pop_filtered(&[kind]));
    messages.map(|message| parse(&message)).collect()
}

fn errors(rig: &Rig) -> Vec<Posted> {
    all(rig, gst::MessageType::Error)
}

/// The one error with which the rig does not start.
#[track_caller]
fn refusal(rig: &Rig) -> Posted {
    assert!(
        rig.element.set_state(gst::State::Paused).is_err(),
        "it has started"
    );
    let mut errors = errors(rig);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

fn tract() -> Rig {
    Rig::stopped("engine=tract", Source::LIVE)
}

/// The error that these properties give; the rig has worked with a good model afterwards.
#[track_caller]
fn refused(properties: &[(&str, &str)]) -> Posted {
    let rig = tract();
    for (name, value) in properties {
        rig.element.set_property(name, value);
    }
    let told = refusal(&rig);
    assert_recovers(&rig);
    told
}

#[track_caller]
fn refused_model(path: &Path) -> Posted {
    refused(&[("model", &path.display().to_string())])
}

/// With a good model and the defaults one frame passes, and no error comes.
#[track_caller]
fn assert_recovers(rig: &Rig) {
    rig.element
        .set_state(gst::State::Null)
        .expect("every element goes to NULL");
    let good = micro_model("yolov8_micro.onnx");
    rig.element
        .set_property("model", good.display().to_string());
    rig.element.set_property("input-size", "auto");
    for name in ["labels", "model-config", "classes"] {
        rig.element.set_property(name, None::<&str>);
    }
    assert_passes_a_frame(rig);
}

#[track_caller]
fn assert_passes_a_frame(rig: &Rig) {
    let before = rig.numbers().len();
    let playing = rig.element.set_state(gst::State::Playing);
    assert!(playing.is_ok(), "{:?}", errors(rig));
    rig.begin();
    rig.push(77).expect("a good model takes frames");
    assert_eq!(rig.wait_for_frames(before + 1).last(), Some(&77));
    rig.assert_no_error();
}

#[test]
fn a_file_that_is_not_there_is_not_found() {
    refused_model(Path::new("/nowhere/x.onnx"))
        .is(gst::ResourceError::NotFound)
        .names(&["/nowhere/x.onnx"]);
}

#[test]
fn a_folder_cannot_be_opened_as_a_model() {
    let folder = Folder::new();
    refused_model(folder.path())
        .is(gst::ResourceError::OpenRead)
        .names(&[&folder.path().display().to_string(), "regular file"]);
}

#[test]
fn a_file_without_permission_cannot_be_opened() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.file("x.onnx", b"x");
    let nobody = std::fs::Permissions::from_mode(0o0);
    std::fs::set_permissions(&path, nobody).expect("its owner may");
    if std::fs::read(&path).is_ok() {
        skipped("root may read everything");
        return;
    }
    refused_model(&path)
        .is(gst::ResourceError::OpenRead)
        .names(&[&path.display().to_string()]);
}

#[test]
fn what_is_no_onnx_is_not_decoded() {
    let folder = Folder::new();
    let mut noise = 1_u32;
    let noise = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 24) as u8
    });
    let noise: Vec<_> = noise.take(100_000).collect();
    for (name, bytes) in [
        ("empty.onnx", &b""[..]),
        ("text.onnx", b"<!DOCTYPE html><title>404: Not Found</title>"),
        (
            "picture.onnx",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0",
        ),
        ("noise.onnx", &noise),
    ] {
        let path = folder.file(name, bytes);
        refused_model(&path)
            .is(gst::StreamError::Decode)
            .names(&[name]);
    }
}

#[test]
fn a_model_cut_at_any_kilobyte_is_not_decoded() {
    let (rig, folder, whole) = (tract(), Folder::new(), gstdetect::model::builtin::ONNX);
    for length in (1024..whole.len()).step_by(1024) {
        let path = folder.file(&format!("{length}.onnx"), &whole[..length]);
        rig.element
            .set_property("model", path.display().to_string());
        refusal(&rig)
            .is(gst::StreamError::Decode)
            .names(&["ends too early", &length.to_string()]);
        rig.element
            .set_state(gst::State::Null)
            .expect("every element goes to NULL");
        let _ = std::fs::remove_file(path);
    }
    assert_recovers(&rig);
}

#[test]
fn weights_of_a_second_file_that_is_missing_are_named() {
    refused_model(&micro_model("missing_weights.onnx"))
        .is(gst::ResourceError::Read)
        .names(&["nowhere.bin"]);
}

#[test]
fn a_model_that_is_no_detector_is_described() {
    refused_model(&micro_model("not_a_detector.onnx"))
        .is(gst::StreamError::WrongType)
        .names(&["images", "logits", "[1, 10]", "card", ".detect.json"]);
}

#[test]
fn a_model_of_two_readings_is_refused_with_both() {
    refused_model(&micro_model("ambiguous.onnx"))
        .is(gst::StreamError::WrongType)
        .names(&["YOLOX", "YOLOv5", "card"]);
}

#[test]
fn an_operator_that_the_engine_lacks_is_named_with_engines_that_might_do() {
    refused_model(&micro_model("unknown_op.onnx"))
        .is(gst::LibraryError::Init)
        .names(&["NoEngineHasThis", "tract", "onnxruntime", "openvino"]);
}

#[test]
fn absurd_dimensions_are_refused_before_memory_is_taken() {
    /// The least of the models would take 16 GiB.
    const MOST: u64 = 4 << 20;
    let before = largest_memory();
    for name in ["huge_input", "huge_constantofshape", "huge_expand"] {
        let told = refused_model(&micro_model(&format!("{name}.onnx")));
        told.names(&["65536"]);
        let library = told.error.matches(gst::LibraryError::Init);
        assert!(
            library || told.error.matches(gst::ResourceError::Read),
            "{told:?}"
        );
    }
    let grown = largest_memory() - before;
    assert!(grown < MOST, "{grown} KiB were asked for");
}

/// The most memory that this process has had at any time, in KiB, whether it was used or only asked for.
fn largest_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmPeak:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.expect("VmPeak: number kB")
}

#[test]
fn an_input_size_that_is_none_is_refused_with_good_ones() {
    refused(&[("input-size", "large")])
        .is(gst::LibraryError::Settings)
        .names(&["input-size", "\"large\"", "auto", "416", "640x384"]);
}

#[test]
fn an_input_size_that_the_model_does_not_take_is_refused_with_the_one_it_takes() {
    refused(&[("input-size", "64x96")])
        .is(gst::LibraryError::Settings)
        .names(&["64x96", "32x32"]);
}

#[test]
fn a_card_that_cannot_be_used_is_refused_with_key_and_value() {
    let folder = Folder::new();
    for (card, words) in [
        (
            r#"{"num_classes": "two"}"#,
            ["num_classes", "\"two\"", "a number"],
        ),
        (r#"{"decode": "magic"}"#, ["decode", "\"magic\"", "yolov8"]),
        ("{", ["other.json", "not JSON", "card"]),
    ] {
        let path = folder.file("other.json", card.as_bytes());
        refused(&[("model-config", &path.display().to_string())])
            .is(gst::LibraryError::Settings)
            .names(&words);
    }
    refused(&[("model-config", "/nowhere/x.json")])
        .is(gst::LibraryError::Settings)
        .names(&["/nowhere/x.json"]);
}

#[test]
fn classes_that_the_model_has_not_are_refused_with_those_it_has() {
    for (classes, words) in [
        ("mouse", ["classes", "\"mouse\"", "0 to 1", "cat, dog"]),
        ("cat,7", ["classes", "\"7\"", "0 to 1", "cat, dog"]),
        ("cat=much", ["classes", "\"much\"", "above 0", "up to 1"]),
    ] {
        refused(&[("classes", classes)])
            .is(gst::LibraryError::Settings)
            .names(&words);
    }
}

#[test]
fn labels_that_are_not_there_are_refused_with_the_path() {
    refused(&[("labels", "/nowhere/labels.txt")])
        .is(gst::LibraryError::Settings)
        .names(&["/nowhere/labels.txt"]);
}

#[test]
fn side_files_that_are_no_files_or_too_large_are_refused_as_what_they_were_to_be() {
    let folder = Folder::new();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo is installed").success());
    let huge = folder.file("huge", b"");
    let hole = std::fs::OpenOptions::new().write(true).open(&huge);
    hole.and_then(|file| file.set_len(1 << 30))
        .expect("a hole takes no place");
    let lines = folder.file("lines", "a\n".repeat(1 << 20).as_bytes());
    let line = folder.file("line", "a".repeat(5000).as_bytes());
    for (property, kind, limit) in [
        ("labels", "labels ", "16777216"),
        ("model-config", "card ", "1048576"),
    ] {
        for (path, found) in [
            (pipe.as_path(), "a pipe, expected a regular file"),
            (Path::new("/dev/zero"), "a device, expected a regular file"),
            (folder.path(), "a folder, expected a regular file"),
            (&huge, "1073741824 bytes"),
            (&huge, limit),
        ] {
            refused(&[(property, &path.display().to_string())])
                .is(gst::LibraryError::Settings)
                .names(&[kind, found, &path.display().to_string()]);
        }
    }
    for (path, found) in [(&lines, "1048576 lines"), (&line, "5000 bytes")] {
        refused(&[("labels", &path.display().to_string())])
            .is(gst::LibraryError::Settings)
            .names(&[found, "a label a line"]);
    }
}

#[test]
fn labels_of_the_wrong_length_are_a_warning_and_the_others_have_numbers() {
    let (rig, folder) = (tract(), Folder::new());
    let labels = folder.file("short.txt", b"mouse\n");
    rig.element
        .set_property("labels", labels.display().to_string());
    rig.element
        .set_state(gst::State::Paused)
        .expect("it is only a warning");
    let warnings = all(&rig, gst::MessageType::Warning);
    let [warning] = warnings.as_slice() else {
        panic!("one warning, not {warnings:?}");
    };
    warning
        .is(gst::LibraryError::Settings)
        .names(&["short.txt", "1 label", "2 classes"]);
    let info: gst::Structure = rig.element.property("model-info");
    let labels = info
        .get::<gst::Array>("labels")
        .expect("the labels in force");
    let labels: Vec<_> = labels
        .iter()
        .map(|l| l.get::<&str>().expect("a text"))
        .collect();
    assert_eq!(labels, ["mouse", "class 1"]);
    assert_passes_a_frame(&rig);
}

type Answer = Result<Vec<Tensor>, EngineError>;

/// Nothing found, as the micro model says it.
fn nothing(_: &Tensor) -> Answer {
    Ok(vec![Tensor::f32("output0", [1, 6, 21], vec![0.0; 6 * 21])])
}

fn panics(_: &Tensor) -> Answer {
    panic!("the engine's own words")
}

fn fails(_: &Tensor) -> Answer {
    Err(EngineError::Run {
        engine: EngineKind::Stub,
        reason: "the engine's own words".into(),
        source: None,
    })
}

#[test]
fn an_engine_that_fails_in_its_first_run_is_refused_at_the_start() {
    for script in [panics, fails] {
        let rig = Rig::stopped("", Source::LIVE);
        rig.control.set_script(script);
        refusal(&rig).names(&["the engine's own words"]);
        rig.control.set_script(nothing);
        assert_recovers_as_stub(&rig);
    }
}

fn assert_recovers_as_stub(rig: &Rig) {
    rig.element
        .set_state(gst::State::Null)
        .expect("every element goes to NULL");
    assert_passes_a_frame(rig);
}

#[test]
fn an_engine_that_fails_at_a_frame_is_one_error_and_no_frame_passes_until_ready() {
    for script in [panics, fails] {
        for source in [Source::LIVE, Source::File] {
            let rig = Rig::with_source("", source);
            rig.control.set_script(script);
            rig.push(0).expect("nobody knows yet");
            let error = rig.wait_for_message(&[gst::MessageType::Error]);
            parse(&error).names(&["the engine's own words"]);
            // The error is told first, and felt right after it.
            let refused = (1..).find_map(|number| rig.push(number).err());
            assert_eq!(refused, Some(gst::FlowError::Error));
            // What a source does that was refused: it ends the stream.
            rig.event(gst::event::Eos::new());
            rig.flush();
            assert_eq!(rig.push(2), Err(gst::FlowError::Error), "after a flush too");
            rig.element
                .set_state(gst::State::Paused)
                .expect("it pauses");
            rig.element
                .set_state(gst::State::Playing)
                .expect("it plays");
            assert_eq!(rig.push(3), Err(gst::FlowError::Error), "not through READY");
            let further = errors(&rig);
            assert!(further.is_empty(), "{source:?}: {further:?}");
            assert_eq!(rig.numbers(), [] as [u64; 0]);
            rig.control.set_script(nothing);
            rig.element.set_state(gst::State::Ready).expect("it stops");
            assert_passes_a_frame(&rig);
        }
    }
}

/// Writes a micro model that also multiplies two matrices: 1331 million multiply-adds.
fn with_a_product(folder: &Folder) -> std::path::PathBuf {
    let bytes = std::fs::read(micro_model("yolov8_micro.onnx")).expect("it is there");
    let mut model = ModelProto::decode(&bytes[..]).expect("a model");
    let graph = model.graph.as_mut().expect("with a graph");
    graph.initializer.push(TensorProto {
        name: "sides".into(),
        dims: vec![2],
        data_type: DataType::Int64 as i32,
        int64_data: vec![1100, 1100],
        ..Default::default()
    });
    graph
        .node
        .push(node("ConstantOfShape", &["sides"], "square"));
    graph
        .node
        .push(node("MatMul", &["square", "square"], "product"));
    folder.file("product.onnx", &model.encode_to_vec())
}

#[test]
fn a_model_that_computes_more_than_allowed_is_refused_and_a_higher_limit_admits_it() {
    let folder = Folder::new();
    let rig = Rig::stopped("max-compute=1", Source::File);
    let model = with_a_product(&folder);
    rig.element
        .set_property("model", model.display().to_string());
    assert!(rig.element.set_state(gst::State::Paused).is_err());
    let message = rig.wait_for_message(&[gst::MessageType::Error]);
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!("only errors were asked for");
    };
    let text = error.error().message().to_owned();
    assert!(
        text.contains("multiply-adds") && text.contains("1000000000; max-compute"),
        "{text}"
    );
    rig.element.set_property("max-compute", 2_u32);
    rig.element.set_state(gst::State::Paused).unwrap();
}
