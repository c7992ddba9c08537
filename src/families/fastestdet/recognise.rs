//! FastestDet: one output `[1, 5 + classes, rows, columns]` of cells of 16 pixels, with a sigmoid for the objectness
//! and a softmax over the classes in the graph.

use super::FastestDet;
use crate::base::tensor::{ColourOrder, Interpolation, ResizeMode};
use crate::families::card::Card;
use crate::families::evidence::grid_cells::{misfit, told_by_card};
use crate::families::evidence::head::Head;
use crate::families::reading::{Convention, Reading};
use crate::onnx::facts::Facts;

const STRIDE: u32 = 16;
/// Objectness and box.
const FIELDS: usize = 5;

pub fn read(facts: &Facts) -> Option<Reading> {
    let (name, features, rows, columns) = map(facts)?;
    let (width, height) = (facts.picture.width?, facts.picture.height?);
    let cells = |side: u32| Some((side / STRIDE) as usize);
    if (rows, columns) != (cells(height), cells(width)) {
        return None;
    }
    let head = Head::trace(facts.graph, name, features);
    let softmax = facts
        .graph
        .node
        .iter()
        .any(|node| node.op_type == "Softmax");
    // A map of features has the same dims.
    if head.sigmoids != 1 || !softmax || head.selects {
        return None;
    }
    let because = format!(
        "it has a map of {features} numbers for each cell of {STRIDE} pixels, with a sigmoid and a softmax"
    );
    Some(reading(features - FIELDS, because))
}

pub fn read_as(facts: &Facts, _: &Card) -> Result<Reading, String> {
    let (_, features, ..) = map(facts).ok_or_else(|| {
        misfit(
            facts,
            "fastestdet",
            "one output [1, 5 + classes, rows, columns]",
        )
    })?;
    Ok(reading(features - FIELDS, told_by_card()))
}

/// Name, numbers for each cell, rows and columns of the only output.
fn map<'a>(facts: &'a Facts) -> Option<(&'a str, usize, Option<usize>, Option<usize>)> {
    let (output, dims) = facts.only_output()?;
    match *dims {
        [_, Some(features), rows, columns] if features > FIELDS => {
            Some((&output.name, features, rows, columns))
        }
        _ => None,
    }
}

fn reading(classes: usize, because: String) -> Reading {
    Reading {
        name: "FastestDet",
        family: Box::new(FastestDet),
        because,
        classes,
        convention: Convention {
            colour: ColourOrder::Bgr,
            mean: [0.0; 3],
            std: [255.0; 3],
            resize: ResizeMode::Stretch,
            pad_value: 0.0,
            interpolation: Interpolation::Area,
        },
        sure: false,
        // The coarsest of its features, which it makes finer again.
        stride: 2 * STRIDE,
        labels: &[],
        score_threshold: Some(0.5),
        iou_threshold: Some(0.45),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::evidence::testing::{Outputs, with_facts_of};
    use crate::onnx::testing::node;

    const INPUT: [i64; 4] = [1, 3, 32, 64];

    fn classes(last: &str, dims: &[i64]) -> Option<usize> {
        let nodes = vec![
            node("Sigmoid", &["x"], &["s"]),
            node(last, &["x"], &["c"]),
            node("Concat", &["s", "c"], &["y"]),
        ];
        with_facts_of(nodes, &INPUT, &[("y", dims)], |facts| {
            read(facts).map(|reading| reading.classes)
        })
    }

    #[test]
    fn it_is_told_by_its_map_and_its_softmax() {
        assert_eq!(classes("Softmax", &[1, 8, 2, 4]), Some(3));
        assert_eq!(classes("Relu", &[1, 8, 2, 4]), None);
        assert_eq!(classes("Sigmoid", &[1, 8, 2, 4]), None);
        assert_eq!(classes("Softmax", &[1, 5, 2, 4]), None, "no class");
        assert_eq!(classes("Softmax", &[1, 8, 4, 2]), None, "turned");
    }

    #[test]
    fn a_card_says_it_of_any_map() {
        let outputs: Outputs = &[("y", &[1, 8, 7, 7])];
        let card = Card::default();
        let told_of = |outputs| {
            with_facts_of(vec![], &INPUT, outputs, |facts| {
                read_as(facts, &card).map(|reading| reading.classes)
            })
        };
        assert_eq!(told_of(outputs), Ok(3));
        let error = told_of(&[("y", &[1, 8, 7])]).unwrap_err();
        assert!(error.contains("y [1, 8, 7]"), "{error}");
    }
}
