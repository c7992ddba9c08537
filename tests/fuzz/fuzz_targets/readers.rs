//! Everything that reads what a user hands over: model files with every rewrite of their graph, metadata, cards, labels,
//! and which classes are wanted.
//!
//! | first byte, modulo 5 | then |
//! |---|---|
//! | 0 | input size, family that the card names, a byte each; a model file |
//! | 1 | which small model, a byte; its card |
//! | 2 | which small model, which key of the metadata, a byte each; its value |
//! | 3 | number of classes, a byte; a file of labels |
//! | 4 | length of the list of labels, a byte; a list of classes and their thresholds |
//!
//! An input may take [`BASE_BYTES`] of memory, [`BYTES_PER_BYTE`] for each of its bytes and, where it makes a model,
//! [`BYTES_PER_PIXEL`] for each pixel of the pictures that this takes.

#![no_main]

mod guard;
mod wire_mutator;

use gstdetect::base::classes::Selection;
use gstdetect::base::geometry::Size;
use gstdetect::families::card::Card;
use gstdetect::families::decode_names;
use gstdetect::model::{InputSize, Labels, Model, ModelError, ModelOptions, OnnxError, labels};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use std::path::Path;

/// A list of as many classes as we ever take is in it.
const BASE_BYTES: usize = 16 << 20;

/// Two bytes of a file can be an empty message, which is some hundred bytes in memory.
const BYTES_PER_BYTE: usize = 2048;

/// The end of a graph is computed for every cell before it is left to the decoder. (A picture as a tensor is 12.)
const BYTES_PER_PIXEL: usize = 12;

/// For no picture is more computed.
const MOST_FOR_PIXELS: usize = 128 << 20;

/// What the first byte tells apart.
const KINDS: u8 = 5;

/// Before the model of an input of kind 0.
const MODEL_HEAD: usize = 3;

const MODELS: [&[u8]; 10] = [
    include_bytes!("../../models/yolov8_micro.onnx"),
    include_bytes!("../../models/yolov5_micro.onnx"),
    include_bytes!("../../models/yolox_micro.onnx"),
    include_bytes!("../../models/yolox_decoded_micro.onnx"),
    include_bytes!("../../models/free_size.onnx"),
    include_bytes!("../../models/ambiguous.onnx"),
    // Of families to whose boxes cards have something to say.
    include_bytes!("../../models/yolov5_raw_micro.onnx"),
    include_bytes!("../../models/ssd_raw_micro.onnx"),
    include_bytes!("../../models/yolov7_nms_micro.onnx"),
    include_bytes!("../../models/rtdetr_micro.onnx"),
];

/// Labels as they make a list of classes hard to read.
const LABELS: [&str; 8] = [
    "person", "hot dog", "a, b=c", "it's", "7", "cat", "cat", "Größe",
];

const KEYS: [&str; 5] = ["names", "imgsz", "stride", "task", "end2end"];

fuzz_target!(init: guard::prepare(), |data: &[u8]| {
    let own = BASE_BYTES + data.len() * BYTES_PER_BYTE;
    let (for_pixels, used) = guard::within(own + MOST_FOR_PIXELS, || read(data));
    let allowed = own + for_pixels;
    assert!(used <= allowed, "{used} bytes were in use, allowed {allowed}");
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let is_model = size > MODEL_HEAD && data[0] % KINDS == 0;
    // Now and then at random all the same: lengths that are wrong are cases too.
    if is_model
        && seed % 8 != 0
        && let Some(message) = wire_mutator::mutate(&data[MODEL_HEAD..size], seed)
        && MODEL_HEAD + message.len() <= max_size
    {
        data[MODEL_HEAD..][..message.len()].copy_from_slice(&message);
        if seed % 16 == 1 {
            fuzzer_mutate(&mut data[1..MODEL_HEAD], 2, 2);
        }
        return MODEL_HEAD + message.len();
    }
    fuzzer_mutate(data, size, max_size)
});

/// Bytes that it may take for the pixels of its pictures.
fn read(data: &[u8]) -> usize {
    match data {
        [kind, size, family, model @ ..] if kind % KINDS == 0 => read_model(model, *size, *family),
        [kind, which, card @ ..] if kind % KINDS == 1 => read_card(chosen(&MODELS, *which), card),
        [kind, which, key, value @ ..] if kind % KINDS == 2 => {
            let entry = metadata(chosen(&KEYS, *key), value);
            // The first entry of a key counts.
            let model = [&entry[..], chosen(&MODELS, *which)].concat();
            check(open(&model, Card::default(), InputSize::Auto))
        }
        [kind, classes, text @ ..] if kind % KINDS == 3 => {
            read_labels(text, usize::from(*classes));
            0
        }
        [kind, labels, text @ ..] if kind % KINDS == 4 => {
            let labels = &LABELS[..usize::from(*labels) % (LABELS.len() + 1)];
            read_classes(&String::from_utf8_lossy(text), labels);
            0
        }
        _ => 0,
    }
}

fn chosen<T: Copy>(list: &[T], number: u8) -> T {
    list[usize::from(number) % list.len()]
}

/// 0 is "auto", 255 something absurd, and what lies between a multiple of 32 for every other number.
fn read_model(model: &[u8], size: u8, family: u8) -> usize {
    let size = match size {
        0 => InputSize::Auto,
        255 => InputSize::Fixed(Size::new(8192, 8192)),
        n => InputSize::Fixed(Size::new(u32::from(n) * 16, 64)),
    };
    // Beyond the families there is no card.
    let card = match decode_names().nth(usize::from(family)) {
        Some(name) => parse_card(format!("{{\"decode\": \"{name}\"}}").as_bytes()),
        None => Ok(Card::default()),
    };
    check(open(model, card.expect("a name of the list"), size))
}

fn read_card(model: &[u8], text: &[u8]) -> usize {
    match parse_card(text) {
        Ok(card) => check(open(model, card, InputSize::Auto)),
        Err(error) => check(Err(error)),
    }
}

fn read_labels(text: &[u8], classes: usize) {
    match labels::parse(Path::new("x.txt"), text) {
        Ok(names) => {
            let (labels, _) = Labels::fit(names, classes, "x.txt");
            assert_eq!(labels.len(), classes);
            assert_eq!(labels.iter().count(), classes);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Classes come in order and once each, with thresholds that a score can reach, and are admitted from there on.
fn read_classes(text: &str, labels: &[&str]) {
    const GENERAL: f32 = 0.5;
    let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
    let selection = match Selection::new(text, &labels) {
        Ok(selection) => selection,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let chosen: Vec<(u32, f32)> = selection.iter(GENERAL).collect();
    assert!(
        !chosen.is_empty() && chosen.is_sorted_by(|a, b| a.0 < b.0),
        "{chosen:?}"
    );
    let cutoffs = selection.cutoffs(GENERAL);
    for (class, threshold) in chosen {
        assert!(
            labels.is_empty() || (class as usize) < labels.len(),
            "{class}"
        );
        assert!(threshold > 0.0 && threshold <= 1.0, "{threshold}");
        assert!(cutoffs.lowest() <= threshold);
        assert!(cutoffs.admits(class, threshold) && !cutoffs.admits(class, threshold.next_down()));
    }
}

fn parse_card(text: &[u8]) -> Result<Card, ModelError> {
    Ok(Card::parse(Path::new("x.detect.json"), text)?)
}

fn open(model: &[u8], card: Card, input_size: InputSize) -> Result<Model, ModelError> {
    // No path: no file is looked for.
    let options = ModelOptions {
        input_size,
        ..ModelOptions::default()
    };
    Model::from_bytes(model.into(), card, &options)
}

/// Whatever comes out of a file can be told, and holds what the rest of the plugin relies on. Bytes that were to be taken
/// for pixels.
fn check(result: Result<Model, ModelError>) -> usize {
    match result {
        Ok(model) => {
            let elements: usize = model.input.dims().iter().product();
            assert!((3..=64 << 20).contains(&elements), "{:?}", model.input);
            assert_eq!(model.labels.len(), model.classes);
            assert!((0.0..=1.0).contains(&model.score_threshold));
            assert!((0.0..=1.0).contains(&model.iou_threshold));
            assert!(!format!("{model:?}").is_empty());
            let size = model.input.size;
            let pixels = size.width as usize * size.height as usize;
            let resized = |rewrite: &String| rewrite.starts_with("changed the input from");
            match model.rewrites.iter().any(resized) {
                true => MOST_FOR_PIXELS, // the end was computed for the other size
                false => (pixels * BYTES_PER_PIXEL).min(MOST_FOR_PIXELS),
            }
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            // Met when the end has been computed already.
            match error {
                ModelError::Onnx(OnnxError::InputSize { .. })
                | ModelError::Onnx(OnnxError::Lossy { .. }) => MOST_FOR_PIXELS,
                _ => 0,
            }
        }
    }
}

/// An entry of a model's metadata, as the file has it: field 14 of the model, with key and value.
fn metadata(key: &str, value: &[u8]) -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        let mut field = vec![number << 3 | 2];
        let mut length = bytes.len();
        while length >= 0x80 {
            field.push(length as u8 | 0x80);
            length >>= 7;
        }
        field.push(length as u8);
        field.extend(bytes);
        field
    };
    field(14, &[field(1, key.as_bytes()), field(2, value)].concat())
}
