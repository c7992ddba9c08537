//! Families whose graph has chosen the detections, or whose queries need no suppression: micro models of the layouts
//! of their exporters, on one picture, against an implementation in numpy.

use crate::support::families::{Case, cases, check, open};

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

/// Rewrites of a model as they are reported, and the number of its classes.
fn rewrites(name: &str) -> (Vec<String>, usize) {
    let is_meant = |case: &Case| case.model == name;
    let case = cases(CASES).into_iter().find(is_meant).expect("a case");
    let detector = open(&case, false).expect("a model of ours");
    let model = detector.model();
    (model.rewrites.clone(), model.classes)
}

#[test]
fn inputs_beside_the_picture_become_constants() {
    let (said, classes) = rewrites("dfine_deploy_micro");
    assert!(
        said[0].contains("\"orig_target_sizes\" as [64, 64]"),
        "{said:?}"
    );
    assert_eq!(classes, 3, "class numbers are remainders by 3");
    let (said, _) = rewrites("paddle_micro");
    for input in ["\"im_shape\" as [64, 64]", "\"scale_factor\" as [1, 1]"] {
        assert!(said[0].contains(input), "{said:?}");
    }
    let (said, classes) = rewrites("detr_micro");
    assert!(said[0].contains("pixel_mask"), "{said:?}");
    assert_eq!(classes, 91, "the logit of no object is no class");
}

#[test]
fn a_picture_alone_gets_an_axis_for_one() {
    let (said, _) = rewrites("torchvision_micro");
    assert!(said[0].contains("[1, 3, 64, 64]"), "{said:?}");
}
