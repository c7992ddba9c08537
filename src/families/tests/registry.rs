//! Manual, fuzzer and micro models name every family and every key of a card.

use super::super::*;
use crate::model::{Model, ModelOptions};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// README and guide, in which a user looks for families and keys.
fn manual() -> String {
    let mut pages = vec![root().join("README.md")];
    // The pages of the guide are files of their own as soon as there are any.
    let guide = std::fs::read_dir(root().join("src/guide"));
    let of_guide = guide
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("a page").path());
    pages.extend(of_guide.filter(|path| path.extension().is_some_and(|e| e == "md")));
    pages.iter().map(|path| read(path)).collect()
}

fn keys() -> BTreeSet<&'static str> {
    let keys = FAMILIES.iter().flat_map(|family| family.keys);
    keys.map(|key| key.name()).collect()
}

#[test]
fn names_of_families_and_of_keys_are_unique() {
    let names: BTreeSet<&str> = decode_names().collect();
    assert_eq!(names.len(), FAMILIES.len());
    let keys = FAMILIES.iter().flat_map(|family| family.keys);
    let keys: BTreeSet<(&str, &str)> = keys.map(|key| (key.name(), key.expected())).collect();
    let key_names: BTreeSet<&str> = keys.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        key_names.len(),
        keys.len(),
        "two keys of one name: {keys:?}"
    );
}

#[test]
fn the_manual_has_a_row_for_every_family_and_no_other() {
    let manual = manual();
    let table = manual.split("| family | output |").nth(1);
    let table = table.expect("a table of families and their outputs");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let rows: Vec<&str> = rows
        .map(|row| row.split('`').nth(1).expect("a name"))
        .collect();
    let named: BTreeSet<&str> = rows.iter().copied().collect();
    assert_eq!(named.len(), rows.len(), "each once: {rows:?}");
    assert_eq!(named, decode_names().collect());
}

#[test]
fn the_manual_explains_every_key_of_a_card() {
    let manual = manual();
    let explained = |key: &str| {
        manual
            .lines()
            .any(|line| line.starts_with(&format!("| `{key}` |")))
    };
    let missing: Vec<&str> = keys().into_iter().filter(|key| !explained(key)).collect();
    assert_eq!(missing, [""; 0], "rows of the table of a card's keys");
    let decode = manual.lines().find(|line| line.starts_with("| `decode` |"));
    let decode: BTreeSet<&str> = decode
        .expect("a row")
        .split('`')
        .skip(3)
        .step_by(2)
        .collect();
    assert_eq!(decode, decode_names().collect(), "values of \"decode\"");
}

#[test]
fn the_fuzzer_knows_every_family_and_key() {
    let words = read(&root().join("tests/fuzz/words.dict"));
    let words: BTreeSet<&str> = words.lines().map(|line| line.trim_matches('"')).collect();
    let wanted: BTreeSet<&str> = decode_names().chain(keys()).collect();
    let missing: Vec<&&str> = wanted.difference(&words).collect();
    assert!(
        missing.is_empty(),
        "not in tests/fuzz/words.dict: {missing:?}"
    );
    let samplers: usize = FAMILIES.iter().map(|family| family.samplers.len()).sum();
    for sampler in 0..samplers {
        let seed = root().join(format!("tests/fuzz/corpus/decoders/seed-{sampler}-0"));
        assert!(
            seed.is_file(),
            "{} is missing: raise SAMPLERS in tests/fuzz/seeds.py and run it",
            seed.display()
        );
    }
}

fn micro_model(name: &str) -> PathBuf {
    root().join("tests/models").join(format!("{name}.onnx"))
}

#[test]
fn micro_models_are_recognised_as_their_family() {
    for family in FAMILIES {
        for name in family.micro_models {
            let options = ModelOptions {
                path: Some(micro_model(name)),
                ..ModelOptions::default()
            };
            let model =
                Model::open_uncut(&options).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(model.family.name(), family.name, "{name}");
        }
    }
}

#[test]
fn a_micro_model_belongs_to_one_family() {
    let listed = FAMILIES.iter().flat_map(|family| family.micro_models);
    let listed: Vec<&str> = listed.copied().collect();
    let names: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(names.len(), listed.len(), "a model is listed twice");
}
