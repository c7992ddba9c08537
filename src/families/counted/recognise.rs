//! Detectors with four outputs, told by their names: a number of detections, and boxes in input pixels, scores and class
//! numbers that are filled up to a fixed length.
//!
//! | reading | names |
//! |---|---|
//! | YOLOv5 to v8, end-to-end for TensorRT | `num_dets`, `det_boxes`, `det_scores`, `det_classes` |
//! | YOLO-NAS, batch | `num_predictions`, `pred_boxes`, `pred_scores`, `pred_classes` |

use super::{Counted, CountedPlaces};
use crate::families::card::Card;
use crate::families::evidence::conventions;
use crate::families::evidence::grid_cells::{misfit, told_by_card};
use crate::families::evidence::named_outputs::{self, place};
use crate::families::reading::Reading;
use crate::onnx::facts::Facts;

/// Name of the reading, and how the names of its outputs end: exporters put the name of a part of the graph before.
const NAMES: [(&str, [&str; 4]); 2] = [
    (
        "YOLO, four outputs",
        ["num_dets", "det_boxes", "det_scores", "det_classes"],
    ),
    (
        "YOLO-NAS, batch",
        [
            "num_predictions",
            "pred_boxes",
            "pred_scores",
            "pred_classes",
        ],
    ),
];

pub fn read(facts: &Facts) -> Option<Reading> {
    let (name, places) = places(facts)?;
    Some(reading(name, places, "its outputs are named so".into()))
}

pub fn read_as(facts: &Facts, _: &Card) -> Result<Reading, String> {
    let expected = NAMES.map(|(_, names)| names.join(", ")).join(", or ");
    let (name, places) = places(facts).ok_or_else(|| misfit(facts, "counted", &expected))?;
    Ok(reading(name, places, told_by_card()))
}

fn reading(name: &'static str, places: CountedPlaces, because: String) -> Reading {
    Reading {
        stride: 32,
        ..named_outputs::reading(name, Counted(places), conventions::ultralytics(), because)
    }
}

fn places(facts: &Facts) -> Option<(&'static str, CountedPlaces)> {
    NAMES
        .into_iter()
        .find_map(|(name, [count, boxes, scores, classes])| {
            let named = |end: &str| place(facts, |output| output.name.ends_with(end));
            let places = CountedPlaces {
                count: named(count)?,
                boxes: named(boxes)?,
                scores: named(scores)?,
                classes: named(classes)?,
            };
            let boxes = facts.outputs[places.boxes].dims();
            matches!(boxes, [.., Some(4)]).then_some((name, places))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::evidence::named_outputs::testing::{of_facts, with_outputs};

    fn found(outputs: &[(&str, &[i64])]) -> Option<(&'static str, [usize; 4])> {
        of_facts(&with_outputs(vec![], outputs), |facts| {
            places(facts).map(|(name, p)| (name, [p.count, p.boxes, p.scores, p.classes]))
        })
    }

    #[test]
    fn outputs_are_found_by_the_ends_of_their_names() {
        let yolo = [
            ("int_num_dets", &[1, 1][..]),
            ("det_boxes", &[1, 100, 4]),
            ("det_scores", &[1, 100]),
            ("int_det_classes", &[1, 100]),
        ];
        assert_eq!(found(&yolo), Some(("YOLO, four outputs", [0, 1, 2, 3])));
        let nas = [
            ("graph2_pred_boxes", &[1, 100, 4][..]),
            ("graph2_pred_scores", &[1, 100]),
            ("int_graph2_pred_classes", &[1, 100]),
            ("int_graph2_num_predictions", &[1, 1]),
        ];
        assert_eq!(found(&nas), Some(("YOLO-NAS, batch", [3, 0, 1, 2])));
        assert_eq!(found(&nas[1..]), None);
    }

    #[test]
    fn key_points_of_people_are_not_these() {
        let pose = [
            ("int_num_predictions", &[1, 1][..]),
            ("pred_boxes", &[1, 100, 4]),
            ("pred_scores", &[1, 100]),
            ("pred_joints", &[1, 100, 17, 3]),
        ];
        assert_eq!(found(&pose), None);
    }
}
