//! Detectors of queries, with two outputs: logits `[1, n, classes]` and boxes `[1, n, 4]`.
//!
//! | reading | logits, boxes | scores | input |
//! |---|---|---|---|
//! | RT-DETR, D-FINE | `logits`, `pred_boxes`, chosen in the graph | sigmoid | RGB / 255, stretched |
//! | RF-DETR | `labels`, `dets` | sigmoid | RGB, ImageNet's mean and deviation, stretched |
//! | Conditional and Deformable DETR | `logits`, `pred_boxes`, learnt queries | sigmoid | same |
//! | DETR, YOLOS | same, and a logit more: that of no object | softmax | same |
//!
//! Where queries are learnt, the number of logits must tell: one more than the metadata have names, or 92, is softmax;
//! as many as the names, or 91, sigmoid (91 are COCO's category ids from 0 to 90). Any other number could be either.

use super::{ACTIVATION, Activation, Detr, DetrPlaces};
use crate::families::card::Card;
use crate::families::evidence::conventions;
use crate::families::evidence::grid_cells::{misfit, told_by_card};
use crate::families::evidence::named_outputs::{self, agree, place};
use crate::families::reading::{Convention, Reading};
use crate::onnx::facts::Facts;
use crate::onnx::python_literal;

use Activation::{Sigmoid, Softmax};

/// Names of logits and of boxes.
const RT: [&str; 2] = ["logits", "pred_boxes"];
const RF: [&str; 2] = ["labels", "dets"];
/// COCO's category ids go to 90.
const COCO_IDS: usize = 91;

pub fn read_sigmoid(facts: &Facts) -> Option<Reading> {
    let outputs = Outputs::find(facts)?;
    let because = match outputs.evidence(facts) {
        (Some(Sigmoid), why) => why,
        (None, why) => format!("{why}: sigmoid, if all of them are classes"),
        (Some(Softmax), _) => return None,
    };
    let (name, convention) = match (outputs.of_rf, chooses(facts)) {
        (true, _) => ("RF-DETR", conventions::imagenet()),
        (false, true) => ("RT-DETR", conventions::stretched()),
        (false, false) => ("Conditional or Deformable DETR", conventions::imagenet()),
    };
    Some(outputs.reading(name, Sigmoid, convention, because))
}

pub fn read_softmax(facts: &Facts) -> Option<Reading> {
    let outputs = Outputs::find(facts)?;
    let because = match outputs.evidence(facts) {
        (Some(Softmax), why) => why,
        (None, why) => format!("{why}: softmax, if the last of them is that of no object"),
        (Some(Sigmoid), _) => return None,
    };
    (outputs.logits > 1).then(|| outputs.reading("DETR", Softmax, conventions::imagenet(), because))
}

pub fn read_as(facts: &Facts, card: &Card) -> Result<Reading, String> {
    let expected = "logits [1, n, classes] and boxes [1, n, 4], named \"logits\" and \"pred_boxes\" or \"labels\" \
        and \"dets\"";
    let outputs = Outputs::find(facts).ok_or_else(|| misfit(facts, "detr", expected))?;
    let activation = (card.get(&ACTIVATION).or(outputs.evidence(facts).0)).ok_or(
        "decode is \"detr\" and nothing tells how logits become scores, expected activation beside it: \
            \"sigmoid\" or \"softmax\"",
    )?;
    let (name, convention) = match activation {
        Sigmoid if outputs.of_rf => ("RF-DETR", conventions::imagenet()),
        Sigmoid if chooses(facts) => ("RT-DETR", conventions::stretched()),
        Sigmoid => ("Conditional or Deformable DETR", conventions::imagenet()),
        Softmax => ("DETR", conventions::imagenet()),
    };
    Ok(outputs.reading(name, activation, convention, told_by_card()))
}

/// Whether queries are chosen in the graph: such detectors are younger than the softmax.
fn chooses(facts: &Facts) -> bool {
    let chooses = |op: &str| op == "TopK" || op == "NonMaxSuppression";
    facts.graph.node.iter().any(|node| chooses(&node.op_type))
}

/// Which output is which.
struct Outputs {
    places: DetrPlaces,
    logits: usize,
    /// Named as RF-DETR does.
    of_rf: bool,
}

impl Outputs {
    fn find(facts: &Facts) -> Option<Self> {
        [RT, RF].into_iter().find_map(|[logits, boxes]| {
            let named = |name| place(facts, |output| output.name == name);
            let places = DetrPlaces {
                logits: named(logits)?,
                boxes: named(boxes)?,
            };
            let dims = |place: usize| facts.outputs[place].dims();
            match (dims(places.logits), dims(places.boxes)) {
                (&[_, n, Some(logits)], &[_, m, Some(4)]) if agree(n, m) => Some(Self {
                    places,
                    logits,
                    of_rf: boxes == RF[1],
                }),
                _ => None,
            }
        })
    }

    /// Returns the function that makes scores of the logits, where the file tells it, and the evidence.
    fn evidence(&self, facts: &Facts) -> (Option<Activation>, String) {
        let names = [self.places.logits, self.places.boxes].map(|place| &facts.outputs[place].name);
        let named = format!(
            "its outputs are named \"{}\" and \"{}\"",
            names[0], names[1]
        );
        let labels = facts.metadata("names").and_then(python_literal::names);
        let labels = labels.map_or(0, |names| names.len());
        let logits = self.logits;
        match () {
            () if chooses(facts) => (
                Some(Sigmoid),
                format!("{named} and its queries are chosen in the graph"),
            ),
            () if self.of_rf => (Some(Sigmoid), named),
            () if labels > 0 && logits == labels + 1 => (
                Some(Softmax),
                format!("{named}, with a logit more than its metadata have names"),
            ),
            () if labels > 0 && logits == labels => (
                Some(Sigmoid),
                format!("{named}, with as many logits as its metadata have names"),
            ),
            () if logits == COCO_IDS + 1 => (
                Some(Softmax),
                format!("{named}, with logits of COCO's {COCO_IDS} category ids and of no object"),
            ),
            () if logits == COCO_IDS => (
                Some(Sigmoid),
                format!("{named}, with logits of COCO's {COCO_IDS} category ids"),
            ),
            () => (None, format!("{named}, with {logits} logits")),
        }
    }

    fn reading(
        &self,
        name: &'static str,
        activation: Activation,
        convention: Convention,
        because: String,
    ) -> Reading {
        let family = Detr {
            places: self.places,
            activation,
        };
        let classes = match activation {
            Sigmoid => self.logits,
            Softmax => self.logits.saturating_sub(1),
        };
        Reading {
            classes,
            stride: 32,
            ..named_outputs::reading(name, family, convention, because)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::evidence::named_outputs::testing::{of_facts, with_outputs};
    use crate::families::evidence::testing::card;
    use crate::families::recognise::recognise;
    use crate::onnx::proto::{ModelProto, StringStringEntryProto};
    use crate::onnx::testing::node;

    fn queries(op: &str, outputs: &[(&str, &[i64])]) -> ModelProto {
        with_outputs(vec![node(op, &["images"], &["t"])], outputs)
    }

    /// Name, activation and classes of each reading.
    fn found(model: &ModelProto) -> Vec<(&'static str, Activation, usize)> {
        of_facts(model, |facts| {
            let readings = [read_sigmoid, read_softmax]
                .into_iter()
                .filter_map(|read| read(facts));
            readings
                .map(|reading| {
                    let family: &Detr = reading.family.downcast_ref().expect("DETR");
                    (reading.name, family.activation, reading.classes)
                })
                .collect()
        })
    }

    /// DETR's outputs with so many logits, for queries that are learnt.
    fn learnt(logits: i64) -> ModelProto {
        queries(
            "Relu",
            &[("logits", &[1, 100, logits]), ("pred_boxes", &[1, 100, 4])],
        )
    }

    #[test]
    fn names_tell_which_output_is_which() {
        let rt = queries(
            "TopK",
            &[("logits", &[1, 300, 80]), ("pred_boxes", &[1, 300, 4])],
        );
        assert_eq!(found(&rt), [("RT-DETR", Sigmoid, 80)]);
        // Four classes: the dims alone would not tell.
        let rf = queries("TopK", &[("dets", &[1, 300, 4]), ("labels", &[1, 300, 4])]);
        assert_eq!(found(&rf), [("RF-DETR", Sigmoid, 4)]);
        let places = of_facts(&rf, |facts| Outputs::find(facts).map(|o| o.places));
        assert_eq!(
            places,
            Some(DetrPlaces {
                logits: 1,
                boxes: 0
            })
        );
    }

    #[test]
    fn the_number_of_logits_tells_the_activation_of_learnt_queries() {
        assert_eq!(found(&learnt(92)), [("DETR", Softmax, 91)]);
        let deformable = "Conditional or Deformable DETR";
        assert_eq!(found(&learnt(91)), [(deformable, Sigmoid, 91)]);
        let mut named = learnt(3);
        let names = |text: &str| StringStringEntryProto {
            key: "names".into(),
            value: text.into(),
        };
        named.metadata_props = vec![names("{0: 'a', 1: 'b'}")];
        assert_eq!(found(&named), [("DETR", Softmax, 2)]);
        named.metadata_props = vec![names("{0: 'a', 1: 'b', 2: 'c'}")];
        assert_eq!(found(&named), [(deformable, Sigmoid, 3)]);
    }

    #[test]
    fn two_activations_are_refused_until_the_card_tells_one() {
        let model = learnt(8);
        let error = of_facts(&model, |facts| {
            recognise(facts, &Card::default()).unwrap_err()
        });
        let error = error.to_string();
        assert!(
            error.contains("sigmoid") && error.contains("softmax"),
            "{error}"
        );
        for text in [
            r#"{"activation": "softmax"}"#,
            r#"{"decode": "detr", "activation": "softmax"}"#,
        ] {
            let reading = of_facts(&model, |facts| recognise(facts, &card(text)).unwrap());
            assert_eq!((reading.name, reading.classes), ("DETR", 7), "{text}");
        }
        let error = of_facts(&model, |facts| {
            read_as(facts, &Card::default()).unwrap_err()
        });
        assert!(error.contains("activation"), "{error}");
    }

    #[test]
    fn other_outputs_are_not_these() {
        for outputs in [
            &[("scores", &[1, 300, 80][..]), ("boxes", &[1, 300, 4])][..],
            &[("logits", &[1, 300, 80]), ("pred_boxes", &[1, 200, 4])],
            &[("logits", &[1, 300, 80]), ("pred_boxes", &[1, 300, 5])],
            &[("logits", &[1, 300, 80])],
            // mmdeploy's, which are no logits.
            &[("dets", &[1, 300, 5]), ("labels", &[1, 300])],
        ] {
            assert!(found(&queries("TopK", outputs)).is_empty(), "{outputs:?}");
        }
    }
}
