use super::*;
use crate::onnx::proto::{NodeProto, StringStringEntryProto};
use crate::onnx::testing::{int64_tensor, model, node};
use std::path::Path;

const TABLE: &[i64] = &[1, 7, 21];

fn card(text: &str) -> Card {
    let mut card = Card::parse(Path::new("x.detect.json"), b"{}").expect("a card");
    card.output = (!text.is_empty()).then(|| text.to_owned());
    card
}

/// The names that are read, and what is said about it.
fn read(
    nodes: Vec<NodeProto>,
    outputs: &[(&str, &[i64])],
    metadata: &[(&str, &str)],
    output: &str,
) -> Result<(Vec<String>, String), String> {
    let mut model = model(nodes, &[("x", &[1, 3, 32, 32])], outputs);
    let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
        key: (*key).into(),
        value: (*value).into(),
    };
    model.metadata_props = metadata.iter().map(entry).collect();
    let mut graph = model.graph.clone().expect("just made");
    graph.initializer = vec![int64_tensor("dims", TABLE)];
    let facts = Facts::new(&model, &graph).expect("it takes a picture");
    let read = Read::new(&facts, &card(output)).map_err(|error| error.to_string())?;
    let names = read.facts.outputs.iter().map(|port| port.name.clone());
    let said = read.decision.map_or(String::new(), |d| d.to_string());
    Ok((names.collect(), said))
}

/// Outputs that nothing makes are read by their dims if the metadata name the task.
fn detect(outputs: &[(&str, &[i64])], output: &str) -> Result<(Vec<String>, String), String> {
    read(vec![], outputs, &[("task", "detect")], output)
}

#[test]
fn maps_beside_a_table_are_left_out_and_named() {
    let (names, said) = detect(&[("p3", &[1, 7, 4, 4]), ("y", TABLE)], "").unwrap();
    assert_eq!(names, ["y"]);
    assert!(
        said.starts_with("output: y") && said.contains("not used: p3 [1, 7, 4, 4]"),
        "{said}"
    );
    let (names, said) = detect(&[("y", TABLE)], "").unwrap();
    assert_eq!((names, said.as_str()), (vec!["y".to_owned()], ""));
}

#[test]
fn names_tell_the_head_from_its_helper() {
    let (names, _) = detect(&[("aux_head", TABLE), ("head", TABLE)], "").unwrap();
    assert_eq!(names, ["head"]);
    let (names, said) = detect(&[("features", TABLE), ("output0", TABLE)], "").unwrap();
    assert_eq!(names, ["output0"]);
    assert!(said.contains("that exporters give"), "{said}");
}

#[test]
fn a_value_on_the_way_is_not_what_is_read() {
    let nodes = vec![node("Relu", &["a"], &["b"])];
    let metadata = [("task", "detect")];
    let (names, _) = read(nodes, &[("a", TABLE), ("b", TABLE)], &metadata, "").unwrap();
    assert_eq!(names, ["b"]);
}

#[test]
fn tables_alike_are_refused_until_a_card_names_one() {
    for outputs in [
        [("left", TABLE), ("right", TABLE)],
        [("output0", TABLE), ("output1", TABLE)],
    ] {
        let error = detect(&outputs, "").unwrap_err();
        for (name, _) in outputs {
            let key = format!("{{\"output\": \"{name}\"}}");
            assert!(error.contains(&key), "{error}");
        }
        let (names, said) = detect(&outputs, outputs[0].0).unwrap();
        assert_eq!(names, [outputs[0].0]);
        assert!(said.contains("the card says so"), "{said}");
    }
    let error = detect(&[("left", TABLE), ("right", TABLE)], "middle").unwrap_err();
    assert!(
        error.contains("\"middle\"") && error.contains("left [1, 7, 21]"),
        "{error}"
    );
}

#[test]
fn yolov9_reads_the_last_of_its_tables() {
    let metadata = [("names", "{0: 'a', 1: 'b', 2: 'c'}"), ("stride", "32")];
    let grid = |table: &str, grid: &str| {
        vec![
            node("Range", &["a", "b", "c"], &[grid]),
            node("Add", &["x", grid], &[table]),
        ]
    };
    let nodes = [grid("output0", "g"), grid("1903", "h")].concat();
    let outputs = [("output0", TABLE), ("1903", TABLE)];
    let (names, said) = read(nodes.clone(), &outputs, &metadata, "").unwrap();
    assert_eq!(names, ["1903"]);
    assert!(said.contains("YOLOv9"), "{said}");
    assert!(
        read(nodes, &outputs, &[], "").is_err(),
        "it may be anything"
    );
}

#[test]
fn dims_that_are_left_open_are_worked_out() {
    let open: &[i64] = &[-1, -2, -3];
    let nodes = vec![node("ConstantOfShape", &["dims"], &["y"])];
    let metadata = [("task", "detect")];
    let (names, _) = read(nodes, &[("y", open)], &metadata, "").unwrap();
    assert_eq!(names, ["y"]);
    let unknown = vec![node("Mystery", &["x"], &["y"])];
    let error = read(unknown, &[("y", open)], &metadata, "").unwrap_err();
    assert!(error.contains("y [?, ?, ?]"), "{error}");
}
