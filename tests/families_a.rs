//! Families whose graph has chosen the detections, or whose queries need no suppression: micro models of the layouts
//! of their exporters, on one picture, against an implementation in numpy.

mod support;

use support::families::{cases, check};

const CASES: &str = "families_a.json";

#[test]
fn boxes_without_a_card_are_those_of_the_twin() {
    for case in cases(CASES) {
        check(&case, false);
    }
}

#[test]
fn boxes_with_a_card_are_those_of_the_twin() {
    for case in cases(CASES) {
        check(&case, true);
    }
}
