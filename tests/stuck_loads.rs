//! A load that does not end is given up after `load-timeout`: it is counted, and nobody waits for it. A process of its own,
//! because the count is one for the process; for the same reason one test runs at a time.
#![cfg(feature = "stub-engine")]

#[path = "support/mod.rs"]
mod support;

use gst::prelude::*;
use gstdetect::engine::stub::Control;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;
use support::{Folder, PATIENCE, Rig, Source, micro_model};

/// A limit that every load outlasts which waits at a gate.
const SHORT: u64 = 1_000_000;
const LONG: u64 = 600_000_000_000;

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A model whose loading waits at a closed gate, for its warm-up.
struct Stuck {
    path: PathBuf,
    control: Arc<Control>,
    _folder: Folder,
}

impl Stuck {
    fn new() -> Self {
        let folder = Folder::new();
        let path = folder.path().join("stuck.onnx");
        std::fs::copy(micro_model("yolov8_micro.onnx"), &path).expect("the micro model is there");
        let control = Control::for_model(Some(&path));
        control.close();
        Self {
            path,
            control,
            _folder: folder,
        }
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.control.open();
    }
}

fn text(message: &gst::Message) -> String {
    match message.view() {
        gst::MessageView::Error(error) => error.error().message().to_owned(),
        gst::MessageView::Warning(warning) => warning.error().message().to_owned(),
        _ => unreachable!("only errors and warnings are asked for"),
    }
}

fn wait_for_warning(rig: &Rig) -> String {
    text(&rig.wait_for_message(&[gst::MessageType::Warning]))
}

fn wait_for_error(rig: &Rig) -> String {
    text(&rig.wait_for_message(&[gst::MessageType::Error]))
}

/// Waits until so many loads of the process are stuck.
fn wait_for_stuck(rig: &Rig, count: u64) {
    rig.wait_for_stats(|stats| stats.stuck_loads == count);
}

/// A pipeline whose start has failed because its model waits at a gate.
fn not_started() -> Rig {
    let rig = Rig::stopped(&format!("mode=every load-timeout={SHORT}"), Source::File);
    rig.control.close();
    assert!(rig.element.set_state(gst::State::Paused).is_err());
    rig
}

#[test]
fn a_start_fails_after_the_limit_and_delays_nobody() {
    let _alone = alone();
    let rig = not_started();
    let error = wait_for_error(&rig);
    assert!(
        error.contains("micro.onnx") && error.contains("load-timeout"),
        "{error}"
    );
    assert_eq!(rig.stats().stuck_loads, 1);
    rig.element.set_state(gst::State::Null).unwrap();
    let other = Rig::with_source("mode=every", Source::File);
    other.push(0).unwrap();
    other.wait_for_frames(1);
    assert_eq!(other.stats().stuck_loads, 1, "the count of the process");
    assert!(rig.control.wait_until_running(), "it waits at the gate");
    rig.control.open();
    wait_for_stuck(&rig, 0);
    rig.element.set_property("load-timeout", LONG);
    rig.element.set_state(gst::State::Playing).unwrap();
    rig.begin();
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
}

#[test]
fn a_swap_is_given_up_and_the_next_one_does_not_wait_for_it() {
    let _alone = alone();
    let rig = Rig::with_source("mode=every", Source::File);
    let before = rig.wait_for_model();
    let stuck = Stuck::new();
    rig.element.set_property("load-timeout", SHORT);
    rig.element.set_property("model", stuck.name());
    let warning = wait_for_warning(&rig);
    for part in [
        &stuck.name(),
        "load-timeout",
        "The model in use stays",
        &before,
    ] {
        assert!(warning.contains(part), "{part} in {warning}");
    }
    assert_eq!(rig.element.property::<String>("model"), before);
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    rig.element.set_property("load-timeout", LONG);
    let good = Stuck::new();
    good.control.open();
    rig.element.set_property("model", good.name());
    assert_eq!(rig.wait_for_model(), good.name());
    assert_eq!(rig.stats().stuck_loads, 1);
    rig.element.set_state(gst::State::Null).unwrap();
    assert!(stuck.control.wait_until_running(), "it waits at the gate");
    stuck.control.open();
    wait_for_stuck(&rig, 0);
    rig.assert_no_error();
}

#[test]
fn with_two_stuck_loads_no_other_is_begun() {
    let _alone = alone();
    let rig = Rig::with_source("mode=every", Source::File);
    let before = rig.wait_for_model();
    let stuck = [Stuck::new(), Stuck::new()];
    rig.element.set_property("load-timeout", SHORT);
    for model in &stuck {
        rig.element.set_property("model", model.name());
        assert!(wait_for_warning(&rig).contains("load-timeout"));
    }
    rig.element.set_property("load-timeout", LONG);
    let third = Stuck::new();
    rig.element.set_property("model", third.name());
    let warning = wait_for_warning(&rig);
    assert!(warning.contains("2 earlier loads"), "{warning}");
    assert_eq!(rig.element.property::<String>("model"), before);
    let other = Rig::stopped("mode=every", Source::File);
    assert!(other.element.set_state(gst::State::Paused).is_err());
    let error = wait_for_error(&other);
    assert!(error.contains("2 earlier loads"), "{error}");
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    assert_eq!(rig.stats().stuck_loads, 2);
    // When one of them ends, there is room for another.
    stuck[0].control.open();
    wait_for_stuck(&rig, 1);
    other.element.set_state(gst::State::Paused).unwrap();
    assert_eq!(third.control.started(), 0, "it was refused, not delayed");
    stuck[1].control.open();
    wait_for_stuck(&rig, 0);
}

#[test]
fn a_size_is_given_up_and_frames_go_on_at_the_old_one() {
    let _alone = alone();
    let rig = Rig::of_model("free_size.onnx", "mode=every", Source::File);
    rig.element.set_state(gst::State::Playing).unwrap();
    rig.begin();
    rig.wait_for_model();
    rig.control.close();
    rig.element.set_property("load-timeout", SHORT);
    rig.push(0).unwrap();
    let warning = wait_for_warning(&rig);
    assert!(
        warning.contains("640x480") && warning.contains("load-timeout"),
        "{warning}"
    );
    rig.control.open();
    rig.wait_for_frames(1);
    wait_for_stuck(&rig, 0);
    let info: gst::Structure = rig.element.property("model-info");
    assert_eq!(info.get::<u32>("input-height"), Ok(640));
    rig.assert_no_error();
}

const CHILD: &str = "DETECT_STUCK_CHILD";

#[test]
fn the_process_ends_while_a_load_is_stuck() {
    let _alone = alone();
    if std::env::var_os(CHILD).is_some() {
        let rig = not_started();
        assert!(rig.control.wait_until_running());
        std::mem::forget(rig); // its gate stays closed
        return;
    }
    let mut child = Command::new(std::env::current_exe().expect("the path of this test"));
    child
        .args(["--exact", "the_process_ends_while_a_load_is_stuck"])
        .env(CHILD, "1");
    let (tell, ended) = mpsc::channel();
    std::thread::spawn(move || tell.send(child.output()));
    let output = ended.recv_timeout(PATIENCE + Duration::from_secs(10));
    let output = output.expect("it has ended").expect("it has started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}
