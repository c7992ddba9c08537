//! YOLOX as its authors export it: `[1, n, 5 + classes]`, offsets, one candidate a cell; BGR 0..255, letterbox top left,
//! 114. Where the graph decodes the boxes the layout is that of YOLOv5.

use super::YoloxRaw;
use crate::families::card::{Card, STRIDES};
use crate::families::evidence::conventions;
use crate::families::evidence::grid_cells::{largest, misfit, told_by_card};
use crate::families::evidence::head::Head;
use crate::families::evidence::table::{count, rows, strides};
use crate::families::reading::Reading;
use crate::onnx::facts::Facts;

pub fn read(facts: &Facts) -> Option<Reading> {
    let table = rows(facts)?;
    let strides = strides(facts, table.candidates, 1)?;
    let head = Head::trace(facts.graph, table.output, table.features);
    // Objectness and classes go through a sigmoid of their own at every stride; NanoDet, with the same dims, has one.
    if head.exponential || head.grid || head.selects || head.sigmoids < 2 * strides.len() {
        return None;
    }
    let because = format!(
        "its {} candidates of {} numbers are one a cell of strides {strides:?} and the graph adds no grid",
        count(table.candidates),
        table.features
    );
    Some(reading(strides.to_vec(), table.features - 5, because))
}

pub fn read_as(facts: &Facts, card: &Card) -> Result<Reading, String> {
    let table =
        rows(facts).ok_or_else(|| misfit(facts, "yolox_raw", "one output [1, n, 5 + classes]"))?;
    let strides = match card.get(&STRIDES) {
        Some(strides) => strides,
        None => strides(facts, table.candidates, 1)
            .ok_or("decode is \"yolox_raw\" but the candidates are not one a cell, expected strides: [8, 16, 32]")?
            .to_vec(),
    };
    Ok(reading(strides, table.features - 5, told_by_card()))
}

fn reading(strides: Vec<u32>, classes: usize, because: String) -> Reading {
    Reading {
        name: "YOLOX",
        stride: largest(&strides),
        family: Box::new(YoloxRaw { strides }),
        because,
        classes,
        convention: conventions::yolox(),
        sure: false,
        labels: &[],
        score_threshold: None,
        iou_threshold: None,
    }
}
