//! Another model while frames are under way, several workers, and the processors they may use.

use crate::support::{Folder, Rig, Source, micro_model, nothing, one_dog};
use gst::prelude::*;
use gstdetect::bridge::message::MODEL;
use gstdetect::bridge::meta;
use gstdetect::engine::stub::Control;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A second model in a folder of its own, and the control of its engine.
struct Other {
    path: PathBuf,
    control: Arc<Control>,
    _folder: Folder,
}

impl Other {
    fn new() -> Self {
        let folder = Folder::new();
        let path = folder.path().join("other.onnx");
        std::fs::copy(micro_model("yolov8_micro.onnx"), &path).expect("the micro model is there");
        Self {
            control: Control::for_model(Some(&path)),
            path,
            _folder: folder,
        }
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

fn model_of(rig: &Rig) -> String {
    let path: Option<PathBuf> = rig.element.property("model");
    path.map(|p| p.display().to_string()).unwrap_or_default()
}

fn wait_for_warning(rig: &Rig) -> String {
    let message = rig.wait_for_message(&[gst::MessageType::Warning]);
    match message.view() {
        gst::MessageView::Warning(warning) => warning.error().message().to_owned(),
        _ => unreachable!("only warnings were asked for"),
    }
}

#[test]
fn frames_go_on_with_the_old_model_until_the_new_one_is_ready() {
    let rig = Rig::new("mode=every");
    assert!(rig.wait_for_model().ends_with("micro.onnx"));
    rig.control.set_script(|_| Ok(nothing()));
    let other = Other::new();
    other.control.set_script(|_| Ok(one_dog()));
    other.control.close(); // its warm-up waits
    rig.element.set_property("model", other.name());
    assert!(other.control.wait_until_running());
    for number in 0..5 {
        rig.push(number).unwrap();
    }
    rig.wait_for_frames(5);
    other.control.open();
    assert_eq!(rig.wait_for_model(), other.name());
    rig.push(5).unwrap();
    rig.wait_for_frames(6);
    let found: Vec<_> = rig.buffers().iter().map(|b| meta::read(b).len()).collect();
    assert_eq!(found, [0, 0, 0, 0, 0, 1]);
    assert_eq!(rig.stats().snapshot.counters.dropped(), 0);
    rig.assert_no_error();
}

#[test]
fn a_swap_waits_for_no_inference_and_the_one_under_way_ends_with_its_model() {
    let rig = Rig::new("mode=every");
    rig.wait_for_model();
    rig.control.set_script(|_| Ok(one_dog()));
    rig.control.close();
    rig.push(0).unwrap();
    assert!(rig.control.wait_until_running());
    let other = Other::new();
    rig.element.set_property("model", other.name());
    assert_eq!(rig.wait_for_model(), other.name());
    rig.push(1).unwrap();
    rig.control.open();
    rig.wait_for_frames(2);
    let found: Vec<_> = rig.buffers().iter().map(|b| meta::read(b).len()).collect();
    assert_eq!(found, [1, 0]);
}

#[test]
fn a_model_that_cannot_be_used_is_warned_of_and_the_old_one_stays() {
    let rig = Rig::new("mode=every");
    rig.wait_for_model();
    let before = model_of(&rig);
    let folder = Folder::new();
    let broken = folder.file("broken.onnx", b"no model");
    let missing = folder.path().join("missing.onnx");
    for bad in [broken, missing] {
        rig.element.set_property("model", bad.display().to_string());
        let warning = wait_for_warning(&rig);
        let name = bad.display().to_string();
        assert!(
            warning.contains(&name) && warning.contains(&before),
            "{warning}"
        );
        assert_eq!(
            model_of(&rig),
            before,
            "the property tells the model in use"
        );
    }
    rig.control.set_script(|_| Ok(one_dog()));
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    assert_eq!(meta::read(&rig.buffers()[0]).len(), 1);
    rig.assert_no_error();
}

#[test]
fn an_engine_that_panics_while_it_is_tried_changes_nothing() {
    let rig = Rig::new("mode=every");
    rig.wait_for_model();
    let other = Other::new();
    other.control.set_script(|_| panic!("not today"));
    rig.element.set_property("model", other.name());
    assert!(wait_for_warning(&rig).contains("not today"));
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    rig.assert_no_error();
}

#[test]
fn of_many_requests_the_last_one_counts() {
    let rig = Rig::new("mode=every");
    rig.wait_for_model();
    let others: Vec<_> = (0..4).map(|_| Other::new()).collect();
    others[0].control.close();
    rig.element.set_property("model", others[0].name());
    assert!(others[0].control.wait_until_running());
    for other in &others[1..] {
        rig.element.set_property("model", other.name());
    }
    others[3].control.set_script(|_| Ok(one_dog()));
    others[0].control.open();
    assert_eq!(rig.wait_for_model(), others[3].name());
    assert_eq!(others[1].control.started() + others[2].control.started(), 0);
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    assert_eq!(meta::read(&rig.buffers()[0]).len(), 1);
}

#[test]
fn the_same_path_set_again_is_read_again() {
    let rig = Rig::new("mode=every");
    let path = rig.wait_for_model();
    let labels = PathBuf::from(&path).with_extension("labels.txt");
    std::fs::write(&labels, "chat\nchien\n").unwrap();
    rig.element
        .set_property("labels", labels.display().to_string());
    rig.element.set_property("model", &path);
    assert_eq!(rig.wait_for_model(), path);
    rig.control.set_script(|_| Ok(one_dog()));
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    assert_eq!(meta::read(&rig.buffers()[0])[0].label, "chien");
}

/// Labels of all boxes of each frame that has come out.
fn labels(rig: &Rig) -> Vec<Vec<String>> {
    let of = |buffer: &gst::Buffer| {
        meta::read(buffer)
            .into_iter()
            .map(|roi| roi.label)
            .collect()
    };
    rig.buffers().iter().map(of).collect()
}

#[test]
fn classes_of_a_model_on_its_way_wait_for_it() {
    let rig = Rig::with_source("mode=every classes=dog", Source::File);
    rig.wait_for_model();
    rig.control.set_script(|_| Ok(one_dog()));
    let other = Other::new();
    let labels_file = other.path.with_extension("labels.txt");
    std::fs::write(&labels_file, "chat\nchien\n").unwrap();
    rig.element
        .set_property("labels", labels_file.display().to_string());
    other.control.set_script(|_| Ok(one_dog()));
    other.control.close();
    rig.element.set_property("model", other.name());
    assert!(other.control.wait_until_running());
    rig.element.set_property("classes", "chien");
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    other.control.open();
    assert_eq!(rig.wait_for_model(), other.name());
    rig.push(1).unwrap();
    rig.wait_for_frames(2);
    assert_eq!(labels(&rig), [["dog"], ["chien"]]);
    rig.assert_no_error();
    // It is here: others are refused again.
    rig.element.set_property("classes", "dog");
    wait_for_warning(&rig);
    let classes: Option<String> = rig.element.property("classes");
    assert_eq!(classes.as_deref(), Some("chien"));
}

#[test]
fn classes_of_a_model_that_did_not_come_go_again() {
    let rig = Rig::with_source("mode=every classes=dog", Source::File);
    rig.wait_for_model();
    rig.control.set_script(|_| Ok(one_dog()));
    let other = Other::new();
    other.control.set_script(|_| panic!("not today"));
    other.control.close();
    rig.element.set_property("model", other.name());
    assert!(other.control.wait_until_running());
    rig.element.set_property("classes", "chien");
    other.control.open();
    assert!(wait_for_warning(&rig).contains("not today"));
    assert!(wait_for_warning(&rig).contains("chien"));
    let classes: Option<String> = rig.element.property("classes");
    assert_eq!(classes.as_deref(), Some("dog"));
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    assert_eq!(labels(&rig), [["dog"]]);
    rig.assert_no_error();
}

#[test]
fn stopping_does_not_wait_for_a_model_that_loads() {
    for _ in 0..20 {
        let rig = Rig::new("mode=every");
        let other = Other::new();
        other.control.close();
        rig.element.set_property("model", other.name());
        assert!(other.control.wait_until_running());
        rig.element.set_state(gst::State::Null).unwrap();
        // What was loading is of no use any more: not even after a new start.
        rig.element.set_property("model", rig_model(&rig));
        rig.element.set_state(gst::State::Playing).unwrap();
        other.control.open();
        rig.begin();
        rig.push(0).unwrap();
        rig.wait_for_frames(1);
        assert_eq!(other.control.started(), 1, "its warm-up alone");
    }
}

/// The model that the rig was made with.
fn rig_model(rig: &Rig) -> String {
    let info: gst::Structure = rig.element.property("model-info");
    info.get::<String>("path").expect("a model is loaded")
}

#[test]
fn a_model_set_before_the_start_is_no_swap() {
    let rig = Rig::stopped("mode=every", Source::File);
    let other = Other::new();
    rig.element.set_property("model", other.name());
    rig.element.set_state(gst::State::Playing).unwrap();
    assert_eq!(rig.wait_for_model(), other.name());
    assert!(rig.messages(MODEL).is_empty(), "loaded once");
}

#[test]
fn several_workers_analyse_at_the_same_time_and_frames_leave_in_order() {
    let rig = Rig::with_source("mode=every workers=3", Source::File);
    rig.control.close();
    let warm_ups = rig.control.started();
    let pushing = rig.push_from_thread(0..20);
    assert!(rig.control.wait_until_started(warm_ups + 3));
    rig.control.open();
    assert!(pushing.join().unwrap().is_ok());
    assert_eq!(rig.wait_for_frames(20), (0..20).collect::<Vec<_>>());
}

#[test]
fn every_worker_takes_the_new_model() {
    let rig = Rig::with_source("mode=every workers=3", Source::File);
    rig.wait_for_model();
    let other = Other::new();
    rig.element.set_property("model", other.name());
    assert_eq!(rig.wait_for_model(), other.name());
    let before = rig.control.started();
    let warm_ups = other.control.started();
    other.control.close();
    let pushing = rig.push_from_thread(0..3);
    assert!(other.control.wait_until_started(warm_ups + 3));
    other.control.open();
    assert!(pushing.join().unwrap().is_ok());
    rig.wait_for_frames(3);
    assert_eq!(rig.control.started(), before);
}

#[test]
fn a_swap_keeps_the_number_of_workers() {
    for (before, after) in [(3u32, 1u32), (1, 3)] {
        let rig = Rig::with_source(&format!("mode=every workers={before}"), Source::File);
        rig.wait_for_model();
        let other = Other::new();
        rig.element.set_property("workers", after);
        rig.element.set_property("model", other.name());
        assert_eq!(rig.wait_for_model(), other.name());
        let old = rig.control.started();
        let pushing = rig.push_from_thread(0..12);
        assert!(pushing.join().unwrap().is_ok());
        rig.wait_for_frames(12);
        assert_eq!(rig.control.started(), old, "every worker has the new model");
        rig.assert_no_error();
    }
}

#[test]
fn the_declared_delay_counts_the_wait_for_the_frames_before() {
    let rig = Rig::new("mode=every workers=2");
    rig.control.close();
    let warm_ups = rig.control.started();
    rig.push(0).unwrap();
    rig.push(1).unwrap();
    assert!(rig.control.wait_until_started(warm_ups + 2));
    rig.control.set_duration(Duration::ZERO);
    rig.control.open();
    rig.wait_for_frames(2);
    let stats = rig.stats();
    assert!(stats.latency > Duration::ZERO);
}

#[test]
fn processors_that_are_not_there_are_refused_with_those_that_are() {
    for (list, expected) in [
        ("1023", "this process has no such processor; it has 0"),
        ("two", "\"two\", expected a list"),
    ] {
        let rig = Rig::stopped(&format!("cpu-affinity={list}"), Source::File);
        assert!(rig.element.set_state(gst::State::Paused).is_err());
        let message = rig.wait_for_message(&[gst::MessageType::Error]);
        let gst::MessageView::Error(error) = message.view() else {
            unreachable!("only errors were asked for");
        };
        assert!(error.error().matches(gst::LibraryError::Settings));
        assert!(error.error().message().contains(expected), "{error:?}");
    }
}

#[test]
fn inference_keeps_to_its_processors() {
    use gstdetect::host::affinity::Processors;
    let rig = Rig::with_source("mode=every cpu-affinity=0", Source::File);
    let (tell, told) = std::sync::mpsc::channel();
    rig.control.set_script(move |_| {
        tell.send(Processors::of_this_thread())
            .expect("the test listens");
        Ok(nothing())
    });
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    let used = told.recv().unwrap().unwrap();
    assert_eq!(used.to_string(), "0");
    let own = Processors::of_this_thread().unwrap();
    assert!(own.count() > 1 || std::thread::available_parallelism().unwrap().get() == 1);
}

#[test]
fn the_processors_of_one_load_are_not_those_of_the_next() {
    use gstdetect::host::affinity::Processors;
    let own = Processors::of_this_thread().unwrap();
    for (list, expected) in [("cpu-affinity=0", "0"), ("", &own.to_string())] {
        let rig = Rig::stopped(list, Source::File);
        let (tell, told) = std::sync::mpsc::channel();
        rig.control.set_script(move |_| {
            tell.send(Processors::of_this_thread())
                .expect("the test listens");
            Ok(nothing())
        });
        rig.element.set_state(gst::State::Paused).unwrap();
        let used = told.recv().unwrap().unwrap();
        assert_eq!(used.to_string(), expected, "of the warm-up");
    }
}
