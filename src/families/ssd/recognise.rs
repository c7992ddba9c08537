//! SSD: scores with a background `[1, n, 1 + classes]` and boxes `[1, n, 4]`, one row a prior.
//!
//! | reading | outputs | input |
//! |---|---|---|
//! | pytorch-ssd, jetson-inference: MobileNet | softmax in the graph, boxes decoded, shares of the input | RGB, (pixel - 127) / 128, stretch |
//! | the same, VGG: 8732 priors | same | RGB, less a mean, stretch |
//!
//! Raw boxes lie beside priors, which no file tells and which differ between models of the same dims: they need a card
//! with `prior_layers`, and are refused without. Whether scores have been through a softmax, the graph tells.

use super::{PRIOR_LAYERS, Ssd, SsdPlaces};
use crate::families::card::Card;
use crate::families::evidence::conventions;
use crate::families::evidence::face_priors;
use crate::families::evidence::grid_cells::{misfit, told_by_card};
use crate::families::evidence::head::Head;
use crate::families::evidence::named_outputs::is_integer;
use crate::families::reading::{Convention, Reading};
use crate::onnx::facts::Facts;

/// Priors of the VGG form at 300x300.
const VGG_PRIORS: usize = 8732;
const EXPECTED: &str = "scores [1, n, 1 + classes] and boxes [1, n, 4]";

pub fn read(facts: &Facts) -> Option<Reading> {
    let pair = Pair::find(facts)?;
    if !pair.softmax(facts) || !pair.decoded(facts) || pair.of_ultraface(facts) {
        return None;
    }
    let because = format!(
        "it has a softmax over {} scores and decoded boxes, as many as no grid of one a cell has",
        pair.scores
    );
    Some(pair.reading(facts, because))
}

/// Why outputs that look like these are refused.
pub fn why_not(facts: &Facts) -> Option<String> {
    let pair = Pair::find(facts).filter(|pair| !pair.decoded(facts))?;
    let count = pair.count.map_or("many".into(), |n| n.to_string());
    Some(format!(
        "its outputs look like those of SSD, {} scores and a raw box for each of {count} priors, but no file tells the \
         priors, expected a card with \"decode\": \"ssd\" and \"prior_layers\"",
        pair.scores
    ))
}

pub fn read_as(facts: &Facts, card: &Card) -> Result<Reading, String> {
    let pair = Pair::find(facts).ok_or_else(|| misfit(facts, "ssd", EXPECTED))?;
    if card.get(&PRIOR_LAYERS).is_none() && !pair.decoded(facts) {
        let what =
            "decode is \"ssd\" but the graph does not decode the boxes, expected \"prior_layers\"";
        return Err(what.into());
    }
    Ok(pair.reading(facts, told_by_card()))
}

struct Pair {
    places: SsdPlaces,
    count: Option<usize>,
    /// Numbers of a row of scores, the background's among them.
    scores: usize,
}

impl Pair {
    fn find(facts: &Facts) -> Option<Self> {
        let [a, b] = &facts.outputs[..] else {
            return None;
        };
        if is_integer(a) || is_integer(b) {
            return None;
        }
        let with = |boxes: usize, scores: usize| {
            let ports = (facts.outputs[boxes].dims(), facts.outputs[scores].dims());
            let (&[_, n, Some(4)], &[_, m, Some(width)]) = ports else {
                return None;
            };
            (n == m && width >= 2).then_some(Self {
                places: SsdPlaces { boxes, scores },
                count: n,
                scores: width,
            })
        };
        // With three classes only the order or a name is left.
        let first_is_boxes = ["box", "loc"].iter().any(|part| a.name.contains(part));
        match (with(1, 0), with(0, 1)) {
            (Some(_), Some(boxes_first)) if first_is_boxes => Some(boxes_first),
            (one, other) => one.or(other),
        }
    }

    fn softmax(&self, facts: &Facts) -> bool {
        let name = &facts.outputs[self.places.scores].name;
        maker(facts, name) == Some("Softmax")
    }

    fn decoded(&self, facts: &Facts) -> bool {
        let name = &facts.outputs[self.places.boxes].name;
        Head::trace(facts.graph, name, 4).is_decoded()
    }

    fn of_ultraface(&self, facts: &Facts) -> bool {
        self.scores == 2 && self.count.is_some() && self.count == face_priors::count(facts)
    }

    fn reading(&self, facts: &Facts, because: String) -> Reading {
        let convention = if self.count == Some(VGG_PRIORS) {
            Convention {
                mean: [123.0, 117.0, 104.0],
                std: [1.0; 3],
                ..conventions::stretched()
            }
        } else {
            Convention {
                mean: [127.0; 3],
                std: [128.0; 3],
                ..conventions::stretched()
            }
        };
        Reading {
            name: "SSD",
            family: Box::new(Ssd {
                places: self.places,
                logits: !self.softmax(facts),
                priors: None,
            }),
            because,
            classes: self.scores - 1,
            convention,
            sure: false,
            stride: 1,
            labels: &[],
            score_threshold: None,
            iou_threshold: None,
        }
    }
}

/// The operator that makes the numbers of a value, behind what changes only their place.
fn maker<'a>(facts: &'a Facts, name: &str) -> Option<&'a str> {
    let mut name = name;
    // Bounded: a graph that is no model may run in a circle.
    for _ in 0..16 {
        let made = |node: &&crate::onnx::proto::NodeProto| node.output.iter().any(|o| o == name);
        let node = facts.graph.node.iter().find(made)?;
        match node.op_type.as_str() {
            "Identity" | "Cast" | "Reshape" | "Transpose" | "Concat" | "Squeeze" | "Unsqueeze"
            | "Flatten" => name = node.input.first()?,
            op => return Some(op),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::evidence::testing::{Outputs, card, with_facts_of};
    use crate::onnx::testing::node;

    const INPUT: [i64; 4] = [1, 3, 300, 300];
    const OUTPUTS: Outputs = &[("scores", &[1, 3000, 21]), ("boxes", &[1, 3000, 4])];

    /// `look` at scores made by `activation` and boxes made by `last`.
    fn with<T>(
        activation: &str,
        last: &str,
        outputs: Outputs,
        look: impl FnOnce(&Facts) -> T,
    ) -> T {
        let nodes = vec![
            node(activation, &["x"], &["s"]),
            node("Identity", &["s"], &["scores"]),
            node(last, &["x"], &["boxes"]),
        ];
        with_facts_of(nodes, &INPUT, outputs, look)
    }

    #[test]
    fn it_is_told_by_its_softmax_and_its_decoding() {
        let reading = with("Softmax", "Exp", OUTPUTS, read).expect("SSD");
        assert_eq!((reading.classes, reading.convention.mean), (20, [127.0; 3]));
        let vgg: Outputs = &[("scores", &[1, 8732, 21]), ("boxes", &[1, 8732, 4])];
        let vgg = with("Softmax", "Exp", vgg, read).expect("the VGG form");
        assert_eq!(vgg.convention.mean, [123.0, 117.0, 104.0]);
        assert_eq!(with("Sigmoid", "Exp", OUTPUTS, read), None);
        assert_eq!(with("Softmax", "Concat", OUTPUTS, read), None, "raw");
    }

    #[test]
    fn the_priors_of_ultraface_are_left_to_it() {
        let count = 38 * 38 * 3 + 19 * 19 * 2 + 10 * 10 * 2 + 5 * 5 * 3;
        let dims = [[1, count, 2], [1, count, 4]];
        let outputs = [("scores", &dims[0][..]), ("boxes", &dims[1][..])];
        assert_eq!(with("Softmax", "Exp", &outputs, read), None);
        let others: Outputs = &[("scores", &[1, 3000, 2]), ("boxes", &[1, 3000, 4])];
        let one = with("Softmax", "Exp", others, read);
        assert_eq!(one.map(|r| r.classes), Some(1));
    }

    #[test]
    fn three_classes_are_told_by_name_or_order() {
        let places = |outputs| {
            with("Softmax", "Exp", outputs, |facts| {
                Pair::find(facts).map(|pair| pair.places.boxes)
            })
        };
        assert_eq!(
            places(&[("scores", &[1, 9, 4]), ("boxes", &[1, 9, 4])]),
            Some(1)
        );
        assert_eq!(
            places(&[("boxes", &[1, 9, 4]), ("scores", &[1, 9, 4])]),
            Some(0)
        );
        assert_eq!(
            places(&[("boxes", &[1, 9, 4]), ("scores", &[1, 8, 4])]),
            None
        );
    }

    #[test]
    fn raw_boxes_need_the_priors_of_a_card() {
        let empty = card("{}");
        let priors =
            card(r#"{"prior_layers": {"layers": [{"cells": [1, 1], "boxes": [[9, 9]]}]}}"#);
        with("Conv", "Conv", OUTPUTS, |facts| {
            assert_eq!(read(facts), None);
            let why = why_not(facts).expect("it looks like one");
            assert!(
                why.contains("3000 priors") && why.contains("\"prior_layers\""),
                "{why}"
            );
            assert!(read_as(facts, &empty).is_err_and(|what| what.contains("prior_layers")));
            let reading = read_as(facts, &priors).expect("the card has priors");
            let family: Option<&Ssd> = reading.family.downcast_ref();
            assert!(family.is_some_and(|own| own.logits));
        });
        with("Conv", "Exp", OUTPUTS, |facts| {
            assert_eq!(why_not(facts), None);
            assert!(read_as(facts, &empty).is_ok());
        });
    }
}
