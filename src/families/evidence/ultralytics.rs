//! Metadata of Ultralytics' exporters.

use crate::families::decoding::Extras;
use crate::onnx::facts::Facts;
use crate::onnx::python_literal;

/// Metadata as Ultralytics' exporters write them.
pub fn is_ultralytics(facts: &Facts) -> bool {
    facts.metadata("names").is_some() && facts.metadata("stride").is_some()
}

/// The number of classes that have a name.
pub fn named_classes(facts: &Facts) -> Option<usize> {
    let names = facts.metadata("names").and_then(python_literal::names)?;
    Some(names.len()).filter(|count| *count > 0)
}

/// Whether the graph has chosen the rows, by what the metadata say.
pub fn is_end_to_end(facts: &Facts) -> bool {
    let with_nms = |args: &str| args.contains("'nms': True") || args.contains("\"nms\": true");
    facts.metadata("end2end") == Some("True") || facts.metadata("args").is_some_and(with_nms)
}

/// RT-DETR, whose queries need no suppression.
pub fn is_rtdetr(facts: &Facts) -> bool {
    facts.metadata("head") == Some("RTDETRDecoder")
}

/// The task, where it is one that finds boxes.
pub fn finds_boxes(facts: &Facts) -> bool {
    let tasks = ["detect", "segment", "pose", "obb"];
    let task = facts.metadata("task");
    task.is_none_or(|task| tasks.contains(&task))
}

/// The meaning that numbers beside box and scores have by the task.
pub fn meaning_of_extras(facts: &Facts, count: usize) -> Extras {
    match facts.metadata("task") {
        Some("pose") => Extras::Points,
        Some("segment") => Extras::Masks,
        Some("obb") if count == 1 => Extras::Angle,
        _ => Extras::Unknown,
    }
}

/// How many numbers there are beside box and scores, by task and shape of the key points or of the maps beside a table.
pub fn extras_of_task(facts: &Facts) -> Option<usize> {
    match facts.metadata("task")? {
        "detect" => Some(0),
        "obb" => Some(1),
        "pose" => {
            let shape = facts
                .metadata("kpt_shape")
                .and_then(python_literal::integers)?;
            let numbers = shape
                .into_iter()
                .try_fold(1_i64, |product, n| product.checked_mul(n));
            numbers.and_then(|n| usize::try_from(n).ok())
        }
        "segment" => masks(facts),
        _ => None,
    }
}

/// Coefficients of a mask: as many as there are prototypes in the one output `[1, masks, h, w]`.
pub fn masks(facts: &Facts) -> Option<usize> {
    let outputs = facts.outputs.iter().chain(&facts.left_out);
    let mut maps = outputs.filter(|port| port.dims().len() == 4);
    match (maps.next()?.dims(), maps.next()) {
        (&[_, masks, _, _], None) => masks,
        _ => None,
    }
}
