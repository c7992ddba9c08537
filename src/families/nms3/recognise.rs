//! Detectors with three outputs of one row a detection: boxes `[n, 4]`, scores `[n]`, class numbers `[n]`.
//!
//! RT-DETR, D-FINE and DEIM, as they are deployed, also take the size of the picture: they are the ones that stretch it.
//! Their class numbers are remainders of a division by the number of classes. DeepStream-Yolo before 2024 has a row for
//! each candidate, of which the graph chooses none.
//!
//! Names of outputs vary; types and dims tell them apart. Where class numbers are floats, a name must speak of classes or
//! labels. Boxes as TensorFlow's API names them are shares of the input and not meant here.

use super::{Nms3, Nms3Places};
use crate::families::card::Card;
use crate::families::evidence::conventions;
use crate::families::evidence::grid_cells::{misfit, told_by_card};
use crate::families::evidence::head::Head;
use crate::families::evidence::named_outputs::{self, agree, is_integer, place, plain};
use crate::families::evidence::pieces::{divisor, is_best};
use crate::families::reading::Reading;
use crate::onnx::facts::{Facts, Port};
use crate::onnx::side_input::Side;

pub fn read(facts: &Facts) -> Option<Reading> {
    let places = places(facts)?;
    let name = |place: usize| &facts.outputs[place].name;
    let because = format!(
        "its outputs \"{}\" [n, 4], \"{}\" [n] and \"{}\" [n] are boxes, scores and class numbers",
        name(places.boxes),
        name(places.scores),
        name(places.labels)
    );
    Some(reading(facts, places, because))
}

pub fn read_as(facts: &Facts, _: &Card) -> Result<Reading, String> {
    let places = places(facts)
        .ok_or_else(|| misfit(facts, "nms3", "boxes [n, 4], scores [n] and labels [n]"))?;
    Ok(reading(facts, places, told_by_card()))
}

fn reading(facts: &Facts, places: Nms3Places, because: String) -> Reading {
    if facts.sides.contains(&Side::OriginalSize) {
        let because = format!("{because}, and it takes \"orig_target_sizes\"");
        let labels = &facts.outputs[places.labels].name;
        return Reading {
            classes: divisor(facts.graph, labels).unwrap_or(0),
            stride: 32,
            ..named_outputs::reading(
                "RT-DETR, D-FINE, DEIM",
                Nms3::chosen(places),
                conventions::stretched(),
                because,
            )
        };
    }
    if is_of_all(facts, places) {
        let because = format!("{because}, and nothing chooses among its candidates");
        return Reading {
            stride: 32,
            iou_threshold: None,
            ..named_outputs::reading(
                "DeepStream-Yolo, three outputs",
                Nms3::of_all(places),
                conventions::ultralytics(),
                because,
            )
        };
    }
    named_outputs::reading(
        "boxes, scores and labels",
        Nms3::chosen(places),
        conventions::ultralytics(),
        because,
    )
}

/// Whether there are as many rows for each picture, and nothing in the graph chooses among them.
fn is_of_all(facts: &Facts, places: Nms3Places) -> bool {
    let boxes = &facts.outputs[places.boxes];
    let chooses = |port: &Port| Head::trace(facts.graph, &port.name, 4).selects;
    let counted = matches!(boxes.dims(), [_, Some(_), Some(4)]);
    let made = facts
        .graph
        .node
        .iter()
        .any(|node| node.output.contains(&boxes.name));
    counted && made && !facts.outputs.iter().any(chooses)
}

fn places(facts: &Facts) -> Option<Nms3Places> {
    let boxes = place(facts, |output| count(output, &[4]).is_some())?;
    // `[n, 4]` could also be a batch of four numbers.
    let boxes_name = &facts.outputs[boxes].name;
    let list = |output: &Port| output.name != *boxes_name && list_of(output).is_some();
    let labels = place(facts, |output| list(output) && is_integer(output))
        .or_else(|| place(facts, |output| list(output) && speaks_of_classes(output)))
        .or_else(|| place(facts, |port| list(port) && is_best(facts.graph, &port.name)))?;
    let labels_name = &facts.outputs[labels].name;
    let scores = place(facts, |output| {
        list(output) && !is_integer(output) && output.name != *labels_name
    })?;
    let n = |place: usize| list_of(&facts.outputs[place]).flatten();
    let rows = count(&facts.outputs[boxes], &[4]).flatten();
    let alike = agree(rows, n(scores)) && agree(rows, n(labels));
    let of_tensorflow = plain(boxes_name) == "detection_boxes";
    (alike && !of_tensorflow && facts.outputs.len() == 3).then_some(Nms3Places {
        boxes,
        scores,
        labels,
    })
}

/// The number of rows of a list, which may have a 1 behind it.
fn list_of(output: &Port) -> Option<Option<usize>> {
    count(output, &[]).or_else(|| count(output, &[1]))
}

fn speaks_of_classes(output: &Port) -> bool {
    let name = output.name.to_lowercase();
    ["label", "class", "cls"]
        .iter()
        .any(|word| name.contains(word))
}

/// The number of rows, itself none where it is free, of an output `[n, row]` or `[1, n, row]`.
fn count(output: &Port, row: &[usize]) -> Option<Option<usize>> {
    let dims = output.dims();
    let (rows, last) = dims.split_at_checked(dims.len().checked_sub(row.len())?)?;
    let same = last
        .iter()
        .zip(row)
        .all(|(dim, wanted)| *dim == Some(*wanted));
    match rows {
        [n] if same => Some(*n),
        // A free first dim is the batch.
        [None | Some(1), n] if same => Some(*n),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::evidence::named_outputs::testing::{of_facts, with_outputs};

    fn found(outputs: &[(&str, &[i64])]) -> Option<[usize; 3]> {
        of_facts(&with_outputs(vec![], outputs), |facts| {
            places(facts).map(|p| [p.boxes, p.scores, p.labels])
        })
    }

    #[test]
    fn outputs_are_told_apart_by_type_and_dims() {
        let free = [
            ("boxes", &[-1, 4][..]),
            ("scores", &[-1]),
            ("int_labels", &[-1]),
        ];
        assert_eq!(found(&free), Some([0, 1, 2]));
        let fixed = [
            ("int_a", &[1, 300][..]),
            ("b", &[1, 300, 4]),
            ("c", &[1, 300]),
        ];
        assert_eq!(found(&fixed), Some([1, 2, 0]));
    }

    #[test]
    fn class_numbers_that_are_floats_need_a_name() {
        let named = [
            ("boxes", &[-1, 4][..]),
            ("Classes", &[-1]),
            ("scores", &[-1]),
        ];
        assert_eq!(found(&named), Some([0, 2, 1]));
        let unnamed = [("a", &[-1, 4][..]), ("b", &[-1]), ("c", &[-1])];
        assert_eq!(found(&unnamed), None);
    }

    #[test]
    fn other_outputs_are_not_these() {
        for outputs in [
            // Two of mmdeploy, whose rows carry the score.
            &[("dets", &[1, 100, 5][..]), ("int_labels", &[1, 100])][..],
            &[("boxes", &[7, 4]), ("scores", &[8]), ("int_labels", &[7])],
            &[
                ("detection_boxes:0", &[1, 100, 4]),
                ("detection_scores:0", &[1, 100]),
                ("detection_classes:0", &[1, 100]),
            ],
            &[
                ("boxes", &[1, 100, 4]),
                ("scores", &[1, 100, 80]),
                ("int_labels", &[1, 100]),
            ],
            &[
                ("boxes", &[-1, 4]),
                ("scores", &[-1]),
                ("int_labels", &[-1]),
                ("masks", &[-1, 1, 28, 28]),
            ],
        ] {
            assert_eq!(found(outputs), None, "{outputs:?}");
        }
    }
}
