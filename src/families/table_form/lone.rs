//! One number beside the scores of a table, of which no name tells what it is.
//!
//! The angle of a turned box and an objectness may lie between 0 and 1 like the score of a class. Where the graph joins
//! one number by itself, or where it is high on an empty picture, it is told, or both readings are named.

use super::decode::Numbers;
use super::{BOX, Lone, TableForm};
use crate::families::decoding::{Extras, ScoreActivation};

/// A mean on an empty picture that scores of a trained detector do not reach.
const HIGH: f32 = 0.05;

/// So many times as high as the scores of the other classes.
const TIMES: f32 = 4.0;

/// The readings of a table of which the graph does not show the meaning of its lone number; none if it does.
pub(super) fn readings(form: &TableForm, classes: usize) -> Vec<String> {
    if form.objectness || form.extras > 0 || form.skipped > 0 {
        return Vec::new();
    }
    let way = if form.rows { "false" } else { "true" };
    let of_objectness = format!(
        "an objectness and scores of {} classes, {{\"decode\": \"yolov5\", \"transposed\": {way}}}",
        classes.saturating_sub(1)
    );
    let other = match (form.lone, classes) {
        (Lone::Before, _) => {
            format!("scores of {classes} classes, {{\"decode\": \"yolov8\", \"num_classes\": {classes}}}")
        }
        (Lone::Behind, 2) => {
            "the score of one class and the angle of a turned box, {\"decode\": \"yolov8\", \"num_classes\": 1}"
                .to_owned()
        }
        _ => return Vec::new(),
    };
    vec![other, of_objectness]
}

/// Takes a lone number behind the scores of several classes as the angle of a turned box.
pub(super) fn settled(form: TableForm, classes: &mut usize) -> TableForm {
    let is_angle = form.lone == Lone::Behind && !form.objectness && form.extras == 0;
    if !is_angle || *classes <= 2 {
        return form;
    }
    *classes -= 1;
    TableForm {
        extras: 1,
        meaning: Extras::Angle,
        ..form
    }
}

/// Warns of a last score that is high on an empty picture, where the others are not.
pub(super) fn warning(numbers: &Numbers, form: &TableForm, classes: usize) -> Option<String> {
    let first = form.first_score();
    // Logits of all classes are below 0 somewhere, as no angle from 0 to 1 is.
    let of_logits = form.activation != ScoreActivation::None;
    let other = form.objectness || form.extras > 0 || of_logits;
    if other || classes < 2 || first + classes > numbers.width {
        return None;
    }
    let mean = |field: usize| numbers.field(field).sum::<f32>() / numbers.candidates.max(1) as f32;
    let last = mean(first + classes - 1);
    let others = (first..first + classes - 1).map(mean).fold(0.0, f32::max);
    (last >= HIGH && last > TIMES * others).then(|| {
        format!(
            "The last of the {} numbers of a candidate is {last:.2} on an empty picture, and no score before it is above \
             {others:.2}: it may be the score of a class or the angle of a turned box. A card says which: \"num_classes\" \
             {classes} or {}",
            BOX + classes,
            classes - 1
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::seen::{self, Certain};
    use super::*;
    use crate::base::geometry::Size;
    use crate::base::tensor::Tensor;
    use crate::families::decoding::Labelling;
    use crate::families::decoding::testing::f32_spec;
    use crate::families::family::{DecoderInput, Settled};

    /// Settles a table of 64 candidates with these numbers behind a box.
    fn settled(lone: Lone, behind: &[f32]) -> Option<Settled> {
        let form = TableForm {
            rows: true,
            lone,
            ..TableForm::yolov8()
        };
        let row = |n: usize| {
            let place = (n % 8 * 8 + 4) as f32;
            [place, (n / 8 * 8 + 4) as f32, 10.0, 6.0]
                .into_iter()
                .chain(behind.iter().copied())
        };
        let dims = [1, 64, BOX + behind.len()];
        let outputs = [Tensor::f32("out", dims, (0..64).flat_map(row).collect())];
        let model = DecoderInput {
            input: Size::new(64, 64),
            classes: behind.len(),
            outputs: &[f32_spec("out", &dims)],
            labelling: Labelling::Best,
        };
        let found = seen::settle(&form, &outputs, &model, &Certain::default())?;
        let family = Box::new(found.form.clone());
        Some(found.with_family(family))
    }

    #[test]
    fn a_number_of_its_own_behind_several_scores_is_an_angle() {
        let found = settled(Lone::Behind, &[0.1, 0.2, 0.5]).expect("another form");
        let form = found.family.downcast_ref::<TableForm>().expect("a table");
        assert_eq!(
            (form.extras, form.meaning, found.classes),
            (1, Extras::Angle, 2)
        );
        assert!(found.undecided.is_empty() && found.warnings.is_empty());
    }

    #[test]
    fn what_the_graph_does_not_tell_is_refused_with_both_readings() {
        for (lone, behind) in [
            (Lone::Behind, &[0.1, 0.5][..]),
            (Lone::Before, &[0.5, 0.1, 0.1]),
        ] {
            let found = settled(lone, behind).expect("no form");
            assert_eq!(found.undecided.len(), 2, "{found:?}");
            assert!(found.undecided[1].contains("objectness"), "{found:?}");
        }
    }

    #[test]
    fn an_angle_of_one_class_is_told_by_numbers_that_are_no_probabilities() {
        let found = settled(Lone::Behind, &[0.1, -0.7]).expect("another form");
        let form = found.family.downcast_ref::<TableForm>().expect("a table");
        assert_eq!(
            (form.extras, form.meaning, found.classes),
            (1, Extras::Angle, 1)
        );
        assert!(found.undecided.is_empty(), "{found:?}");
    }

    #[test]
    fn a_last_score_that_is_high_on_an_empty_picture_is_warned_of() {
        let found = settled(Lone::Nowhere, &[0.01, 0.02, 0.6]).expect("a warning");
        assert!(
            found.warnings[0].contains("num_classes\" 3 or 2"),
            "{found:?}"
        );
        for usual in [&[0.01, 0.02, 0.02][..], &[0.4, 0.5, 0.6], &[0.6]] {
            assert_eq!(settled(Lone::Nowhere, usual), None, "{usual:?}");
        }
    }
}
