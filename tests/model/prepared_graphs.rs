//! A graph that ends at its raw heads gives the boxes of the whole one, and one that was exported for another size those
//! of one exported for any.

use crate::support;
use gstdetect::base::detection::Detection;
use gstdetect::base::geometry::Size;
use gstdetect::base::tensor::Tensor;
use gstdetect::engine::{self, EngineKind, EngineOptions};
use gstdetect::families::Family;
use gstdetect::families::yolov8::{Yolov8, Yolov8Heads};
use gstdetect::families::yolox::YoloxHeads;
use gstdetect::families::{Labelling, decoder_for};
use gstdetect::model::{InputSize, Model, ModelOptions};
use gstdetect::vision::nms;
use std::path::Path;
use std::time::{Duration, Instant};

fn open(path: &Path, input_size: InputSize) -> Model {
    let options = ModelOptions {
        path: Some(path.into()),
        input_size,
        ..ModelOptions::default()
    };
    Model::open(&options).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// The same model as the file has it.
fn whole(model: &Model) -> Model {
    let path = model.path.as_ref().expect("a file");
    let mut whole = model.clone();
    whole.bytes = std::fs::read(path).expect("it can be read").into();
    whole.family = support::families::of_whole_graph(model.family.as_ref());
    whole
}

/// A picture of every colour, the same each time.
fn picture(model: &Model) -> Tensor {
    let dims = model.input.dims();
    let count: usize = dims.iter().product();
    let brightest = match model.family.name() {
        "yolox_raw" => 255.0,
        _ => 1.0,
    };
    let pixel = |i: usize| {
        let share = (i * 7919 % 1013) as f32 / 1013.0 * 0.7 + (i / 97 % 5) as f32 * 0.06;
        share * brightest
    };
    Tensor::f32(&*model.input.name, dims, (0..count).map(pixel).collect())
}

/// All candidates at least as good as `threshold`, and the times of the model and of the decoder.
fn candidates(model: &Model, threshold: f32) -> (Vec<Detection>, [Duration; 2]) {
    let mut engine = engine::open(
        EngineKind::Tract,
        model,
        &EngineOptions {
            threads: 1,
            ..EngineOptions::default()
        },
    )
    .expect("it loads")
    .engine;
    let input = model.input.size;
    let decoder = decoder_for(
        model.family.as_ref(),
        input,
        model.classes,
        engine.outputs(),
        Labelling::Best,
    );
    let decoder = decoder.expect("outputs of the family");
    let picture = picture(model);
    engine.run(&picture).expect("it runs");
    let begin = Instant::now();
    let outputs = engine.run(&picture).expect("it runs");
    let run = begin.elapsed();
    let mut found = Vec::new();
    decoder
        .decode(&outputs, threshold, &mut found)
        .expect("outputs as made");
    (found, [run, begin.elapsed() - run])
}

/// Every candidate of both, in the same order.
fn assert_alike(cut: &[Detection], whole: &[Detection], pixels: f32) {
    assert_eq!(cut.len(), whole.len());
    for (index, (a, b)) in cut.iter().zip(whole).enumerate() {
        let sides = [
            a.bbox.x1 - b.bbox.x1,
            a.bbox.y1 - b.bbox.y1,
            a.bbox.x2 - b.bbox.x2,
            a.bbox.y2 - b.bbox.y2,
        ];
        let near = sides.iter().all(|side| side.abs() < pixels)
            && (a.score - b.score).abs() < 1e-5 + 1e-4 * b.score;
        assert!(
            near && a.class == b.class,
            "candidate {index}: {a:?}, {b:?}"
        );
    }
}

#[test]
fn boxes_are_those_of_the_whole_graph() {
    let strides = vec![8, 16, 32];
    let yolox: Box<dyn Family> = Box::new(YoloxHeads {
        strides: strides.clone(),
    });
    let yolov8: Box<dyn Family> = Box::new(Yolov8Heads { strides, bins: 4 });
    let wide = InputSize::Fixed(Size::new(96, 64));
    let (of_yolov8, of_yolox) = ("YOLOv8 layout (yolov8)", "YOLOX (yolox_raw)");
    for (name, size, heads, kinds, told) in [
        (
            "yolov8_dfl_micro.onnx",
            InputSize::Auto,
            &yolov8,
            &["box", "cls"][..],
            of_yolov8,
        ),
        (
            "yolov8_dfl_free.onnx",
            wide,
            &yolov8,
            &["box", "cls"],
            of_yolov8,
        ),
        (
            "yolox_micro.onnx",
            InputSize::Auto,
            &yolox,
            &["box", "obj", "cls"],
            of_yolox,
        ),
        (
            "free_size.onnx",
            wide,
            &yolox,
            &["box", "obj", "cls"],
            of_yolox,
        ),
    ] {
        let cut = open(&support::micro_model(name), size);
        assert_eq!(cut.family, *heads, "{name}: {:?}", cut.rewrites);
        let of_stride = |stride: u32| kinds.iter().map(move |kind| format!("{kind}{stride}"));
        let outputs: Vec<String> = [8, 16, 32].into_iter().flat_map(of_stride).collect();
        assert_eq!(cut.outputs, outputs);
        assert!(
            cut.rewrites.iter().any(|said| said.contains("raw heads")),
            "{:?}",
            cut.rewrites
        );
        assert_eq!(cut.decisions[0].value, told, "{name}");
        let whole = whole(&cut);
        for threshold in [0.0, 0.1, 0.4] {
            let (in_rust, _) = candidates(&cut, threshold);
            let (in_graph, _) = candidates(&whole, threshold);
            assert!(!in_graph.is_empty(), "{name} at {threshold}");
            assert_alike(&in_rust, &in_graph, 1e-3);
        }
        let all = candidates(&cut, 0.0).0.len();
        let some = candidates(&cut, 0.4).0.len();
        assert!(some < all, "the threshold tells them apart");
    }
}

#[test]
fn a_head_that_is_not_what_the_decoder_does_stays_in_the_graph() {
    for name in ["yolov8_dfl_odd.onnx", "yolov8_micro.onnx"] {
        let model = open(&support::micro_model(name), InputSize::Auto);
        assert_eq!(model.family, Yolov8, "{name}");
        assert_eq!(
            (&model.outputs[..], &model.rewrites[..]),
            (&["output0".to_owned()][..], &[][..])
        );
    }
}

/// The biases of an untrained head put every score at 0.00001; these spread them, and differ from class to class.
fn with_scores(mut onnx: Vec<u8>) -> Vec<u8> {
    const CLASSES: usize = 80;
    let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("four bytes"));
    let (mut at, mut met) = (0, 0);
    while at + 4 * CLASSES <= onnx.len() {
        let bias = number(&onnx[at..at + 4]);
        let alike = onnx[at..at + 4 * CLASSES]
            .chunks(4)
            .all(|bytes| *bytes == onnx[at..at + 4]);
        if alike && (-20.0..-5.0).contains(&bias) {
            for (class, bytes) in onnx[at..].chunks_mut(4).take(CLASSES).enumerate() {
                let spread = (class * 31 % CLASSES) as f32 / 10.0 - 6.0 + met as f32;
                bytes.copy_from_slice(&spread.to_le_bytes());
            }
            (at, met) = (at + 4 * CLASSES, met + 1);
        } else {
            at += 1;
        }
    }
    assert_eq!(met, 3, "one head a stride");
    onnx
}

/// Prints how long either takes, in turns on one thread. No test: the machine may be at other work.
#[test]
fn a_real_graph_is_cut() {
    let Some(shared) = std::env::var_os("DETECT_SHARED") else {
        support::skipped("DETECT_SHARED does not name the folder of shared models");
        return;
    };
    let original = std::fs::read(Path::new(&shared).join("models/yolov8n_320_random.onnx"));
    let folder = support::Folder::new();
    let path = folder.file("x.onnx", &with_scores(original.expect("a shared model")));
    let cut = open(&path, InputSize::Auto);
    let heads = Yolov8Heads {
        strides: vec![8, 16, 32],
        bins: 16,
    };
    assert_eq!(cut.family, heads, "{:?}", cut.rewrites);
    let found = assert_cut_in_turns("yolov8n_320_random", &cut, 2100);
    assert!(found.iter().any(|d| d.score < 0.9) && found.iter().any(|d| d.score > 0.95));
    let path = Path::new(&shared).join("models/yolox_nano_416.onnx");
    let cut = open(&path, InputSize::Auto);
    let strides = vec![8, 16, 32];
    assert_eq!(cut.family, YoloxHeads { strides });
    assert_cut_in_turns("yolox_nano_416", &cut, 3549);
}

/// All candidates of a graph that gives those of the whole one.
fn assert_cut_in_turns(name: &str, cut: &Model, count: usize) -> Vec<Detection> {
    let whole = whole(cut);
    let (mut fast, mut slow, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        let (in_rust, [model, decoding]) = candidates(cut, 0.0);
        let (in_graph, [whole, _]) = candidates(&whole, 0.0);
        assert_eq!(in_rust.len(), count);
        assert_alike(&in_rust, &in_graph, 1e-2);
        fast.push(model + decoding);
        slow.push(whole);
        found = in_rust;
    }
    fast.sort();
    slow.sort();
    let (fast, slow) = (fast[2], slow[2]);
    println!("{name}: {fast:?} ended at its heads, all of {count} decoded, {slow:?} whole");
    found
}

/// Real exports with a Focus, with pools of several windows, with necks: every candidate is the one of the file as it is.
#[test]
fn real_graphs_are_rewritten() {
    let Some(shared) = std::env::var_os("DETECT_SHARED") else {
        support::skipped("DETECT_SHARED does not name the folder of shared models");
        return;
    };
    const OF_YOLOX: &[&str] = &[
        "of 6 x 6",
        "2 large windows",
        "13 Concats one by one, 2 of them",
    ];
    let cases: [(&str, usize, &[&str]); 3] = [
        ("yolox_nano_416", 3549, OF_YOLOX),
        ("yolox_nano_as_yolov5_416", 3549, OF_YOLOX),
        ("fastestdet_352", 484, &["2 Concats one by one, 1 of them"]),
    ];
    for (name, count, told) in cases {
        let path = Path::new(&shared).join(format!("models/{name}.onnx"));
        let rewritten = open(&path, InputSize::Auto);
        for part in told {
            let said = rewritten.rewrites.iter().any(|said| said.contains(part));
            assert!(said, "{name}: no \"{part}\" in {:?}", rewritten.rewrites);
        }
        let whole = whole(&rewritten);
        let (rewritten, _) = candidates(&rewritten, 0.0);
        let (wanted, _) = candidates(&whole, 0.0);
        assert_eq!(wanted.len(), count, "{name}: one for each cell");
        assert_alike(&rewritten, &wanted, 1e-2);
    }
}

/// A fixed export, and the same model exported for any size.
fn assert_follows(fixed: &Path, free: &Path, size: Size, threshold: f32) {
    let size = InputSize::Fixed(size);
    let (fixed, free) = (open(fixed, size), open(free, size));
    assert_eq!(fixed.input.size, free.input.size);
    let (followed, _) = candidates(&fixed, threshold);
    let (wanted, _) = candidates(&free, threshold);
    assert!(!wanted.is_empty());
    assert_alike(&followed, &wanted, 1e-2);
}

#[test]
fn a_fixed_export_runs_at_another_size() {
    let path = |name| support::micro_model(name);
    for size in [Size::new(96, 64), Size::new(32, 64), Size::new(320, 192)] {
        assert_follows(
            &path("yolox_micro.onnx"),
            &path("free_size.onnx"),
            size,
            0.0,
        );
        assert_follows(
            &path("yolov8_dfl_micro.onnx"),
            &path("yolov8_dfl_free.onnx"),
            size,
            0.0,
        );
    }
}

/// Real exports, and their twins of free size where there is one.
#[test]
fn real_fixed_exports_run_at_another_size() {
    let Some(shared) = std::env::var_os("DETECT_SHARED") else {
        support::skipped("DETECT_SHARED does not name the folder of shared models");
        return;
    };
    let path = |name: &str| Path::new(&shared).join(format!("models/{name}.onnx"));
    let wide = Size::new(448, 256);
    assert_follows(
        &path("yolox_nano_416"),
        &path("yolox_nano_dynamic"),
        wide,
        0.0,
    );
    assert_follows(&path("yunet_n_320"), &path("yunet_n_dynamic"), wide, 0.0);
    for name in [
        "yolov8n_320_random",
        "nanodet_m_320",
        "picodet_xs_320",
        "fastestdet_352",
        "ultraface_rfb_320_raw",
    ] {
        let model = open(&path(name), InputSize::Fixed(wide));
        let (mut found, _) = candidates(&model, 0.0);
        let count = found.len();
        assert!(count > 0, "{name}: the outputs are those of the size");
        nms::suppress(&mut found, 0.5, 100);
        println!(
            "{name} at {wide}: {count} candidates; {}",
            model.rewrites.join("; ")
        );
    }
}
