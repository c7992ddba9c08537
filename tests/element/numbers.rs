//! Elements of one pipeline give no two detections, and no two objects, the same number.

use crate::support::{Folder, init, micro_model, one_dog};
use gst::prelude::*;
use gstdetect::bridge::meta;
use gstdetect::engine::stub::Control;
use std::collections::BTreeSet;

const FRAMES: usize = 12;

/// A pipeline of two elements that both find a dog in every frame.
fn pipeline(folder: &Folder) -> gst::Pipeline {
    init();
    let detect = |name: &str| {
        let model = folder.path().join(name);
        std::fs::copy(micro_model("yolov8_micro.onnx"), &model).expect("the micro model is there");
        Control::for_model(Some(&model)).set_script(|_| Ok(one_dog()));
        format!(
            "detect engine=stub mode=every tracking=true model={}",
            model.display()
        )
    };
    let launch = format!(
        "videotestsrc num-buffers={FRAMES} ! video/x-raw,format=RGB,width=64,height=48 ! {} ! {} \
         ! appsink name=out sync=false",
        detect("first.onnx"),
        detect("second.onnx")
    );
    let pipeline = gst::parse::launch(&launch).expect("the properties are right");
    pipeline
        .downcast()
        .expect("several elements make a pipeline")
}

/// Number and object of each region of each frame.
fn played(pipeline: &gst::Pipeline) -> Vec<Vec<(i32, Option<i64>)>> {
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let out = pipeline.by_name("out").expect("it was named");
    let pull = || out.emit_by_name::<Option<gst::Sample>>("pull-sample", &[]);
    let regions = |sample: gst::Sample| {
        let rois = meta::read(sample.buffer().expect("a frame"));
        rois.iter().map(|roi| (roi.id, roi.track)).collect()
    };
    let frames = std::iter::from_fn(pull).map(regions).collect();
    pipeline.set_state(gst::State::Ready).expect("it stops");
    frames
}

#[test]
fn two_elements_of_one_pipeline_share_their_numbers() {
    let folder = Folder::new();
    let pipeline = pipeline(&folder);
    for round in 0..2 {
        let frames = played(&pipeline);
        assert_eq!(frames.len(), FRAMES);
        assert!(
            frames.iter().all(|regions| regions.len() == 2),
            "{frames:?}"
        );
        let ids: BTreeSet<_> = frames.iter().flatten().map(|(id, _)| *id).collect();
        assert_eq!(ids.len(), 2 * FRAMES, "no number twice: {frames:?}");
        assert_eq!(
            ids.first(),
            Some(&1),
            "each start begins anew: round {round}"
        );
        let mut objects = [BTreeSet::new(), BTreeSet::new()];
        for regions in &frames[1..] {
            for (seen, (_, object)) in objects.iter_mut().zip(regions) {
                seen.insert(object.expect("seen twice"));
            }
        }
        let [first, second] = &objects;
        assert_eq!(
            (first.len(), second.len()),
            (1, 1),
            "objects keep them: {frames:?}"
        );
        assert_ne!(first, second, "{frames:?}");
    }
}
