//! A detector with its suppression in the graph, of which detect cuts that off: the boxes are those of ONNX Runtime on the
//! whole graph, and the time of both is printed.

use crate::support::engines::{OPTIONS, installed};
use crate::support::{init, run, skipped};
use gst_video::VideoFrameExt;
use gstdetect::base::detection::Detection;
use gstdetect::base::geometry::Size;
use gstdetect::base::image::{ImageView, PictureInfo, PixelFormat, Plane};
use gstdetect::base::tensor::Tensor;
use gstdetect::engine::{self, EngineKind};
use gstdetect::families::{Labelling, decoder_for};
use gstdetect::model::{Model, ModelOptions};
use gstdetect::vision::nms;
use gstdetect::vision::preprocess::Preprocessor;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MODELS: [&str; 2] = [
    "yolox_nano_e2e_nms6_416",
    "yolox_nano_e2e_boxes_scores_labels_416",
];
/// Above the thresholds of both graphs.
const SCORE: f32 = 0.3;
const RUNS: usize = 15;

#[test]
fn boxes_without_the_suppression_of_the_graph_are_those_of_onnx_runtime_with_it() {
    let Some(shared) = std::env::var_os("DETECT_SHARED").map(PathBuf::from) else {
        return skipped("DETECT_SHARED does not name the folder of shared models");
    };
    if !installed().contains(&EngineKind::OnnxRuntime) {
        return skipped("onnxruntime is not on this machine");
    }
    init();
    for name in MODELS {
        let path = shared.join(format!("models/{name}.onnx"));
        let options = ModelOptions {
            card: Some(path.with_extension("json")),
            path: Some(path),
            ..ModelOptions::default()
        };
        let whole = Model::open_uncut(&options).unwrap_or_else(|error| panic!("{error}"));
        let cut = Model::open(&options).unwrap_or_else(|error| panic!("{error}"));
        let said = cut.rewrites.join("; ");
        assert!(said.contains("before its suppression"), "{name}: {said}");
        let input = input(&whole, &shared.join("images/000000252219.jpg"));
        let (wanted, by_whole) = found(EngineKind::OnnxRuntime, &whole, &input);
        assert!(wanted.len() >= 3, "{name}: {wanted:?}");
        println!("{name}, whole, onnxruntime: {by_whole:.2?}");
        for kind in [EngineKind::OnnxRuntime, EngineKind::Tract] {
            let (found, time) = found(kind, &cut, &input);
            println!("{name}, cut, {kind}: {time:.2?}");
            assert_eq!(
                found.len(),
                wanted.len(),
                "{name}, {kind}: {found:?}, {wanted:?}"
            );
            for wanted in &wanted {
                let same = |found: &Detection| {
                    found.class == wanted.class
                        && (found.score - wanted.score).abs() < 1e-3
                        && found.bbox.iou(&wanted.bbox) > 0.999
                };
                assert!(
                    found.iter().any(same),
                    "{name}, {kind}: {wanted:?}, {found:?}"
                );
            }
        }
    }
}

/// What the model takes of a picture.
fn input(model: &Model, picture: &Path) -> Tensor {
    let samples = run(&format!(
        "filesrc location=\"{}\" ! jpegdec ! videoconvert ! video/x-raw,format=RGB",
        picture.display()
    ));
    let sample = &samples[0];
    let info = gst_video::VideoInfo::from_caps(sample.caps().expect("of a picture"));
    let info = info.expect("raw video");
    let buffer = sample.buffer().expect("with pixels");
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info).expect("mapped");
    let plane = Plane {
        data: frame.plane_data(0).expect("one plane"),
        stride: frame.plane_stride()[0] as usize,
    };
    let info = PictureInfo::new(PixelFormat::Rgb, Size::new(info.width(), info.height()));
    let image = ImageView::new(info, &[plane]).expect("a picture");
    let mut preprocessor = Preprocessor::new(info, &model.input).expect("a model of pictures");
    preprocessor.run(&image).expect("it fits").clone()
}

/// The detections, and the median of the times from input to detections.
fn found(kind: EngineKind, model: &Model, input: &Tensor) -> (Vec<Detection>, Duration) {
    let opened = engine::open(kind, model, &OPTIONS);
    let mut engine = opened.unwrap_or_else(|error| panic!("{error}")).engine;
    let labelling = Labelling::new(model.multi_label, None);
    let (size, classes) = (model.input.size, model.classes);
    let specs = engine.outputs().to_vec();
    let decoder = decoder_for(model.family.as_ref(), size, classes, &specs, labelling);
    let decoder = decoder.unwrap_or_else(|error| panic!("{error}"));
    let (mut detections, mut times) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let begin = Instant::now();
        let outputs = engine.run(input).unwrap_or_else(|error| panic!("{error}"));
        detections.clear();
        let decoded = decoder.decode(&outputs, SCORE, &mut detections);
        decoded.unwrap_or_else(|error| panic!("{error}"));
        nms::suppress(&mut detections, model.iou_threshold, usize::MAX);
        times.push(begin.elapsed());
    }
    times.sort();
    (detections, times[RUNS / 2])
}
