//! Detectors exported from TensorFlow's object detection API: `detection_boxes`, `detection_classes`,
//! `detection_scores` and `num_detections`, among others.
//!
//! Inside its graphs classes count from 0, as whatever chooses numbers them; the API adds 1 at the end, for the
//! background. Whether a graph does so tells where its class numbers begin.

use super::{TfSsd, TfSsdPlaces};
use crate::families::card::Card;
use crate::families::evidence::conventions;
use crate::families::evidence::grid_cells::{misfit, told_by_card};
use crate::families::evidence::named_outputs::{self, place, plain};
use crate::families::evidence::pieces::only_number;
use crate::families::evidence::scale::{Scale, takes_pixels_as_they_are};
use crate::families::reading::{Convention, Reading};
use crate::onnx::facts::Facts;
use crate::onnx::proto::{GraphProto, NodeProto};
use std::collections::{HashMap, HashSet};

pub fn read(facts: &Facts) -> Option<Reading> {
    let places = places(facts)?;
    Some(reading(facts, places, "its outputs are named so".into()))
}

pub fn read_as(facts: &Facts, _: &Card) -> Result<Reading, String> {
    let expected = "detection_boxes, detection_classes, detection_scores and num_detections";
    let places = places(facts).ok_or_else(|| misfit(facts, "tfssd", expected))?;
    Ok(reading(facts, places, told_by_card()))
}

fn reading(facts: &Facts, places: TfSsdPlaces, because: String) -> Reading {
    let adds_one = adds_one(facts.graph, &facts.outputs[places.classes].name);
    let because = match adds_one {
        true => format!("{because}; classes count from 1, as the graph adds 1"),
        false => format!("{because}; classes count from 0, as the graph adds nothing"),
    };
    // Whatever else is done to pixels is in the graph, unless they meet weights for shares as they are.
    let as_they_are = takes_pixels_as_they_are(facts.graph, &facts.picture.name);
    let std = match as_they_are.then(|| Scale::find(facts.graph)).flatten() {
        Some(Scale::Shares) => [255.0; 3],
        _ => [1.0; 3],
    };
    let convention = Convention {
        std,
        ..conventions::stretched()
    };
    let family = TfSsd {
        places,
        first_class: u32::from(adds_one),
    };
    named_outputs::reading("TensorFlow's detection API", family, convention, because)
}

fn places(facts: &Facts) -> Option<TfSsdPlaces> {
    let named = |name| place(facts, |output| plain(&output.name) == name);
    Some(TfSsdPlaces {
        boxes: named("detection_boxes")?,
        classes: named("detection_classes")?,
        scores: named("detection_scores")?,
        count: named("num_detections")?,
    })
}

/// Whether 1 is added between what chooses and this output.
fn adds_one(graph: &GraphProto, output: &str) -> bool {
    let nodes = graph.node.iter().enumerate();
    let makers: HashMap<&str, (usize, &NodeProto)> = nodes
        .flat_map(|(i, node)| node.output.iter().map(move |o| (o.as_str(), (i, node))))
        .collect();
    let is_one = |name: &str| {
        let constant = graph.initializer.iter().find(|t| t.name == name);
        let of_node = || {
            let (_, node) = makers.get(name)?;
            let attribute = node.attribute.iter().find_map(|a| a.t.as_ref());
            attribute.filter(|_| node.op_type == "Constant")
        };
        constant.or_else(of_node).and_then(only_number) == Some(1.0)
    };
    let mut seen = HashSet::new();
    let mut open = vec![output];
    while let Some(name) = open.pop() {
        let Some(&(index, node)) = makers.get(name) else {
            continue;
        };
        if !seen.insert(index) {
            continue;
        }
        match node.op_type.as_str() {
            "NonMaxSuppression" | "TopK" | "ArgMax" | "Conv" | "QLinearConv" | "MatMul" => continue,
            "Add" if node.input.iter().any(|input| is_one(input)) => return true,
            _ => open.extend(node.input.iter().map(String::as_str)),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::evidence::named_outputs::testing::{of_facts, with_outputs};
    use crate::onnx::proto::ModelProto;
    use crate::onnx::proto::TensorProto;
    use crate::onnx::testing::{float_tensor, int64_tensor, node};

    const OUTPUTS: [(&str, &[i64]); 5] = [
        ("raw_detection_boxes:0", &[1, 1917, 4]),
        ("num_detections:0", &[1]),
        ("detection_boxes:0", &[1, 100, 4]),
        ("detection_scores:0", &[1, 100]),
        ("detection_classes:0", &[1, 100]),
    ];

    /// Adds `constant`, a number of this name, to the class numbers.
    fn adding(constant: TensorProto) -> ModelProto {
        let mut model = with_outputs(
            vec![
                node("Add", &["images", "one"], &["boxes"]),
                node("TopK", &["boxes"], &["chosen"]),
                node("Cast", &["chosen"], &["classes"]),
                node("Add", &["classes", &constant.name], &["counted"]),
                node("Identity", &["counted"], &["detection_classes:0"]),
            ],
            &OUTPUTS,
        );
        let graph = model.graph.as_mut().expect("a graph");
        graph.initializer.push(constant);
        graph.initializer.push(float_tensor("one", &[], &[1.0]));
        model
    }

    fn first_class(model: &ModelProto) -> Option<u32> {
        of_facts(model, |facts| {
            let family = read(facts)?.family;
            Some(family.downcast_ref::<TfSsd>()?.first_class)
        })
    }

    #[test]
    fn outputs_are_found_by_name_among_others() {
        let found = of_facts(&with_outputs(vec![], &OUTPUTS), places);
        assert_eq!(
            found,
            Some(TfSsdPlaces {
                boxes: 2,
                classes: 4,
                scores: 3,
                count: 1
            })
        );
        let without = of_facts(&with_outputs(vec![], &OUTPUTS[2..]), places);
        assert_eq!(without, None);
    }

    #[test]
    fn classes_count_from_one_if_the_graph_adds_one() {
        let one = float_tensor("offset", &[], &[1.0]);
        assert_eq!(first_class(&adding(one)), Some(1));
        assert_eq!(first_class(&adding(int64_tensor("offset", &[1]))), Some(1));
        let other = float_tensor("offset", &[], &[0.5]);
        assert_eq!(
            first_class(&adding(other)),
            Some(0),
            "what is added before the choice does not count"
        );
        let list = float_tensor("offset", &[2], &[1.0, 1.0]);
        assert_eq!(first_class(&adding(list)), Some(0));
    }

    #[test]
    fn the_card_has_the_last_word_on_classes() {
        let card = br#"{"decode": "tfssd", "first_class": 1, "num_classes": 90}"#;
        let card = Card::parse(std::path::Path::new("x.detect.json"), card).expect("its keys");
        let model = with_outputs(vec![], &OUTPUTS);
        let reading = of_facts(&model, |facts| {
            let mut reading = read(facts).expect("its names");
            reading
                .apply_card(&card, None)
                .expect("the file tells no classes");
            reading
        });
        assert_eq!(reading.classes, 90);
        let family: Option<&TfSsd> = reading.family.downcast_ref();
        assert_eq!(family.map(|own| own.first_class), Some(1));
    }

    #[test]
    fn a_circle_ends() {
        let nodes = vec![node(
            "Identity",
            &["detection_classes:0"],
            &["detection_classes:0"],
        )];
        assert_eq!(first_class(&with_outputs(nodes, &OUTPUTS)), Some(0));
    }
}
