//! Whether the number behind a box is an objectness, or the score of the first class.

use crate::families::evidence::head::Head;
use crate::families::evidence::pieces::constant_piece;
use crate::families::evidence::table::Table;
use crate::families::evidence::ultralytics::{finds_boxes, named_classes};
use crate::onnx::facts::Facts;

const BOX: usize = 4;

/// Why there is one, or none; `Err` if nothing tells.
pub type Told = Result<(bool, String), ()>;

/// Looks at names, task and graph of a table of one candidate a cell, or of a free number of them.
pub fn find(facts: &Facts, table: &Table, head: &Head) -> Told {
    let numbers = table.features - BOX;
    match named_classes(facts) {
        Some(names) if names == numbers => {
            return Ok((false, format!("its metadata name {names} classes")));
        }
        Some(names) if names + 1 == numbers && facts.metadata("task").is_none() => {
            return Ok((true, format!("its metadata name {names} classes")));
        }
        _ => {}
    }
    if facts.metadata("task").is_some() && finds_boxes(facts) {
        return Ok((false, "its metadata name the task".into()));
    }
    if head.distribution {
        return Ok((false, "the sides of its boxes are distributions".into()));
    }
    if table.output == "outputs" {
        return Ok((
            true,
            "its output is named \"outputs\", as YOLOv6 does".into(),
        ));
    }
    if head.exponential {
        return Ok((true, "the graph takes the exponential of sizes".into()));
    }
    if head.powers {
        return Ok((true, "the graph takes the square of sizes".into()));
    }
    if constant_piece(facts.graph, table.output, 1) {
        return Ok((true, "its objectness is a constant, as YOLOv6 does".into()));
    }
    Err(())
}
