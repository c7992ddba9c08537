//! Hot swaps to files that want to take the process down, while a live stream plays in `mode=passthrough`: its frames are no
//! later than without swaps, the old model stays, and the memory comes back.
//!
//! The files of `field-cases/hostile` need the folder of shared models in `DETECT_SHARED`. Without it only those that the
//! test makes itself are tried, and it says so.

use crate::kept_in_one_of;
use crate::support::{Folder, PATIENCE, micro_model, onnx::node, skipped, watch_ages};
use gst::prelude::*;
use prost::Message;
use std::path::PathBuf;
use std::time::Duration;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{ModelProto, StringStringEntryProto, TensorProto};

const TRIES: u32 = 3;
const TURNS: usize = 3;
/// A frame that leaves later than this after its time is late.
const LATE: Duration = Duration::from_millis(50);
const MOST_RISE: u64 = 20 << 20;

/// Writes files that the budgets refuse, each for another reason.
fn made(folder: &Folder) -> Vec<PathBuf> {
    let changed = |name: &str, change: &dyn Fn(&mut ModelProto)| {
        let bytes = std::fs::read(micro_model("yolov8_micro.onnx")).expect("it is there");
        let mut model = ModelProto::decode(&bytes[..]).expect("a model");
        change(&mut model);
        folder.file(name, &model.encode_to_vec())
    };
    let nodes = |model: &mut ModelProto, all: Vec<_>| {
        model.graph.as_mut().expect("with a graph").node.extend(all);
    };
    let hole = std::fs::File::create(folder.path().join("hole.data")).expect("writable");
    hole.set_len(300 << 20).expect("a hole takes no place");
    let weights = |model: &mut ModelProto| {
        let graph = model.graph.as_mut().expect("with a graph");
        graph.initializer.extend((0..40).map(|number| TensorProto {
            name: format!("hole{number}"),
            dims: vec![75 << 20],
            data_type: DataType::Float as i32,
            data_location: Some(DataLocation::External as i32),
            external_data: vec![StringStringEntryProto {
                key: "location".into(),
                value: "hole.data".into(),
            }],
            ..Default::default()
        }));
    };
    let relus = (0..100_000).map(|i| node("Relu", &["images"], &format!("relu{i}")));
    let relus: Vec<_> = relus.collect();
    vec![
        changed("weights.onnx", &weights),
        changed("relus.onnx", &|model| nodes(model, relus.clone())),
        changed("audio.onnx", &|model| {
            nodes(model, vec![node("MelWeightMatrix", &["images"], "mel")]);
        }),
        folder.file("none.onnx", b"no model"),
    ]
}

fn hostile(folder: &Folder) -> Vec<PathBuf> {
    let mut files = made(folder);
    match std::env::var_os("DETECT_SHARED").map(PathBuf::from) {
        None => skipped("DETECT_SHARED does not name the folder of shared models"),
        Some(shared) => {
            let found = std::fs::read_dir(shared.join("field-cases/hostile"));
            let found = found.expect("the shared folder has hostile files");
            files.extend(found.map(|entry| entry.expect("an entry").path()));
        }
    }
    files
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse::<u64>().ok()).expect("VmRSS") * 1024
}

fn detect_of(pipeline: &gst::Pipeline) -> gst::Element {
    pipeline.by_name("detect").expect("it has this name")
}

/// Sets each of the files as the model, and waits until it is refused.
fn swap_to(files: &[PathBuf], pipeline: &gst::Pipeline) {
    let (detect, bus) = (detect_of(pipeline), pipeline.bus());
    let bus = bus.expect("a pipeline has a bus");
    let before: Option<String> = detect.property("model");
    let patience = gst::ClockTime::try_from(PATIENCE).expect("a minute");
    for file in files {
        detect.set_property("model", file.display().to_string());
        let kinds = [gst::MessageType::Warning, gst::MessageType::Error];
        let message = bus.timed_pop_filtered(patience, &kinds);
        let message = message.unwrap_or_else(|| panic!("{} is not refused", file.display()));
        assert_eq!(message.type_(), gst::MessageType::Warning, "{message:?}");
        let after: Option<String> = detect.property("model");
        assert_eq!(after, before, "the old model stays");
    }
}

/// Plays for as long as `meanwhile` takes, and returns how many frames came and how many of them late.
fn play(pipeline: &gst::Pipeline, meanwhile: impl FnOnce()) -> (usize, usize) {
    let ages = watch_ages(&detect_of(pipeline));
    meanwhile();
    let ages = std::mem::take(&mut *ages.lock().unwrap());
    let late = ages.iter().filter(|age| **age > LATE).count();
    (ages.len(), late)
}

#[test]
fn swaps_to_hostile_files_disturb_no_frame() {
    crate::support::init();
    let folder = Folder::new();
    let files = hostile(&folder);
    let pipeline = gst::parse::launch(
        "videotestsrc is-live=true ! video/x-raw,format=I420,width=640,height=360,framerate=30/1 \
         ! detect name=detect mode=passthrough threads=1 stats-interval=0 ! fakesink sync=true",
    );
    let pipeline = pipeline.expect("the pipeline is right");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    pipeline.set_state(gst::State::Playing).expect("it plays");
    // What the first refusals keep: code that was paged in, heaps of the threads that load.
    std::thread::sleep(Duration::from_secs(2));
    swap_to(&files, &pipeline);
    kept_in_one_of(TRIES, || {
        let before = resident();
        let (mut with, mut without) = (0, 0);
        for turn in 0..TURNS {
            let begin = std::time::Instant::now();
            let (frames, late) = play(&pipeline, || swap_to(&files, &pipeline));
            let lasted = begin.elapsed();
            let (control, late_without) = play(&pipeline, || std::thread::sleep(lasted));
            println!(
                "turn {turn}, {lasted:.1?}: {late} of {frames} late, without swaps {late_without} of {control}"
            );
            with += late;
            without += late_without;
        }
        let rise = resident().saturating_sub(before);
        println!("memory rose by {} KiB", rise / 1024);
        match (with <= without, rise <= MOST_RISE) {
            (true, true) => Ok(()),
            (false, _) => Err(format!("{with} frames late, {without} without swaps")),
            (_, false) => Err(format!("memory rose by {rise} bytes")),
        }
    });
    pipeline.set_state(gst::State::Null).expect("it stops");
}
