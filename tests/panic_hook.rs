//! Panics of engines go to GStreamer's log, all others to the hook that the program has set. A process of its own, as a
//! process has one hook.
#![cfg(feature = "stub-engine")]

#[path = "support/mod.rs"]
mod support;

use gst::prelude::*;
use std::panic;
use std::sync::{Arc, Mutex};
use std::thread;
use support::{Rig, Source};

type Texts = Arc<Mutex<Vec<String>>>;

fn count(texts: &Texts, text: &str) -> usize {
    let texts = texts.lock().expect("no panic while it is held");
    texts.iter().filter(|kept| kept.contains(text)).count()
}

fn note(texts: &Texts, text: String) {
    texts.lock().expect("no panic while it is held").push(text);
}

/// The texts of panics that come to the hook of the program.
fn hook_of_program() -> Texts {
    let (texts, before) = (Texts::default(), panic::take_hook());
    let kept = texts.clone();
    panic::set_hook(Box::new(move |info| {
        note(&kept, info.payload_as_str().unwrap_or_default().to_owned());
        before(info);
    }));
    texts
}

/// The lines that the element writes to GStreamer's log.
fn log_of_gstreamer() -> Texts {
    let texts = Texts::default();
    let kept = texts.clone();
    gst::log::set_threshold_for_name("detect", gst::DebugLevel::Warning);
    gst::log::add_log_function(move |category, _, _, _, _, _, message| {
        let line = message.get().map(|line| line.to_string());
        if category.name() == "detect" {
            note(&kept, line.unwrap_or_default());
        }
    });
    texts
}

fn wait_for_error(rig: &Rig) {
    rig.wait_for_message(&[gst::MessageType::Error]);
}

#[test]
fn panics_of_engines_go_to_the_log_and_all_others_to_the_hook_of_the_program() {
    support::init();
    let (passed_on, logged) = (hook_of_program(), log_of_gstreamer());

    let rig = Rig::stopped("", Source::LIVE);
    rig.control.set_script(|_| panic!("in the first run"));
    assert!(rig.element.set_state(gst::State::Playing).is_err());
    wait_for_error(&rig);

    let rig = Rig::new("");
    rig.control.set_script(|_| {
        let beside = thread::scope(|scope| scope.spawn(|| panic!("beside the engine")).join());
        assert!(beside.is_err());
        panic!("while frames flow")
    });
    rig.push(0).expect("nobody knows yet");
    wait_for_error(&rig);

    let helper = thread::Builder::new().name("convnet-7".into());
    let helper = helper.spawn(|| panic!("in a helper of an engine"));
    assert!(helper.expect("a thread").join().is_err());
    let program = thread::Builder::new().name("detect-program".into());
    let program = program.spawn(|| panic!("of the program"));
    assert!(program.expect("a thread").join().is_err());
    assert!(panic::catch_unwind(|| panic!("after all calls")).is_err());

    for text in [
        "in the first run",
        "while frames flow",
        "in a helper of an engine",
    ] {
        assert_eq!(count(&passed_on, text), 0, "{text}");
        let told = format!("is caught: {text} (");
        assert_eq!(count(&logged, &told), 1, "{text}: {logged:?}");
    }
    for text in ["beside the engine", "of the program", "after all calls"] {
        assert_eq!(count(&passed_on, text), 1, "{text}: {passed_on:?}");
        assert_eq!(count(&logged, text), 0, "{text}");
    }
}
