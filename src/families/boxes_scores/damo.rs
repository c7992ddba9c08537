//! DAMO-YOLO: scores `[1, n, classes]`, first, and boxes `[1, n, 4]`, corners in input pixels, one candidate a cell.
//!
//! YOLO-NAS has the same dims with the boxes first. That the boxes are made in the graph shows in the grid it adds to
//! them, that the scores are probabilities in their sigmoid.

use super::{BoxesScores, BoxesScoresPlaces};
use crate::base::tensor::ResizeMode;
use crate::families::evidence::conventions;
use crate::families::evidence::grid_cells::{STRIDES, cells, largest};
use crate::families::evidence::head::Head;
use crate::families::reading::{Convention, Reading};
use crate::onnx::facts::Facts;

const PLACES: BoxesScoresPlaces = BoxesScoresPlaces {
    boxes: 1,
    scores: 0,
};

pub fn read(facts: &Facts) -> Option<Reading> {
    let (classes, candidates) = pair(facts)?;
    let strides = STRIDES
        .into_iter()
        .find(|strides| candidates.is_some() && cells(facts, strides) == candidates)?;
    let head =
        |place: usize, features| Head::trace(facts.graph, &facts.outputs[place].name, features);
    let (scores, boxes) = (head(PLACES.scores, classes), head(PLACES.boxes, 4));
    if scores.sigmoids == 0 || scores.selects || !boxes.is_decoded() {
        return None;
    }
    let because = format!(
        "it has {classes} scores with a sigmoid, then corners with a grid added, for one candidate a cell of strides \
         {strides:?}"
    );
    Some(reading(classes, largest(strides), because))
}

/// Classes and candidates.
fn pair(facts: &Facts) -> Option<(usize, Option<usize>)> {
    let [scores, boxes] = &facts.outputs[..] else {
        return None;
    };
    match (scores.dims(), boxes.dims()) {
        (&[_, n, Some(classes)], &[_, m, Some(4)]) if n == m => Some((classes, n)),
        _ => None,
    }
}

fn reading(classes: usize, stride: u32, because: String) -> Reading {
    Reading {
        name: "DAMO-YOLO",
        family: Box::new(BoxesScores::new(PLACES, false)),
        because,
        classes,
        convention: Convention {
            std: [1.0; 3],
            resize: ResizeMode::LetterboxTopLeft,
            pad_value: 0.0,
            ..conventions::ultralytics()
        },
        sure: false,
        stride,
        labels: &[],
        score_threshold: None,
        iou_threshold: Some(0.7),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{float_tensor, model, node};

    /// 8 x 8, 4 x 4 and 2 x 2 cells.
    const SCORES: (&str, &[i64]) = ("output", &[1, 84, 3]);
    const BOXES: (&str, &[i64]) = ("1071", &[1, 84, 4]);

    fn classes(outputs: &[(&str, &[i64])], activation: &str, decoded: bool) -> Option<usize> {
        let mut nodes = vec![
            node("Conv", &["x"], &["c"]),
            node(activation, &["c"], &["output"]),
        ];
        let grid = if decoded { "grid" } else { "bias" };
        nodes.push(node("Add", &["c", grid], &["1071"]));
        let mut model = model(nodes, &[("x", &[1, 3, 64, 64])], outputs);
        let graph = model.graph.as_mut().expect("just made");
        graph.initializer = vec![
            float_tensor("grid", &[1, 84, 4], &[0.0; 84 * 4]),
            float_tensor("bias", &[4], &[0.0; 4]),
        ];
        let graph = model.graph.as_ref().expect("just made");
        let facts = Facts::new(&model, graph).expect("it takes a picture");
        read(&facts).map(|reading| reading.classes)
    }

    #[test]
    fn scores_with_a_sigmoid_come_before_boxes_with_a_grid() {
        let both = [SCORES, BOXES];
        assert_eq!(classes(&both, "Sigmoid", true), Some(3));
        assert_eq!(classes(&both, "Softmax", true), None, "SSD");
        assert_eq!(classes(&both, "Sigmoid", false), None, "raw");
        assert_eq!(classes(&[BOXES, SCORES], "Sigmoid", true), None, "YOLO-NAS");
    }

    #[test]
    fn other_numbers_of_candidates_are_others() {
        let outputs: [(&str, &[i64]); 2] = [("output", &[1, 85, 3]), ("1071", &[1, 85, 4])];
        assert_eq!(classes(&outputs, "Sigmoid", true), Some(3), "four strides");
        let outputs: [(&str, &[i64]); 2] = [("output", &[1, 90, 3]), ("1071", &[1, 90, 4])];
        assert_eq!(classes(&outputs, "Sigmoid", true), None);
    }
}
