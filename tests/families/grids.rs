//! Families whose candidates lie in grids of several strides: micro models of the layouts of their exporters, on one
//! picture, against an implementation in numpy.

use crate::support::families::{cases, check, open};

const CASES: &str = "families_b.json";

#[test]
fn boxes_without_a_card_are_those_of_the_twin() {
    for case in cases(CASES).iter().filter(|case| case.refusal.is_empty()) {
        check(case, false);
    }
}

#[test]
fn boxes_with_a_card_are_those_of_the_twin() {
    for case in cases(CASES) {
        check(&case, true);
    }
}

#[test]
fn a_model_that_needs_its_card_is_refused_with_what_the_card_must_say() {
    let cases = cases(CASES);
    let needing: Vec<_> = (cases.iter().filter(|case| !case.refusal.is_empty())).collect();
    assert!(!needing.is_empty(), "no case needs its card");
    for case in needing {
        let error = open(case, false).err();
        let error = error.unwrap_or_else(|| panic!("{} is read without a card", case.model));
        for text in &case.refusal {
            assert!(error.contains(text), "{}: {error}", case.model);
        }
    }
}
