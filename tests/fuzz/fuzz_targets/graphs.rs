//! Real graphs with faults in their structure ([`graph_faults`]), all the way from a file to a model that has run once: read,
//! recognised, rewritten, held to the budget, and loaded by the built-in engine.
//!
//! The first byte chooses a micro model, the second the input size; each eight bytes after them are a fault. The files that
//! a fault may name as a place of weights are in a folder of this process.
//!
//! A refusal is no finding. A panic of ours is one, a panic of tract is not: the plugin catches it. Memory beyond
//! [`MEMORY_BYTES`] and ten seconds are findings whosever fault they are.

#![no_main]

mod graph_faults;
mod guard;

use gstdetect::base::geometry::Size;
use gstdetect::detector::{Detector, DetectorOptions, OpenError};
use gstdetect::engine::{EngineKind, EngineOptions, panics};
use gstdetect::families::card::Card;
use gstdetect::model::{InputSize, Model, ModelOptions};
use gstdetect::onnx::proto::ModelProto;
use libfuzzer_sys::fuzz_target;
use prost::Message;
use std::backtrace::Backtrace;
use std::path::PathBuf;
use std::sync::OnceLock;

/// The promise to users.
const MEMORY_BYTES: usize = 2 << 30;

/// Multiply-adds of the one inference; the engine is not compiled for speed here.
const MAX_COMPUTE: u64 = 20_000_000;

/// Before the faults.
const HEAD: usize = 2;

macro_rules! models {
    ($($name:literal)*) => { [$(include_bytes!(concat!("../../models/", $name, ".onnx"))),*] };
}

/// Graphs of different kinds: heads and tables, suppression, transformers, quantised, 16 bits, free sizes, odd operators.
const MODELS: [&[u8]; 32] = models![
    "yolov8_micro" "yolox_micro" "yolov5_micro" "yolov8_dfl_micro"
    "yolov7_nms_micro" "yolov10_micro" "rtdetr_micro" "detr_micro"
    "deformable_detr_micro" "ssd_micro" "scrfd_micro" "nanodet_plus_micro"
    "yunet_2022_micro" "yolox_micro.qdq" "yolox_micro.dyn" "yolox_micro.qop"
    "yolox_micro.fp16" "yolov8_float16_micro" "yolov8_uint8_micro" "dynamic_micro"
    "dynamic_resized_micro" "free_size" "rows_above_branch_micro" "torchvision_micro"
    "dets_micro" "tfod_micro" "opset7" "yolov8_dfl_micro.qdq"
    "yolo_nas_batch_micro" "paddle_micro" "every_type" "missing_weights"
];

/// Files beside the model, and their bytes; `hole.bin` has none on the disk.
const WEIGHTS: usize = 64 << 10;
const HOLE: u64 = 300 << 20;

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

fuzz_target!(init: prepare(), |data: &[u8]| {
    guard::within(MEMORY_BYTES, || look(data));
});

fn prepare() {
    guard::prepare();
    let folder = std::env::temp_dir().join(format!("gstdetect-fuzz-{}", std::process::id()));
    // No measured choices: what an input does must not depend on the time. Nothing else runs yet.
    unsafe { std::env::set_var("XDG_CACHE_HOME", folder.join("no cache")) };
    std::fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes);
    let pattern: Vec<u8> = (0..WEIGHTS).map(|i| (i * 7 % 251) as u8).collect();
    write("weights.bin", &pattern).expect("writable");
    write("short.bin", b"abc").expect("writable");
    let hole = std::fs::File::create(folder.join("hole.bin")).expect("writable");
    hole.set_len(HOLE).expect("a hole takes no place");
    let _ = std::os::unix::fs::symlink("weights.bin", folder.join("link.bin"));
    FOLDER.get_or_init(|| folder);
    // The plugin's hook, and above it the one that knows whose panic it is.
    panics::log_to(|_| ());
    look(&[0; HEAD]);
    let plugin = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map_or("", |location| location.file());
        if is_ours(place) {
            eprintln!("a panic of ours: {info}\n{}", Backtrace::force_capture());
            // libFuzzer stores the input.
            std::process::abort();
        }
        plugin(info);
    }));
}

/// Whether code at this place is ours, or was called by ours if the place is in the standard library.
fn is_ours(place: &str) -> bool {
    if !place.contains("/library/") {
        return !place.contains("/registry/");
    }
    let trace = Backtrace::force_capture().to_string();
    let frames = trace
        .lines()
        .filter(|line| !line.trim_start().starts_with("at "));
    let crates = ["gstdetect::", "tract_", "prost::", "ndarray::"];
    let known = |line: &str| crates.iter().position(|name| line.contains(name));
    // This target's own frames are named after its file.
    frames.filter_map(known).next() == Some(0)
}

fn look(data: &[u8]) {
    let Some((&[which, size], faults)) = data.split_first_chunk::<HEAD>() else {
        return;
    };
    let base = MODELS[usize::from(which) % MODELS.len()];
    let mut proto = ModelProto::decode(base).expect("a micro model");
    graph_faults::put(&mut proto, faults);
    let file = proto.encode_to_vec();
    drop(proto);
    open(&file, size);
}

fn open(file: &[u8], size: u8) {
    let side = |n: u8| u32::from(n % 8) * 32;
    let picture = Size::new(96, 64);
    let options = ModelOptions {
        path: FOLDER.get().map(|folder| folder.join("model.onnx")),
        input_size: match size {
            0..128 => InputSize::Auto,
            n => InputSize::Fixed(Size::new(side(n), side(n / 8))),
        },
        picture: (size % 2 == 1).then_some(picture),
        ..ModelOptions::default()
    };
    let model = match Model::from_bytes(file.into(), Card::default(), &options) {
        Ok(model) => model,
        Err(error) => return check_words(&error.to_string()),
    };
    let options = DetectorOptions {
        engine: EngineKind::Tract,
        engine_options: EngineOptions {
            threads: 1,
            max_compute: Some(MAX_COMPUTE),
            ..EngineOptions::default()
        },
        ..DetectorOptions::default()
    };
    match Detector::open_for(&model, picture, &options) {
        Ok(detector) => assert!(!detector.engine_reason().is_empty()),
        Err(OpenError::Model(error)) => check_words(&error.to_string()),
        Err(error) => check_words(&error.to_string()),
    }
}

/// An error says something, and never prints a file.
fn check_words(words: &str) {
    assert!(!words.is_empty());
    assert!(words.len() < 20_000, "an error of {} bytes", words.len());
}
