//! Which boxes are reported: classes and their thresholds, suppression across classes, the least size. All may be
//! changed while playing, and hold from the next frame on.

use crate::support::{Rig, Source};
use gst::prelude::*;
use gstdetect::base::tensor::Tensor;
use gstdetect::bridge::message::{DetectModel, MODEL};
use gstdetect::bridge::meta;

/// A candidate of the micro model (`[1, 4 + 2, 21]`, input 32x32): centre, sides, scores of cat and dog.
type Candidate = [f32; 6];

/// On the rig's frames of 64x48 everything is twice as large.
const LEFT: Candidate = [8.0, 16.0, 8.0, 8.0, 0.9, 0.6];
const RIGHT: Candidate = [24.0, 16.0, 8.0, 4.0, 0.2, 0.7];
const OVER_RIGHT: Candidate = [24.0, 16.5, 8.0, 4.0, 0.5, 0.1];

fn outputs(candidates: &[Candidate]) -> Vec<Tensor> {
    let mut data = vec![0.0; 6 * 21];
    for (column, candidate) in candidates.iter().enumerate() {
        for (row, value) in candidate.iter().enumerate() {
            data[row * 21 + column] = *value;
        }
    }
    vec![Tensor::f32("output0", [1, 6, 21], data)]
}

/// A rig whose model always finds these.
fn rig(properties: &str, candidates: &'static [Candidate]) -> Rig {
    let rig = Rig::new(properties);
    rig.control.set_script(|_| Ok(outputs(candidates)));
    rig
}

/// Label and score of every box on the next frame, best first.
fn next_frame(rig: &Rig) -> Vec<(String, f64)> {
    let number = rig.numbers().len();
    rig.push(number as u64).expect("it plays");
    rig.wait_for_frames(number + 1);
    let rois = meta::read(&rig.buffers()[number]);
    let in_hundredths = |score: f64| (score * 100.0).round() / 100.0;
    rois.into_iter()
        .map(|roi| (roi.label, in_hundredths(roi.score.expect("a score"))))
        .collect()
}

fn found(expected: &[(&str, f64)]) -> Vec<(String, f64)> {
    let owned = |(label, score): &(&str, f64)| ((*label).to_owned(), *score);
    expected.iter().map(owned).collect()
}

#[test]
fn only_the_classes_asked_for_are_reported_from_the_next_frame_on() {
    let rig = rig("", &[LEFT, RIGHT]);
    let all = found(&[("cat", 0.9), ("dog", 0.7)]);
    assert_eq!(next_frame(&rig), all);
    for classes in ["cat", "0", "'cat'"] {
        rig.element.set_property("classes", classes);
        assert_eq!(next_frame(&rig), found(&[("cat", 0.9)]), "{classes}");
        assert_eq!(rig.element.property::<String>("classes"), classes);
    }
    rig.element.set_property("classes", "dog , 0");
    assert_eq!(next_frame(&rig), all);
    for none in [Some("cat"), None, Some("cat"), Some(" ")] {
        rig.element.set_property("classes", none);
        let frame = next_frame(&rig);
        assert_eq!(
            frame.len(),
            if none == Some("cat") { 1 } else { 2 },
            "{none:?}"
        );
    }
    rig.assert_no_error();
}

#[test]
fn a_class_that_is_not_wanted_hides_none_that_is() {
    let rig = rig("classes=dog", &[LEFT, RIGHT]);
    // The left one is rather a cat.
    let dogs = found(&[("dog", 0.7), ("dog", 0.6)]);
    assert_eq!(next_frame(&rig), dogs);
    // Nor does a cat that is below the threshold of cats.
    rig.element.set_property("classes", "cat=0.95,dog");
    assert_eq!(next_frame(&rig), dogs);
}

#[test]
fn a_class_may_have_a_lower_and_a_higher_threshold_than_the_others() {
    let rig = rig("score-threshold=0.8 classes=cat,dog=0.65", &[LEFT, RIGHT]);
    assert_eq!(next_frame(&rig), found(&[("cat", 0.9), ("dog", 0.7)]));
    rig.element.set_property("classes", "cat=0.91,dog=0.7");
    assert_eq!(next_frame(&rig), found(&[("dog", 0.7)]), "inclusive");
    rig.element.set_property("classes", "cat,dog=0.71");
    assert_eq!(next_frame(&rig), found(&[("cat", 0.9)]));
    // The general threshold is that of the classes without one, also when it changes later.
    rig.element.set_property("score-threshold", 0.95f32);
    assert_eq!(next_frame(&rig), []);
    rig.element.set_property("score-threshold", 0.1f32);
    assert_eq!(next_frame(&rig), found(&[("cat", 0.9), ("cat", 0.2)]));
}

#[test]
fn classes_are_chosen_before_boxes_are_counted_and_suppressed() {
    let rig = rig("max-detections=1 classes=dog", &[OVER_RIGHT, RIGHT]);
    assert_eq!(next_frame(&rig), found(&[("dog", 0.7)]));
    rig.element.set_property("class-agnostic-nms", true);
    rig.element.set_property("classes", "cat");
    assert_eq!(
        next_frame(&rig),
        found(&[("cat", 0.5)]),
        "the dog is not there"
    );
}

#[test]
fn boxes_of_different_classes_remove_each_other_when_asked() {
    let rig = rig("", &[RIGHT, OVER_RIGHT]);
    let both = found(&[("dog", 0.7), ("cat", 0.5)]);
    assert_eq!(next_frame(&rig), both);
    rig.element.set_property("class-agnostic-nms", true);
    assert_eq!(next_frame(&rig), found(&[("dog", 0.7)]));
    // Theirs is 7 / 9.
    rig.element.set_property("iou-threshold", 0.8f32);
    assert_eq!(next_frame(&rig), both);
}

#[test]
fn small_boxes_are_not_reported_when_a_size_is_asked_for() {
    // 16x16 and 16x8 pixels of the frame.
    let rig = rig("min-size=9", &[LEFT, RIGHT]);
    assert_eq!(next_frame(&rig), found(&[("cat", 0.9)]));
    for (least, boxes) in [(8, 2), (9, 1), (16, 1), (17, 0), (u32::MAX, 0), (0, 2)] {
        rig.element.set_property("min-size", least);
        assert_eq!(next_frame(&rig).len(), boxes, "{least}");
    }
    // A box that is too small takes no place from one that is not.
    rig.control
        .set_script(|_| Ok(outputs(&[[8.0, 16.0, 4.0, 4.0, 0.9, 0.0], RIGHT])));
    rig.element.set_property("max-detections", 1u32);
    assert_eq!(next_frame(&rig), found(&[("cat", 0.9)]));
    rig.element.set_property("min-size", 9u32);
    assert_eq!(next_frame(&rig), []);
    rig.element.set_property("min-size", 8u32);
    rig.control
        .set_script(|_| Ok(outputs(&[[8.0, 16.0, 3.0, 9.0, 0.9, 0.0], RIGHT])));
    assert_eq!(next_frame(&rig), found(&[("dog", 0.7)]));
}

#[test]
fn classes_that_the_model_has_not_are_a_warning_while_playing_and_the_old_ones_stay() {
    let rig = rig("classes=dog", &[LEFT, RIGHT]);
    let dogs = next_frame(&rig);
    for (bad, words) in [
        ("mouse", ["\"mouse\"", "cat, dog"]),
        ("dog=2", ["\"2\"", "up to 1"]),
        ("2", ["\"2\"", "0 to 1"]),
    ] {
        rig.element.set_property("classes", bad);
        assert_eq!(rig.element.property::<String>("classes"), "dog");
        let message = rig.wait_for_message(&[gst::MessageType::Warning]);
        let gst::MessageView::Warning(warning) = message.view() else {
            unreachable!("only warnings were asked for");
        };
        let error = warning.error();
        assert_eq!(error.kind(), Some(gst::LibraryError::Settings));
        for word in words.iter().chain(&["classes", "Keeping"]) {
            assert!(error.message().contains(word), "no {word} in {error}");
        }
        assert_eq!(next_frame(&rig), dogs);
    }
    rig.assert_no_error();
}

#[test]
fn classes_set_before_the_start_are_those_of_the_model_to_come() {
    let rig = Rig::stopped("classes=cat", Source::LIVE);
    rig.element
        .set_state(gst::State::Paused)
        .expect("a cat is known");
    rig.element.set_state(gst::State::Ready).expect("it stops");
    // Of another model, which nobody knows yet.
    rig.element.set_property("classes", "face");
    assert_eq!(rig.element.property::<String>("classes"), "face");
    let warnings = rig.bus.pop_filtered(&[gst::MessageType::Warning]);
    assert!(warnings.is_none(), "{warnings:?}");
    rig.element.set_property("model", None::<&str>);
    rig.element
        .set_state(gst::State::Paused)
        .expect("the built-in model finds faces");
}

#[test]
fn what_is_in_force_is_told_at_the_start_and_as_it_is_now() {
    let rig = rig("classes=dog=0.3,cat score-threshold=0.5", &[LEFT]);
    let structure = rig.messages(MODEL).remove(0);
    assert_eq!(structure.get::<f64>("score-threshold"), Ok(0.5));
    assert_eq!(structure.get::<u32>("max-detections"), Ok(100));
    assert_eq!(structure.get::<u32>("min-size"), Ok(0));
    assert_eq!(structure.get::<bool>("class-agnostic-nms"), Ok(false));
    let classes = structure
        .get::<gst::Array>("kept-classes")
        .expect("an array");
    let classes: Vec<_> = classes
        .iter()
        .map(|value| value.get::<gst::Structure>().expect("of structures"))
        .map(|s| {
            assert_eq!(s.name(), "class");
            let label = s.get::<String>("label").expect("a text");
            (
                s.get::<u32>("number"),
                label,
                s.get::<f64>("score-threshold"),
            )
        })
        .collect();
    assert_eq!(
        classes,
        [
            (Ok(0), "cat".into(), Ok(0.5)),
            (Ok(1), "dog".into(), Ok(0.3))
        ]
    );

    rig.element.set_property("classes", None::<&str>);
    rig.element.set_property("iou-threshold", 0.25f32);
    rig.element.set_property("min-size", 12u32);
    let info: gst::Structure = rig.element.property("model-info");
    assert!(!info.has_field("kept-classes"), "all");
    let info = DetectModel::from_structure(&info).expect("its name");
    assert_eq!(
        (info.in_force.iou_threshold, info.in_force.min_size),
        (0.25, 12)
    );
}
