//! End-to-end detectors with one output `[1, n, 6]`: corners in input pixels, score, class.
//!
//! YOLOv10 and YOLO26 choose with TopK, other models of Ultralytics, exported with `nms=True`, with NMS. A table of
//! one class of the YOLOv5 layout has the same dims and no choice in its graph.

use super::E2e6;
use crate::families::card::Card;
use crate::families::evidence::conventions;
use crate::families::evidence::grid_cells::{misfit, told_by_card};
use crate::families::evidence::head::Head;
use crate::families::evidence::named_outputs;
use crate::families::evidence::ultralytics::is_ultralytics;
use crate::families::reading::{Convention, Reading};
use crate::onnx::facts::Facts;

const ROW: usize = 6;

pub fn read(facts: &Facts) -> Option<Reading> {
    let output = output(facts)?;
    if facts.metadata("task").is_some_and(|task| task != "detect") {
        return None;
    }
    let with_nms = |args: &str| args.contains("'nms': True");
    let told =
        facts.metadata("end2end") == Some("True") || facts.metadata("args").is_some_and(with_nms);
    if !told && !Head::trace(facts.graph, output, ROW).selects {
        return None;
    }
    let because = if told {
        "its metadata name it end-to-end and its rows have 6 numbers".into()
    } else {
        "the graph chooses rows of 6 numbers".into()
    };
    let sure = is_ultralytics(facts);
    Some(Reading {
        sure,
        ..reading(because)
    })
}

pub fn read_as(facts: &Facts, _: &Card) -> Result<Reading, String> {
    output(facts).ok_or_else(|| misfit(facts, "e2e6", "one output [1, n, 6]"))?;
    Ok(reading(told_by_card()))
}

fn output<'a>(facts: &'a Facts) -> Option<&'a str> {
    let (output, dims) = facts.only_output()?;
    matches!(dims, [_, _, Some(ROW)]).then_some(&output.name)
}

fn reading(because: String) -> Reading {
    let convention: Convention = conventions::ultralytics();
    Reading {
        stride: 32,
        ..named_outputs::reading("YOLO, end-to-end", E2e6, convention, because)
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
