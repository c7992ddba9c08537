//! The YOLOv8 layout, one output `[1, 4 + classes, n]` of boxes in pixels, one candidate a cell: v8, v9, v11, v12. RGB /
//! 255, letterbox centre, 114.

use super::Yolov8;
use crate::families::card::Card;
use crate::families::evidence::conventions;
use crate::families::evidence::grid_cells::{STRIDES, largest, misfit, told_by_card};
use crate::families::evidence::head::Head;
use crate::families::evidence::table::{columns, count, strides};
use crate::families::evidence::ultralytics::{is_ultralytics, other_task};
use crate::families::reading::Reading;
use crate::onnx::facts::Facts;

pub fn read(facts: &Facts) -> Option<Reading> {
    let table = columns(facts)?;
    let strides = strides(facts, table.candidates, 1)?;
    if other_task(facts) {
        return None;
    }
    let named = facts.metadata("task").is_some();
    let head = Head::trace(facts.graph, table.output, table.features);
    // Raw heads have the same dims with boxes of 64 numbers.
    if head.selects || !(named || head.is_decoded()) {
        return None;
    }
    let because = format!(
        "its {} candidates of {} numbers lie in columns, one a cell of strides {strides:?}{}",
        count(table.candidates),
        table.features,
        if named {
            ", and its metadata name the task \"detect\""
        } else {
            ""
        }
    );
    let sure = named || is_ultralytics(facts);
    Some(Reading {
        sure,
        ..yolov8(table.features - 4, largest(strides), because)
    })
}

pub fn read_as(facts: &Facts, _: &Card) -> Result<Reading, String> {
    let table =
        columns(facts).ok_or_else(|| misfit(facts, "yolov8", "one output [1, 4 + classes, n]"))?;
    Ok(yolov8(
        table.features - 4,
        largest(STRIDES[0]),
        told_by_card(),
    ))
}

fn yolov8(classes: usize, stride: u32, because: String) -> Reading {
    Reading {
        name: "YOLOv8 layout",
        family: Box::new(Yolov8),
        because,
        classes,
        convention: conventions::ultralytics(),
        sure: false,
        stride,
        labels: &[],
        score_threshold: None,
        iou_threshold: None,
    }
}
