//! Detectors with two outputs of all candidates: boxes `[1, n, 4]`, corners in input pixels, and scores.
//!
//! | reading | scores | told by |
//! |---|---|---|
//! | YOLO-NAS without NMS | `[1, n, classes]` | one candidate a cell, boxes made in the graph and before the scores |
//! | PaddleDetection without NMS | `[1, classes, n]` | classes before candidates |

use super::{BoxesScores, BoxesScoresPlaces};
use crate::families::card::Card;
use crate::families::evidence::conventions;
use crate::families::evidence::grid_cells::{STRIDES, cells, misfit, told_by_card};
use crate::families::evidence::head::Head;
use crate::families::evidence::named_outputs::{self, is_integer, place};
use crate::families::evidence::paddle::of_paddle;
use crate::families::reading::{Convention, Reading};
use crate::onnx::facts::{Facts, Port};

pub fn read_yolo_nas(facts: &Facts) -> Option<Reading> {
    let pair = Pair::find(facts)?;
    let strides = STRIDES[0];
    if pair.candidates.is_none() || cells(facts, strides) != pair.candidates {
        return None;
    }
    let head = Head::trace(facts.graph, &facts.outputs[pair.places.boxes].name, 4);
    // DAMO-YOLO, of the same dims, has its scores first, and takes other pixels.
    if pair.by_class || of_paddle(facts) || !head.is_decoded() || pair.places.boxes != 0 {
        return None;
    }
    let because = format!(
        "it has corners and {} scores for one candidate a cell of strides {strides:?}, boxes first",
        pair.classes
    );
    Some(pair.reading("YOLO-NAS without NMS", conventions::ultralytics(), because))
}

pub fn read_paddle(facts: &Facts) -> Option<Reading> {
    let pair = Pair::find(facts).filter(|pair| pair.by_class)?;
    let because = "its scores lie class by class beside the boxes of all candidates";
    let name = "PaddleDetection without NMS";
    Some(pair.reading(name, conventions::paddle(facts), because.into()))
}

pub fn read_as(facts: &Facts, _: &Card) -> Result<Reading, String> {
    let expected = "boxes [1, n, 4] and scores [1, n, classes] or [1, classes, n]";
    let pair = Pair::find(facts).ok_or_else(|| misfit(facts, "boxes_scores", expected))?;
    Ok(pair.reading(
        "boxes and scores",
        conventions::ultralytics(),
        told_by_card(),
    ))
}

struct Pair {
    places: BoxesScoresPlaces,
    candidates: Option<usize>,
    classes: usize,
    by_class: bool,
}

impl Pair {
    fn find(facts: &Facts) -> Option<Self> {
        let [a, b] = &facts.outputs[..] else {
            return None;
        };
        if is_integer(a) || is_integer(b) {
            return None;
        }
        let first = Self::with(facts, a, b);
        let second = Self::with(facts, b, a);
        // Four classes: nothing tells which is which, unless a name does.
        match (first, second) {
            (Some(_), Some(_)) => {
                let box_like = place(facts, |output| output.name.to_lowercase().contains("box"))?;
                let (boxes, scores) = if box_like == 0 { (a, b) } else { (b, a) };
                Self::with(facts, boxes, scores)
            }
            (one, other) => one.or(other),
        }
    }

    fn with(facts: &Facts, boxes: &Port, scores: &Port) -> Option<Self> {
        let &[_, candidates, Some(4)] = boxes.dims() else {
            return None;
        };
        // No model has more classes than candidates, and where the candidates are not told, their axis is the free one.
        let &[_, a, b] = scores.dims() else {
            return None;
        };
        // Where the number of candidates is not told, their axis is the free one.
        let (classes, by_class) = match (candidates, a, b) {
            (Some(n), Some(m), Some(classes)) if m == n && classes != n => (classes, false),
            (Some(n), Some(classes), Some(m)) if m == n && classes != n => (classes, true),
            (_, None, Some(classes)) => (classes, false),
            (_, Some(classes), None) => (classes, true),
            _ => return None,
        };
        let index = |port: &Port| place(facts, |output| output.name == port.name);
        let places = BoxesScoresPlaces {
            boxes: index(boxes)?,
            scores: index(scores)?,
        };
        Some(Self {
            places,
            candidates,
            classes,
            by_class,
        })
    }

    fn reading(&self, name: &'static str, convention: Convention, because: String) -> Reading {
        let family = BoxesScores::new(self.places, self.by_class);
        Reading {
            classes: self.classes,
            stride: 32,
            iou_threshold: None,
            ..named_outputs::reading(name, family, convention, because)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::Family;
    use crate::families::evidence::named_outputs::testing::{of_facts, with_outputs};
    use crate::onnx::testing::{float_tensor, node};

    type Found = Option<(Box<dyn Family>, usize)>;

    /// Both readers on a model that adds a grid to its boxes; 64x64 pixels are 84 cells.
    fn found(outputs: &[(&str, &[i64])]) -> [Found; 2] {
        let nodes = outputs
            .iter()
            .map(|(name, _)| node("Add", &["images", "grid"], &[name]));
        let mut model = with_outputs(nodes.collect(), outputs);
        let grid = float_tensor("grid", &[84, 4], &[0.0; 336]);
        model
            .graph
            .as_mut()
            .expect("a graph")
            .initializer
            .push(grid);
        of_facts(&model, |facts| {
            [read_yolo_nas, read_paddle].map(|read| read(facts).map(|r| (r.family, r.classes)))
        })
    }

    fn family(boxes: usize, scores: usize, by_class: bool) -> Box<dyn Family> {
        let places = BoxesScoresPlaces { boxes, scores };
        Box::new(BoxesScores::new(places, by_class))
    }

    #[test]
    fn the_axis_of_classes_tells_the_exporter() {
        let nas = [("a", &[1, 84, 4][..]), ("b", &[1, 84, 80])];
        assert_eq!(found(&nas), [Some((family(0, 1, false), 80)), None]);
        let paddle = [("a", &[1, 84, 4][..]), ("b", &[1, 80, 84])];
        assert_eq!(found(&paddle), [None, Some((family(0, 1, true), 80))]);
        let four = [("scores", &[1, 4, 84][..]), ("boxes", &[1, 84, 4])];
        assert_eq!(found(&four), [None, Some((family(1, 0, true), 4))]);
    }

    #[test]
    fn other_outputs_are_not_these() {
        for outputs in [
            &[("scores", &[1, 84, 80][..]), ("boxes", &[1, 84, 4])][..],
            &[("boxes", &[1, 85, 4]), ("scores", &[1, 85, 80])],
            &[("a", &[1, 84, 4]), ("b", &[1, 84, 4])],
            &[("boxes", &[1, 84, 4]), ("int_labels", &[1, 84, 80])],
            &[("boxes", &[1, 84, 4]), ("scores", &[1, 84])],
        ] {
            assert_eq!(found(outputs), [None, None], "{outputs:?}");
        }
    }

    #[test]
    fn a_table_that_is_not_decoded_is_not_read() {
        let outputs = [("a", &[1, 84, 4][..]), ("b", &[1, 84, 80])];
        let model = with_outputs(vec![node("Conv", &["images"], &["a"])], &outputs);
        assert!(of_facts(&model, |facts| read_yolo_nas(facts).is_none()));
        let told = of_facts(&model, |facts| read_as(facts, &Card::default()));
        assert_eq!(told.map(|reading| reading.classes), Ok(80));
    }
}
