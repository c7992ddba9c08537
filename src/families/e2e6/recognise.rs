//! End-to-end detectors with one output `[1, n, 6]`: a box, score, class.
//!
//! YOLOv10 and YOLO26 choose with TopK, other models of Ultralytics, exported with `nms=True`, with NMS: corners in input
//! pixels. RT-DETR of Ultralytics' current exporter has centre and size as shares, of stretched pictures. Key points,
//! coefficients of masks or an angle may lie behind the class, by the task in the metadata. A table of one class of the
//! YOLOv5 layout has the same dims and no choice in its graph.

use super::E2e6;
use super::decode::ROW;
use crate::families::card::Card;
use crate::families::decoding::{BoxForm, Extras};
use crate::families::evidence::conventions;
use crate::families::evidence::grid_cells::{misfit, told_by_card};
use crate::families::evidence::head::Head;
use crate::families::evidence::named_outputs;
use crate::families::evidence::table::output;
use crate::families::evidence::ultralytics::{
    extras_of_task, finds_boxes, is_end_to_end, is_rtdetr, is_ultralytics, masks,
    meaning_of_extras, named_classes,
};
use crate::families::reading::{Convention, Reading};
use crate::onnx::facts::Facts;

pub fn read(facts: &Facts) -> Option<Reading> {
    let (name, row) = rows(facts)?;
    let expected = extras_of_task(facts).unwrap_or(0);
    // Without a task, prototypes of as many masks tell what lies behind the class.
    let untold = facts.metadata("task").is_none();
    let of_masks = masks(facts).filter(|masks| untold && row == ROW + masks);
    let expected = of_masks.unwrap_or(expected);
    if !finds_boxes(facts) || row != ROW + expected {
        return None;
    }
    let told = is_end_to_end(facts);
    let selects = Head::trace(facts.graph, name, row).selects;
    let queries = is_rtdetr(facts);
    // An older exporter writes a box and a score for each name.
    let of_names = queries && !selects && named_classes(facts).is_some_and(|n| 4 + n == row);
    let scores_of_names = of_names && chooses(facts);
    if !(told || selects || queries) || scores_of_names {
        return None;
    }
    let because = match (queries, told) {
        (true, _) => format!("its metadata name it RT-DETR and its rows have {row} numbers"),
        (_, true) => format!("its metadata name it end-to-end and its rows have {row} numbers"),
        _ => format!("the graph chooses rows of {row} numbers"),
    };
    let mut family = if queries {
        E2e6::of_queries()
    } else {
        E2e6::default()
    };
    family.extras = expected;
    family.meaning = match of_masks {
        Some(_) => Extras::Masks,
        None => meaning_of_extras(facts, expected),
    };
    if facts.metadata("task") == Some("obb") {
        family.boxes = BoxForm::default();
    }
    let sure = is_ultralytics(facts);
    Some(Reading {
        sure,
        ..reading(family, queries, because)
    })
}

pub fn read_as(facts: &Facts, _: &Card) -> Result<Reading, String> {
    let chosen = |row: usize| rows(facts).is_some_and(|(_, own)| own == row);
    let oriented = facts.metadata("task").is_none() && chosen(ROW + 1);
    let extras = match oriented {
        true => 1,
        false => extras_of_task(facts).unwrap_or(0),
    };
    let fits = rows(facts).is_some_and(|(_, row)| row == ROW + extras);
    if !fits {
        let expected = format!("one output [1, n, {}]", ROW + extras);
        return Err(misfit(facts, "e2e6", &expected));
    }
    let family = E2e6 {
        extras,
        meaning: if oriented {
            Extras::Angle
        } else {
            meaning_of_extras(facts, extras)
        },
        ..E2e6::default()
    };
    let family = match facts.metadata("task") {
        task if oriented || task == Some("obb") => E2e6 {
            boxes: BoxForm::default(),
            ..family
        },
        _ if is_rtdetr(facts) => E2e6::of_queries(),
        _ => family,
    };
    Ok(reading(family, is_rtdetr(facts), told_by_card()))
}

/// Name and length of a row.
fn rows<'a>(facts: &'a Facts) -> Option<(&'a str, usize)> {
    match output(facts)? {
        (output, [_, _, Some(row)]) => Some((&output.name, *row)),
        _ => None,
    }
}

fn chooses(facts: &Facts) -> bool {
    facts.graph.node.iter().any(|node| node.op_type == "TopK")
}

fn reading(family: E2e6, queries: bool, because: String) -> Reading {
    let (name, convention): (_, Convention) = if queries {
        (
            "RT-DETR of Ultralytics, end-to-end",
            conventions::stretched(),
        )
    } else {
        ("YOLO, end-to-end", conventions::ultralytics())
    };
    Reading {
        stride: 32,
        ..named_outputs::reading(name, family, convention, because)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::evidence::named_outputs::testing::{of_facts, with_outputs};
    use crate::onnx::proto::{ModelProto, StringStringEntryProto};
    use crate::onnx::testing::node;

    fn name(model: &ModelProto) -> Option<&'static str> {
        of_facts(model, |facts| {
            read(facts).map(|reading| reading.family.name())
        })
    }

    fn ending_in(op: &str, dims: &[i64]) -> ModelProto {
        let nodes = vec![
            node(op, &["images"], &["t"]),
            node("Gather", &["images", "t"], &["output0"]),
        ];
        with_outputs(nodes, &[("output0", dims)])
    }

    #[test]
    fn a_choice_of_rows_of_six_is_recognised() {
        assert_eq!(name(&ending_in("TopK", &[1, 300, 6])), Some("e2e6"));
        assert_eq!(
            name(&ending_in("NonMaxSuppression", &[1, -1, 6])),
            Some("e2e6")
        );
        assert_eq!(name(&ending_in("Relu", &[1, 300, 6])), None, "no choice");
        assert_eq!(name(&ending_in("TopK", &[1, 300, 38])), None, "masks");
        assert_eq!(name(&ending_in("TopK", &[300, 6])), None);
    }

    #[test]
    fn metadata_speak_for_a_graph_that_is_not_understood() {
        let entry = |key: &str, value: &str| StringStringEntryProto {
            key: key.into(),
            value: value.into(),
        };
        let mut model = ending_in("Relu", &[1, 300, 6]);
        model.metadata_props.push(entry("end2end", "True"));
        assert_eq!(name(&model), Some("e2e6"));
        model.metadata_props.push(entry("task", "obb"));
        assert_eq!(name(&model), None);
        model.metadata_props = vec![entry("args", "{'batch': 1, 'nms': True}")];
        assert_eq!(name(&model), Some("e2e6"));
        model.metadata_props = vec![entry("args", "{'batch': 1, 'nms': False}")];
        assert_eq!(name(&model), None);
    }

    #[test]
    fn nothing_is_to_be_suppressed() {
        let iou = of_facts(&ending_in("TopK", &[1, 300, 6]), |facts| {
            read(facts).and_then(|reading| reading.iou_threshold)
        });
        assert_eq!(iou, Some(1.0));
    }
}
