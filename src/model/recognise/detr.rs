//! Detectors of queries, with two outputs: logits `[1, n, classes]` and boxes `[1, n, 4]`.
//!
//! | reading | logits, boxes | input |
//! |---|---|---|
//! | RT-DETR | `logits`, `pred_boxes` | RGB / 255, stretched |
//! | RF-DETR | `labels`, `dets` | RGB, ImageNet's mean and deviation, stretched |
//!
//! The first DETR has the names of RT-DETR, but its scores are a softmax. Its queries are learnt; the later ones are
//! chosen in the graph. Where nothing is chosen, the card must decide.

use super::super::card::Card;
use super::super::facts::Facts;
use super::super::family::{DetrPlaces, Family};
use super::cells::{misfit, told_by_card};
use super::chosen::{self, agree, place, stretched};
use super::{Convention, Reading};

/// Names of logits and of boxes.
const RT: [&str; 2] = ["logits", "pred_boxes"];
const RF: [&str; 2] = ["labels", "dets"];

pub fn read(facts: &Facts) -> Option<Reading> {
    let (places, classes) = places(facts)?;
    let chooses = |op: &str| op == "TopK" || op == "NonMaxSuppression";
    if !facts.graph.node.iter().any(|node| chooses(&node.op_type)) {
        return None;
    }
    let name = |place: usize| &facts.outputs[place].name;
    let because = format!(
        "its outputs are named \"{}\" and \"{}\" and its queries are chosen in the graph",
        name(places.logits),
        name(places.boxes)
    );
    Some(reading(facts, places, classes, because))
}

pub fn told(facts: &Facts, _: &Card) -> Result<Reading, String> {
    let expected = "logits [1, n, classes] and boxes [1, n, 4], named \"logits\" and \"pred_boxes\" or \"labels\" \
        and \"dets\"";
    let (places, classes) = places(facts).ok_or_else(|| misfit(facts, "detr", expected))?;
    Ok(reading(facts, places, classes, told_by_card()))
}

fn reading(facts: &Facts, places: DetrPlaces, classes: usize, because: String) -> Reading {
    let (name, convention) = if facts.outputs[places.boxes].name == RF[1] {
        ("RF-DETR", imagenet())
    } else {
        ("RT-DETR", stretched())
    };
    Reading {
        classes,
        stride: 32,
        ..chosen::reading(name, Family::Detr(places), convention, because)
    }
}

fn imagenet() -> Convention {
    Convention {
        mean: [123.675, 116.28, 103.53],
        std: [58.395, 57.12, 57.375],
        ..stretched()
    }
}

/// Which output is which, and the number of classes.
fn places(facts: &Facts) -> Option<(DetrPlaces, usize)> {
    [RT, RF].into_iter().find_map(|[logits, boxes]| {
        let named = |name| place(facts, |output| output.name == name);
        let (logits, boxes) = (named(logits)?, named(boxes)?);
        match (facts.outputs[logits].dims(), facts.outputs[boxes].dims()) {
            (&[_, n, Some(classes)], &[_, m, Some(4)]) if agree(n, m) => {
                Some((DetrPlaces { logits, boxes }, classes))
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::graph::testing::node;
    use super::chosen::testing::{of_facts, with_outputs};
    use super::*;

    fn found(op: &str, outputs: &[(&str, &[i64])]) -> Option<(&'static str, Family, usize)> {
        let model = with_outputs(vec![node(op, &["images"], &["t"])], outputs);
        of_facts(&model, |facts| {
            read(facts).map(|reading| (reading.name, reading.family, reading.classes))
        })
    }

    #[test]
    fn names_tell_which_output_is_which() {
        let rt = [("logits", &[1, 300, 80][..]), ("pred_boxes", &[1, 300, 4])];
        let places = |logits, boxes| Family::Detr(DetrPlaces { logits, boxes });
        assert_eq!(found("TopK", &rt), Some(("RT-DETR", places(0, 1), 80)));
        // Four classes: the dims alone would not tell.
        let rf = [("dets", &[1, 300, 4][..]), ("labels", &[1, 300, 4])];
        assert_eq!(found("TopK", &rf), Some(("RF-DETR", places(1, 0), 4)));
    }

    #[test]
    fn learnt_queries_are_left_to_the_card() {
        let first = [("logits", &[1, 100, 92][..]), ("pred_boxes", &[1, 100, 4])];
        assert_eq!(found("Relu", &first), None);
        let model = with_outputs(vec![], &first);
        let told = of_facts(&model, |facts| told(facts, &Card::default()));
        assert_eq!(told.map(|reading| reading.classes), Ok(92));
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
            assert_eq!(found("TopK", outputs), None, "{outputs:?}");
        }
    }
}
