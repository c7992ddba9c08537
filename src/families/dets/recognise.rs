//! mmdeploy's detectors: `dets` `[1, n, 5]`, corners in input pixels and score, and `labels` `[1, n]`, class numbers.
//! Masks may come beside them.
//!
//! How pictures are prepared is a matter of each model's configuration; what most of them do is guessed: RGB with
//! ImageNet's mean and deviation, at the top left of the input.

use super::{Dets, DetsPlaces};
use crate::base::tensor::ResizeMode;
use crate::families::card::Card;
use crate::families::evidence::conventions;
use crate::families::evidence::grid_cells::{misfit, told_by_card};
use crate::families::evidence::named_outputs::{self, agree, is_integer, place};
use crate::families::reading::{Convention, Reading};
use crate::onnx::facts::{Facts, Port};

pub fn read(facts: &Facts) -> Option<Reading> {
    let places = places(facts)?;
    let name = |place: usize| &facts.outputs[place].name;
    let because = format!(
        "its outputs \"{}\" [1, n, 5] and \"{}\" [1, n] are boxes with scores, and class numbers",
        name(places.dets),
        name(places.labels)
    );
    Some(reading(places, because))
}

pub fn read_as(facts: &Facts, _: &Card) -> Result<Reading, String> {
    let places =
        places(facts).ok_or_else(|| misfit(facts, "dets", "boxes [1, n, 5] and labels [1, n]"))?;
    Ok(reading(places, told_by_card()))
}

fn reading(places: DetsPlaces, because: String) -> Reading {
    let convention = Convention {
        resize: ResizeMode::LetterboxTopLeft,
        ..conventions::imagenet()
    };
    Reading {
        stride: 32,
        ..named_outputs::reading("mmdeploy", Dets(places), convention, because)
    }
}

fn places(facts: &Facts) -> Option<DetsPlaces> {
    let rows = |output: &Port| match *output.dims() {
        [n, Some(5)] | [None | Some(1), n, Some(5)] if !is_integer(output) => Some(n),
        _ => None,
    };
    let list = |output: &Port| match *output.dims() {
        [n] | [None | Some(1), n] if is_integer(output) => Some(n),
        _ => None,
    };
    let dets = place(facts, |output| rows(output).is_some())?;
    let labels = place(facts, |output| list(output).is_some())?;
    let alike = agree(
        rows(&facts.outputs[dets]).flatten(),
        list(&facts.outputs[labels]).flatten(),
    );
    let named = facts.outputs[dets].name == "dets";
    (alike && (named || facts.outputs.len() == 2)).then_some(DetsPlaces { dets, labels })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::evidence::named_outputs::testing::{of_facts, with_outputs};

    fn found(outputs: &[(&str, &[i64])]) -> Option<[usize; 2]> {
        of_facts(&with_outputs(vec![], outputs), |facts| {
            places(facts).map(|p| [p.dets, p.labels])
        })
    }

    #[test]
    fn type_and_dims_tell_which_is_which() {
        assert_eq!(
            found(&[("dets", &[1, -1, 5]), ("int_labels", &[1, -1])]),
            Some([0, 1])
        );
        assert_eq!(
            found(&[("int_a", &[-1, -2]), ("b", &[-1, -2, 5])]),
            Some([1, 0])
        );
        assert_eq!(found(&[("b", &[100, 5]), ("int_a", &[100])]), Some([0, 1]));
        let masks = [
            ("dets", &[1, 100, 5][..]),
            ("int_labels", &[1, 100]),
            ("masks", &[1, 100, 28, 28]),
        ];
        assert_eq!(found(&masks), Some([0, 1]));
    }

    #[test]
    fn other_outputs_are_not_these() {
        for outputs in [
            &[("dets", &[1, 300, 4][..]), ("labels", &[1, 300, 91])][..],
            &[("dets", &[1, 100, 5]), ("labels", &[1, 100])],
            &[("dets", &[1, 100, 5]), ("int_labels", &[1, 99])],
            &[("dets", &[1, 100, 5])],
        ] {
            assert_eq!(found(outputs), None, "{outputs:?}");
        }
    }
}
