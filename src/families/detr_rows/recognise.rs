//! RT-DETR as Ultralytics exports it: one output `[1, n, 4 + classes]`, centre and size of boxes from 0 to 1 of the
//! input, then probabilities.
//!
//! Its queries are chosen inside of the graph, but every one of them comes out.

use super::DetrRows;
use crate::families::card::Card;
use crate::families::evidence::conventions;
use crate::families::evidence::grid_cells::{STRIDES, cells, misfit, told_by_card};
use crate::families::evidence::head::Head;
use crate::families::evidence::named_outputs;
use crate::families::evidence::ultralytics::is_ultralytics;
use crate::families::reading::Reading;
use crate::onnx::facts::Facts;
use crate::onnx::python_literal;

const BOX: usize = 4;

pub fn read(facts: &Facts) -> Option<Reading> {
    let (name, queries, row) = output(facts)?;
    let classes = row - BOX;
    let labels = facts.metadata("names").and_then(python_literal::names);
    let as_named = labels.is_some_and(|names| names.len() == classes);
    let chooses = facts.graph.node.iter().any(|node| node.op_type == "TopK");
    let head = Head::trace(facts.graph, name, row);
    // A table of all cells is another family's, and so are rows that were chosen last.
    let of_cells = STRIDES.iter().any(|strides| {
        let cells = cells(facts, strides);
        cells == queries || cells.map(|n| n * 3) == queries
    });
    let detects = facts.metadata("task").is_none_or(|task| task == "detect");
    if !(as_named && chooses && detects) || head.selects || head.grid || of_cells {
        return None;
    }
    let because = format!(
        "its queries are chosen in the graph, and its rows have {classes} numbers, as its metadata have names, \
            beside a box"
    );
    let sure = is_ultralytics(facts);
    Some(Reading {
        sure,
        ..reading(classes, because)
    })
}

pub fn read_as(facts: &Facts, _: &Card) -> Result<Reading, String> {
    let expected = "one output [1, n, 4 + classes]";
    let (_, _, row) = output(facts).ok_or_else(|| misfit(facts, "detr_rows", expected))?;
    Ok(reading(row - BOX, told_by_card()))
}

fn reading(classes: usize, because: String) -> Reading {
    let name = "RT-DETR of Ultralytics";
    Reading {
        classes,
        stride: 32,
        ..named_outputs::reading(name, DetrRows, conventions::stretched(), because)
    }
}

/// Name, number of rows and length of a row.
fn output<'a>(facts: &'a Facts) -> Option<(&'a str, Option<usize>, usize)> {
    match facts.only_output()? {
        (output, &[_, queries, Some(row)]) if row > BOX => Some((&output.name, queries, row)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::evidence::named_outputs::testing::{of_facts, with_outputs};
    use crate::onnx::proto::{ModelProto, StringStringEntryProto};
    use crate::onnx::testing::node;

    /// Queries that are chosen before what makes boxes and scores of them.
    fn model(names: &str, rows: i64) -> ModelProto {
        let nodes = vec![
            node("TopK", &["images"], &["queries"]),
            node("MatMul", &["queries", "w"], &["boxes"]),
            node("Sigmoid", &["boxes"], &["scores"]),
            node("Concat", &["boxes", "scores"], &["output0"]),
        ];
        let mut model = with_outputs(nodes, &[("output0", &[1, rows, 6])]);
        model.metadata_props.push(StringStringEntryProto {
            key: "names".into(),
            value: names.into(),
        });
        model
    }

    fn classes(model: &ModelProto) -> Option<usize> {
        of_facts(model, |facts| read(facts).map(|reading| reading.classes))
    }

    #[test]
    fn rows_of_a_box_and_as_many_scores_as_names_are_recognised() {
        assert_eq!(classes(&model("{0: 'a', 1: 'b'}", 300)), Some(2));
        assert_eq!(
            classes(&model("{0: 'a'}", 300)),
            None,
            "an objectness, or something else"
        );
        assert_eq!(classes(&model("{0: 'a', 1: 'b'}", 84)), None, "one a cell");
    }

    #[test]
    fn rows_chosen_last_are_another_family() {
        let mut model = model("{0: 'a', 1: 'b'}", 300);
        let graph = model.graph.as_mut().expect("a graph");
        graph.node[3] = node("Gather", &["boxes", "queries"], &["output0"]);
        assert_eq!(classes(&model), None);
        let told = of_facts(&model, |facts| read_as(facts, &Card::default()));
        assert_eq!(told.map(|reading| reading.classes), Ok(2));
    }
}
