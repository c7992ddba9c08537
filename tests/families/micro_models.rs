//! The micro models that the recipes in the folders of families make, on one picture, against an implementation in numpy.

use crate::support::families::{Case, cases, check, open};
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_recipe_has_been_run() {
    let families = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/families");
    let entries = std::fs::read_dir(families).expect("the folder is there");
    let folders = entries.map(|entry| entry.expect("the folder can be read"));
    let with_recipe = folders.filter(|folder| folder.path().join("micro_model.py").exists());
    let recipes: BTreeSet<String> = with_recipe
        .map(|folder| folder.file_name().into_string().expect("a name of ours"))
        .collect();
    let run: BTreeSet<String> = cases().into_iter().map(|case| case.folder).collect();
    assert_eq!(run, recipes, "run tests/models/make_families.py");
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
fn a_model_that_needs_its_card_is_refused_with_what_the_card_must_say() {
    let cases = cases();
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

/// Rewrites of a model as they are reported, and the number of its classes.
fn rewrites(name: &str) -> (Vec<String>, usize) {
    let is_meant = |case: &Case| case.model == name;
    let case = cases().into_iter().find(is_meant).expect("a case");
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
