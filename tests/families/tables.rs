//! Tables that are written otherwise than the usual one: transposed, with numbers that boxes do not need, as shares,
//! corners or logits, with score and class alone. Micro models on one picture, against an implementation in numpy.

use crate::support::families::{self, Case, check, open};
use gstdetect::model::topic;

fn cases() -> Vec<Case> {
    families::cases_of("tables.json")
}

#[test]
fn boxes_without_a_card_are_those_of_the_twin() {
    for case in cases().iter().filter(|case| case.refusal.is_empty()) {
        check(case, false);
    }
}

#[test]
fn boxes_with_a_card_are_those_of_the_twin() {
    for case in cases() {
        check(&case, true);
    }
}

#[test]
fn what_no_file_tells_is_refused_with_every_reading() {
    let cases = cases();
    let untold: Vec<_> = (cases.iter().filter(|case| !case.refusal.is_empty())).collect();
    assert!(!untold.is_empty(), "every case is read without a card");
    for case in untold {
        let error = open(case, false).err();
        let error = error.unwrap_or_else(|| panic!("{} is read without a card", case.model));
        for text in &case.refusal {
            assert!(error.contains(text), "{text} in: {error}");
        }
    }
}

/// The decision about `topic` in the model of a case that is read without its card.
fn decision(cases: &[Case], model: &str, topic: &str) -> (String, bool) {
    let case = cases.iter().find(|case| case.model == model);
    let detector = open(case.expect("a case"), false).expect("a model of ours");
    let model = detector.model();
    assert_eq!(model.warnings, [""; 0]);
    let decision = model.decisions.iter().find(|d| d.topic == topic);
    let decision = decision.unwrap_or_else(|| panic!("no {topic}: {:?}", model.decisions));
    (decision.value.clone(), decision.guessed)
}

#[test]
fn what_is_not_used_or_not_usual_is_said_and_a_guess_is_marked() {
    let cases = cases();
    for (model, topic, value, guessed) in [
        ("v8_transposed_micro", topic::TABLE, "transposed", false),
        ("v8_shares_micro", topic::BOXES, "shares", true),
        ("v8_corners_micro", topic::BOXES, "corners", true),
        ("v8_logits_micro", topic::SCORES, "logits", true),
        ("v8_face_micro", topic::EXTRAS, "15 numbers", true),
        ("v8_pose_micro", topic::EXTRAS, "51 numbers", false),
        ("v8_segment_micro", topic::EXTRAS, "masks", false),
        ("v8_obb_micro", topic::EXTRAS, "upright box", false),
        ("v5_face_micro", topic::EXTRAS, "10 numbers before", true),
        ("v7_face_micro", topic::EXTRAS, "15 numbers behind", true),
        ("rtdetr_rows_micro", topic::BOXES, "shares", false),
        ("e2e_obb_micro", topic::EXTRAS, "upright box", false),
    ] {
        let (found, guess) = decision(&cases, model, topic);
        assert!(found.contains(value), "{model}: {value} in {found}");
        assert_eq!(guess, guessed, "{model}: {found}");
    }
}

#[test]
fn outputs_beside_a_table_are_named() {
    let cases = cases();
    let case = cases.iter().find(|case| case.model == "v8_segment_micro");
    let detector = open(case.expect("a case"), false).expect("a model of ours");
    let decisions = &detector.model().decisions;
    let named = |output: &str| decisions.iter().any(|d| d.reason.contains(output));
    assert!(named("not used: output1"), "{decisions:?}");
}

/// A case of ours with another card.
fn with_card(model: &str, card: serde_json::Value) -> Case {
    let case = cases().into_iter().find(|case| case.model == model);
    let mut case = case.expect("a case");
    case.card = card;
    case
}

#[test]
fn a_card_that_contradicts_the_table_is_refused() {
    for (model, card, part) in [
        (
            "v8_transposed_micro",
            serde_json::json!({"decode": "yolov8", "transposed": false}),
            "80 classes of 7 candidates",
        ),
        (
            "v8_shares_micro",
            serde_json::json!({"decode": "yolov5"}),
            "79 classes of 7 candidates",
        ),
        (
            "v8_shares_micro",
            serde_json::json!({"num_classes": 2}),
            "num_classes is 2",
        ),
    ] {
        let error = open(&with_card(model, card), true).err();
        let error = error.unwrap_or_else(|| panic!("{model} is read"));
        assert!(error.contains(part), "{part} in: {error}");
    }
}

#[test]
fn what_a_card_says_of_a_table_is_not_overruled() {
    for (model, card, topic, value) in [
        (
            "v8_shares_micro",
            serde_json::json!({"box_scale": "shares"}),
            topic::BOXES,
            "shares",
        ),
        (
            "v8_logits_micro",
            serde_json::json!({"score_activation": "sigmoid"}),
            topic::SCORES,
            "logits",
        ),
        (
            "v8_face_micro",
            serde_json::json!({"num_classes": 1}),
            topic::EXTRAS,
            "15 numbers",
        ),
    ] {
        let detector = open(&with_card(model, card), true).expect("a card that fits");
        let decisions = &detector.model().decisions;
        let decision = decisions.iter().find(|d| d.topic == topic);
        let decision = decision.unwrap_or_else(|| panic!("{model}: {decisions:?}"));
        assert!(decision.value.contains(value), "{model}: {decision}");
        assert!(!decision.guessed, "{model}: {decision}");
    }
    // A card that is wrong is obeyed: what was read without one is not.
    let card = serde_json::json!({"box_scale": "pixels", "box_format": "centre"});
    let detector = open(&with_card("v8_shares_micro", card), true).expect("a card that fits");
    let guessed = |d: &&gstdetect::model::Decision| d.topic == topic::BOXES;
    assert_eq!(detector.model().decisions.iter().find(guessed), None);
}
