//! [`OutputCheck`]: whether what comes out of a model can be what it was read as.
//!
//! A model that is read wrongly mostly shows it at once: scores that are no probabilities, boxes of a pixel, class
//! numbers beyond the labels. The first analyses are looked at, and one warning says what was met.

use crate::base::detection::Detection;
use crate::base::geometry::Size;
use crate::base::tensor::{Tensor, TensorSpec};
use crate::model::{Model, ModelError};

/// Analyses that are looked at.
const ANALYSES: u32 = 32;
/// A box with both sides below this is a point.
const POINT: f32 = 2.0;
/// Rounding of an engine.
const SLACK: f32 = 0.001;

/// Looks at the first analyses of a model, until it has something to say.
#[derive(Debug, Clone)]
pub struct OutputCheck {
    left: u32,
}

impl Default for OutputCheck {
    fn default() -> Self {
        Self { left: ANALYSES }
    }
}

impl OutputCheck {
    /// Says nothing: of a detector beside another of the same model, which looks for both.
    pub fn silent() -> Self {
        Self { left: 0 }
    }

    /// Takes the reading that the outputs of an inference from an empty picture have, and looks at them as well; see
    /// [`Model::settle`].
    ///
    /// # Errors
    /// As [`Model::settle`].
    pub fn settle(
        &mut self,
        model: &mut Model,
        outputs: &[TensorSpec],
        numbers: &[Tensor],
    ) -> Result<bool, ModelError> {
        let before = model.warnings.len();
        let changed = model.settle(outputs, numbers)?;
        if model.warnings.len() > before {
            *self = Self::silent();
        }
        let said = self.look(numbers, &[], model.input.size, model.classes);
        model.warnings.extend(said);
        Ok(changed)
    }

    /// Looks at one inference from an input of this size: its outputs and all that passed the threshold, before
    /// suppression. `classes` of 0: not known. Returns what is wrong, once.
    pub fn look(
        &mut self,
        outputs: &[Tensor],
        found: &[Detection],
        input: Size,
        classes: usize,
    ) -> Option<String> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let said = nothing_finite(outputs)
            .or_else(|| scores(found))
            .or_else(|| boxes(found, input))
            .or_else(|| class_numbers(found, classes));
        if said.is_some() {
            self.left = 0;
        }
        said
    }
}

fn nothing_finite(outputs: &[Tensor]) -> Option<String> {
    let mut numbers = outputs.iter().filter_map(Tensor::as_f32).flatten();
    let first = numbers.next()?;
    let finite = first.is_finite() || numbers.any(|n| n.is_finite());
    (!finite).then(|| {
        "The model gives only numbers that are not finite: try another engine, or precision f32"
            .into()
    })
}

fn scores(found: &[Detection]) -> Option<String> {
    let odd = |score: &f32| !(-SLACK..=1.0 + SLACK).contains(score);
    let score = found.iter().map(|d| d.score).find(odd)?;
    Some(format!(
        "The model gives a score of {score}, expected 0 to 1: if scores are logits, a card says so with \
         \"score_activation\": \"sigmoid\"; if further numbers follow the scores, with \"num_classes\""
    ))
}

fn boxes(found: &[Detection], input: Size) -> Option<String> {
    let first = found.first()?;
    let shown = |what: &str, hint: &str| {
        let b = first.bbox;
        Some(format!(
            "All boxes of the model are {what}, such as {:.2}, {:.2} to {:.2}, {:.2} of an input of {input}: {hint}",
            b.x1, b.y1, b.x2, b.y2
        ))
    };
    let is_point = |d: &Detection| d.bbox.width() < POINT && d.bbox.height() < POINT;
    if found.iter().all(is_point) {
        let hint = "if they are from 0 to 1, a card says so with \"box_scale\": \"shares\"; if they are corners, with \
                    \"box_format\": \"corners\"";
        return shown("smaller than 2 pixels", hint);
    }
    let (width, height) = (input.width as f32, input.height as f32);
    let is_outside = |d: &Detection| {
        d.bbox.x2 <= 0.0 || d.bbox.y2 <= 0.0 || d.bbox.x1 >= width || d.bbox.y1 >= height
    };
    if found.iter().all(is_outside) {
        let hint = "a card may say another \"box_format\", \"box_scale\" or \"decode\"";
        return shown("outside of the picture", hint);
    }
    None
}

fn class_numbers(found: &[Detection], classes: usize) -> Option<String> {
    let beyond = |class: &u32| classes > 0 && *class as usize >= classes;
    let class = found.iter().map(|d| d.class).find(beyond)?;
    Some(format!(
        "The model gives the class number {class}, but there are {classes} labels: the property labels or a card \
         names more; or the numbers of a row are in another order, which a card says with \"columns\""
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::geometry::BBox;

    const INPUT: Size = Size::new(64, 64);

    fn detection([x1, y1, x2, y2]: [f32; 4], class: u32, score: f32) -> Detection {
        Detection {
            bbox: BBox::new(x1, y1, x2, y2),
            class,
            score,
        }
    }

    fn said(found: &[Detection]) -> Option<String> {
        OutputCheck::default().look(&[], found, INPUT, 2)
    }

    #[test]
    fn usual_detections_are_not_spoken_of() {
        let usual = detection([-3.0, 10.0, 30.0, 70.0], 1, 1.0);
        let point = detection([3.0, 3.0, 4.0, 4.0], 0, 0.5);
        let outside = detection([70.0, 3.0, 90.0, 40.0], 0, 0.0);
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[point, usual, outside]), None);
    }

    #[test]
    fn what_cannot_be_is_named_with_what_would_fit() {
        for (found, parts) in [
            (
                detection([1.0, 1.0, 9.0, 9.0], 0, 410.0),
                ["410", "score_activation"],
            ),
            (detection([1.0, 1.0, 9.0, 9.0], 0, -2.0), ["-2", "0 to 1"]),
            (
                detection([0.2, 0.2, 0.6, 0.9], 0, 0.9),
                ["2 pixels", "box_scale"],
            ),
            (
                detection([500.0, 2.0, 600.0, 9.0], 0, 0.9),
                ["outside", "box_format"],
            ),
            (
                detection([1.0, 1.0, 9.0, 9.0], 2, 0.9),
                ["number 2", "labels"],
            ),
        ] {
            let said = said(&[found]).expect("a warning");
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
    }

    #[test]
    fn outputs_without_a_number_are_spoken_of() {
        let look = |numbers: Vec<f32>| {
            let output = Tensor::f32("y", [numbers.len()], numbers);
            OutputCheck::default().look(&[output], &[], INPUT, 2)
        };
        assert_eq!(look(vec![]), None);
        assert_eq!(look(vec![f32::NAN, 0.0]), None);
        let said = look(vec![f32::NAN, f32::INFINITY]).expect("a warning");
        assert!(said.contains("not finite"), "{said}");
    }

    #[test]
    fn only_the_first_analyses_count_and_one_warning_is_enough() {
        let odd = [detection([1.0, 1.0, 9.0, 9.0], 0, 9.0)];
        let mut check = OutputCheck::default();
        assert!(check.look(&[], &odd, INPUT, 2).is_some());
        assert_eq!(check.look(&[], &odd, INPUT, 2), None);
        let mut check = OutputCheck::default();
        for _ in 0..ANALYSES {
            assert_eq!(check.look(&[], &[], INPUT, 2), None);
        }
        assert_eq!(check.look(&[], &odd, INPUT, 2), None);
    }
}
