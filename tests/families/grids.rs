//! Families whose candidates lie in grids of several strides: micro models of the layouts of their exporters, on one
//! picture, against an implementation in numpy.

use crate::support::families::{cases, check, open};

const CASES: &str = "families_b.json";
/// Cases that cannot be recognised without a card.
const TOLD: &str = "families_b_told.json";

#[test]
fn boxes_without_a_card_are_those_of_the_twin() {
    for case in cases(CASES) {
        check(&case, false);
    }
}

#[test]
fn boxes_with_a_card_are_those_of_the_twin() {
    for case in cases(CASES).iter().chain(&cases(TOLD)) {
        check(case, true);
    }
}

#[test]
fn what_no_file_tells_is_refused_with_the_key_of_the_card() {
    let mut reasons = cases(TOLD).into_iter().map(|case| {
        let error = open(&case, false).err();
        error.unwrap_or_else(|| panic!("{} is read without a card", case.model))
    });
    let anchors = reasons.next().expect("YOLOv5 with anchors of its own");
    assert!(
        anchors.contains("YOLOv5, raw") && anchors.contains("YOLOv7, raw"),
        "{anchors}"
    );
    let priors = reasons.next().expect("SSD with raw boxes");
    assert!(priors.contains("\"prior_layers\""), "{priors}");
}
