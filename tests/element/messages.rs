//! Messages of the element: the model, statistics, boxes, dropped frames.

use crate::support::{self, Rig, Source, one_dog};
use gst::glib;
use gst::prelude::*;
use gstdetect::bridge::message::{DETECTIONS, DetectModel, DetectStats, MODEL, STATS};
use gstdetect::bridge::meta;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[test]
fn a_model_is_announced_once_it_is_ready() {
    let rig = Rig::new("");
    let models = rig.messages(MODEL);
    let [model] = models.as_slice() else {
        panic!("one message, not {models:?}");
    };
    assert!(model.get::<&str>("path").unwrap().ends_with("micro.onnx"));
    assert_eq!(model.get::<u32>("input-width"), Ok(32));
    assert_eq!(model.get::<u32>("classes"), Ok(2));
    assert_eq!(model.get::<&str>("engine"), Ok("stub"));
    assert!(model.get::<u64>("load-time").unwrap() > 0);
    let info: gst::Structure = rig.element.property("model-info");
    let labels = info.get::<gst::Array>("labels").unwrap();
    let labels: Vec<_> = labels.iter().map(|l| l.get::<&str>().unwrap()).collect();
    assert_eq!(labels, ["cat", "dog"]);
}

/// In C as in Python only GLib's own types and GStreamer's arrays and structures can be read.
#[test]
fn every_field_of_a_model_has_a_type_that_any_language_reads() {
    let rig = Rig::new("classes=dog=0.3");
    let model = rig.messages(MODEL).remove(0);
    let types: BTreeMap<&str, glib::Type> = model
        .iter()
        .map(|(name, value)| (name.as_str(), value.type_()))
        .collect();
    let text = ["path", "family", "engine", "engine-reason", "labels-source"];
    let number = [
        "input-width",
        "input-height",
        "classes",
        "max-detections",
        "min-size",
    ];
    let arrays = [
        "decisions",
        "guessed",
        "rewritten",
        "warnings",
        "kept-classes",
    ];
    let expected = text
        .map(|name| (name, glib::Type::STRING))
        .into_iter()
        .chain(number.map(|name| (name, glib::Type::U32)))
        .chain(arrays.map(|name| (name, gst::Array::static_type())))
        .chain(["score-threshold", "iou-threshold"].map(|name| (name, glib::Type::F64)))
        .chain(["load-time", "warm-up-time"].map(|name| (name, glib::Type::U64)))
        .chain([("class-agnostic-nms", glib::Type::BOOL)]);
    let mut expected: BTreeMap<&str, glib::Type> = expected.collect();
    if types.contains_key("running-time") {
        expected.insert("running-time", glib::Type::U64);
    }
    assert_eq!(types, expected);
    let written = model.to_string();
    let read: gst::Structure = written.parse().expect("as gst-launch-1.0 -m prints it");
    assert_eq!(
        DetectModel::from_structure(&read),
        DetectModel::from_structure(&model)
    );
}

#[test]
fn every_decision_says_what_why_and_whether_it_is_a_guess() {
    let rig = Rig::new("");
    let info: gst::Structure = rig.element.property("model-info");
    let decisions = info.get::<gst::Array>("decisions").expect("an array");
    let mut topics = Vec::new();
    let mut guessed = Vec::new();
    for decision in decisions.iter() {
        let decision = decision.get::<gst::Structure>().expect("of structures");
        assert_eq!(decision.name(), "decision");
        let text = |field| decision.get::<String>(field).expect("a text");
        assert!(
            !text("value").is_empty() && !text("reason").is_empty(),
            "{decision}"
        );
        if decision.get::<bool>("guessed").expect("yes or no") {
            guessed.push(format!(
                "{}: {} ({})",
                text("topic"),
                text("value"),
                text("reason")
            ));
        }
        topics.push(text("topic"));
    }
    for topic in ["family", "labels", "thresholds", "colour", "resize"] {
        assert!(
            topics.iter().any(|t| t == topic),
            "no {topic} in {topics:?}"
        );
    }
    assert!(
        guessed
            .iter()
            .any(|text| text.starts_with("thresholds: score 0.4"))
    );
    let as_text = info.get::<gst::Array>("guessed").expect("an array");
    let as_text: Vec<_> = as_text
        .iter()
        .map(|t| t.get::<String>().expect("a text"))
        .collect();
    assert_eq!(as_text, guessed);
}

#[test]
fn boxes_are_on_the_buffer_and_on_the_bus_with_the_same_numbers() {
    let rig = Rig::new("post-detections=true score-threshold=0.5");
    rig.control.set_script(|_| Ok(one_dog()));
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    // 64x48 in 32x32: half the size, 4 rows of padding above.
    let (x, y, w, h) = (24, 8, 16, 32);
    let rois = meta::read(&rig.buffers()[0]);
    let [roi] = rois.as_slice() else {
        panic!("one box, not {rois:?}");
    };
    assert_eq!((roi.x, roi.y, roi.width, roi.height), (x, y, w, h));
    assert_eq!(roi.label, "dog");
    assert_eq!(roi.score, Some(0.75));
    let messages = rig.messages(DETECTIONS);
    assert_eq!(messages[0].get::<u64>("timestamp"), Ok(0));
    let detections = messages[0].get::<gst::Array>("detections").unwrap();
    let detection = detections[0].get::<gst::Structure>().unwrap();
    assert_eq!(detection.name(), "detection");
    assert_eq!(detection.get::<&str>("label"), Ok("dog"));
    assert_eq!(detection.get::<i32>("label_id"), Ok(1));
    assert_eq!(detection.get::<f64>("confidence"), Ok(0.75));
    assert_eq!(detection.get::<f64>("x_min"), Ok(24.0 / 64.0));
    assert_eq!(detection.get::<f64>("y_max"), Ok(40.0 / 48.0));
}

#[test]
fn detections_are_numbered_through_the_stream() {
    let rig = Rig::new("score-threshold=0.5");
    rig.control.set_script(|_| Ok(one_dog()));
    for number in 0..3 {
        rig.push(number).unwrap();
        rig.wait_for_frames(number as usize + 1);
    }
    let ids: Vec<_> = rig.buffers().iter().map(|b| meta::read(b)[0].id).collect();
    assert_eq!(ids, [1, 2, 3]);
}

#[test]
fn thresholds_change_while_playing() {
    let rig = Rig::new("score-threshold=0.8");
    rig.control.set_script(|_| Ok(one_dog()));
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    rig.element.set_property("score-threshold", 0.75f32);
    rig.push(1).unwrap();
    rig.wait_for_frames(2);
    let counts: Vec<_> = rig.buffers().iter().map(|b| meta::read(b).len()).collect();
    assert_eq!(counts, [0, 1], "the threshold is inclusive");
}

#[test]
fn statistics_come_at_their_interval_and_at_eos() {
    let rig = Rig::new("stats-interval=20000000");
    rig.push(0).unwrap();
    let posted = rig.wait_for_message(&[gst::MessageType::Element]);
    assert_eq!(posted.structure().unwrap().name(), MODEL);
    // Where the test is slow there are some from before the frame.
    loop {
        let posted = rig.wait_for_message(&[gst::MessageType::Element]);
        let stats = DetectStats::from_structure(posted.structure().unwrap()).unwrap();
        match stats.snapshot.counters.received {
            0 => {}
            received => break assert_eq!(received, 1),
        }
    }
    rig.event(gst::event::Eos::new());
    rig.wait_for_eos();
    let last = rig
        .messages(STATS)
        .pop()
        .expect("the last ones come before EOS");
    assert_eq!(last.get::<u64>("pushed"), Ok(1));
}

#[test]
fn a_short_interval_of_statistics_reads_back_as_ten_milliseconds() {
    let rig = Rig::new("stats-interval=1");
    assert_eq!(rig.element.property::<u64>("stats-interval"), 10_000_000);
    for (set, read) in [(0, 0), (9_999_999, 10_000_000), (10_000_001, 10_000_001)] {
        rig.element.set_property("stats-interval", set as u64);
        assert_eq!(rig.element.property::<u64>("stats-interval"), read);
    }
}

#[test]
fn no_statistics_are_posted_when_none_are_wanted() {
    let rig = Rig::new("stats-interval=0");
    rig.push(0).unwrap();
    rig.event(gst::event::Eos::new());
    rig.wait_for_eos();
    assert!(rig.messages(STATS).is_empty());
}

#[test]
fn stage_times_are_those_of_the_stages() {
    let rig = Rig::new("");
    rig.control.set_duration(Duration::from_millis(30));
    let begin = Instant::now();
    for number in 0..3 {
        rig.push(number).unwrap();
        rig.wait_for_stats(|s| s.snapshot.counters.pushed == number + 1);
    }
    let taken = begin.elapsed();
    let snapshot = rig.stats().snapshot;
    let model = snapshot.model.unwrap();
    let total = snapshot.total.unwrap();
    assert!(model.p50 >= Duration::from_millis(30));
    assert!(total.p50 >= model.p50);
    // No time counts twice: one frame after the other, all stages together took no longer than the test.
    let stages = [
        snapshot.wait_mean,
        snapshot.preprocess_mean,
        snapshot.model_mean,
        snapshot.postprocess_mean,
    ];
    let stages: Duration = stages.map(Option::unwrap).iter().sum();
    assert!(stages * 3 <= taken, "{snapshot:?} in {taken:?}");
}

#[test]
fn age_is_told_of_a_live_source_only() {
    for (source, told) in [(Source::LIVE, true), (Source::File, false)] {
        let rig = Rig::with_source("", source);
        rig.push(0).unwrap();
        rig.wait_for_stats(|s| s.snapshot.counters.pushed == 1);
        assert_eq!(rig.stats().snapshot.age.is_some(), told, "{source:?}");
    }
}

#[test]
fn dropped_frames_post_qos_at_most_once_a_second() {
    let rig = Rig::new("mode=newest");
    rig.control.close();
    let begin = Instant::now();
    rig.push(0).unwrap();
    assert!(rig.control.wait_until_running());
    for number in 1..50 {
        rig.push(number).unwrap();
    }
    rig.control.open();
    rig.wait_for_frames(2);
    let mut posted = Vec::new();
    while let Some(message) = rig.bus.pop_filtered(&[gst::MessageType::Qos]) {
        posted.push(message);
    }
    let most = 3 + begin.elapsed().as_secs() as usize;
    assert!((1..=most).contains(&posted.len()), "{posted:?}");
    let gst::MessageView::Qos(qos) = posted[0].view() else {
        unreachable!("only QoS messages were asked for");
    };
    let (live, running_time, ..) = qos.get();
    assert!(live);
    assert_eq!(
        running_time,
        Some(support::FRAME),
        "of frame 1, the first displaced"
    );
}
