//! [`TableForm`]: tables of candidates in another form than YOLOv5's and YOLOv8's own, with their names.
//!
//! They lie the other way, have numbers behind or between the scores that boxes do not need (landmarks, key points,
//! mask coefficients, an angle), boxes as shares of the input or as corners, or logits. [`seen`] tells this by the
//! numbers of the first inference where the file does not.

mod decode;
mod lone;
pub mod seen;

use super::card::{BOX_FORMAT, BOX_SCALE, Card, SCORE_ACTIVATION, TRANSPOSED};
use super::decision::{Decision, topic};
use super::decoding::{BoxForm, DecodeError, Decoder, Extras, ScoreActivation};
use super::family::{DecoderInput, Family, Settled};
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::{Choices, Given};
use crate::base::tensor::Tensor;
use seen::Certain;

/// Numbers of a box.
pub const BOX: usize = 4;

/// Whether the graph puts one number of its own beside the scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lone {
    /// Between box and scores: an objectness, or the only score.
    Before,
    /// Behind the scores: an angle, or the only score behind an objectness.
    Behind,
    /// There is none, or the graph does not show it.
    #[default]
    Nowhere,
}

/// A table of candidates: four numbers of a box, perhaps an objectness, scores, and further numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableForm {
    /// A candidate is a row, `[1, n, numbers]`; else a column, `[1, numbers, n]`.
    pub rows: bool,
    /// The number behind the box is an objectness, which multiplies the scores.
    pub objectness: bool,
    /// Numbers before the scores that are not used.
    pub skipped: usize,
    /// Numbers behind the scores.
    pub extras: usize,
    /// The meaning of those numbers.
    pub meaning: Extras,
    /// Meaning of the numbers of a box.
    pub boxes: BoxForm,
    /// The way from scores to probabilities.
    pub activation: ScoreActivation,
    /// A number that the graph joins to the others by itself, where no names tell what it is.
    pub lone: Lone,
    /// The numbers of the first inference told some of this, not the file.
    pub seen: bool,
}

impl TableForm {
    /// YOLOv8's own form.
    pub fn yolov8() -> Self {
        Self::default()
    }

    /// YOLOv5's own form.
    pub fn yolov5() -> Self {
        Self {
            rows: true,
            objectness: true,
            ..Self::default()
        }
    }

    /// Returns the place of the first score in a candidate.
    pub fn first_score(&self) -> usize {
        BOX + usize::from(self.objectness) + self.skipped
    }

    /// Returns how many numbers of a candidate are no scores.
    pub fn fields(&self) -> usize {
        self.first_score() + self.extras
    }

    /// Whether this is `usual`, whatever told it.
    pub fn is_like(&self, usual: &Self) -> bool {
        let as_usual = Self {
            meaning: Extras::default(),
            lone: Lone::Nowhere,
            seen: false,
            ..self.clone()
        };
        self.lone == Lone::Nowhere && as_usual == *usual
    }

    /// Returns the family of a table of this form: `plain` if the form is like `usual`, which is that family's own.
    pub fn family(self, usual: &Self, plain: impl Family) -> Box<dyn Family> {
        if self.is_like(usual) {
            Box::new(plain)
        } else {
            Box::new(self)
        }
    }

    /// Puts the keys of a card over this form, but for the way in which it lies.
    pub fn with_card(self, card: &Card) -> Self {
        Self {
            boxes: BoxForm {
                format: card.get(&BOX_FORMAT).unwrap_or(self.boxes.format),
                scale: card.get(&BOX_SCALE).unwrap_or(self.boxes.scale),
            },
            activation: card.get(&SCORE_ACTIVATION).unwrap_or(self.activation),
            ..self
        }
    }

    /// Whether a card says that this lies otherwise than it was read.
    fn turned_by(&self, card: &Card) -> bool {
        let usual = self.rows == self.objectness;
        card.get(&TRANSPOSED)
            .is_some_and(|transposed| transposed == usual)
    }

    fn unused(&self) -> Option<Decision> {
        let count = self.skipped + self.extras;
        let place = match (self.skipped, self.extras) {
            (0, 0) => return None,
            (_, 0) => "before the scores",
            (0, _) => "behind the scores",
            _ => "before and behind the scores",
        };
        let value = self.meaning.unused(count, place);
        Some(self.decision(topic::EXTRAS, value))
    }

    fn decision(&self, topic: &'static str, value: String) -> Decision {
        let reason = if self.seen {
            "the numbers of the first inference are like that"
        } else {
            "metadata, card or dims say so"
        };
        Decision::new(topic, value, reason, self.seen)
    }
}

impl Family for TableForm {
    fn name(&self) -> &'static str {
        if self.objectness { "yolov5" } else { "yolov8" }
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::Table::new(self, &model)?))
    }

    fn has_raw_heads(&self) -> bool {
        false
    }

    fn excluded_by(&self, card: &Card) -> bool {
        self.turned_by(card)
    }

    fn described_by(&self, card: &Card, classes: usize) -> Option<(Box<dyn Family>, usize)> {
        let mut form = self.clone().with_card(card);
        let scores = card.classes.unwrap_or(classes);
        match classes.saturating_sub(scores) {
            seen::FACE_POINTS if form.objectness && form.extras == 0 => {
                form.skipped += seen::FACE_POINTS;
                form.meaning = Extras::Points;
            }
            unused => form.extras += unused,
        }
        (form != *self).then(|| (Box::new(form) as Box<dyn Family>, scores))
    }

    fn notes(&self) -> Vec<Decision> {
        let usual = if self.objectness {
            Self::yolov5()
        } else {
            Self::yolov8()
        };
        let mut notes = Vec::new();
        if self.rows != usual.rows {
            let lies = if self.rows { "rows" } else { "columns" };
            let value = format!("candidates in {lies}: the table is transposed");
            notes.push(Decision::new(topic::TABLE, value, "its dims say so", false));
        }
        if self.boxes != usual.boxes {
            notes.push(self.decision(topic::BOXES, self.boxes.to_string()));
        }
        if self.activation != usual.activation {
            notes.push(self.decision(topic::SCORES, self.activation.to_string()));
        }
        notes.extend(self.unused());
        notes
    }

    fn settle(
        &self,
        outputs: &[Tensor],
        model: &DecoderInput,
        certain: &Certain,
    ) -> Option<Settled> {
        let found = seen::settle(self, outputs, model, certain)?;
        let family = Box::new(found.form.clone());
        Some(found.with_family(family))
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        let numbers = self.fields() + given.classes;
        let dims = if self.rows {
            vec![1, given.candidates, numbers]
        } else {
            vec![1, numbers, given.candidates]
        };
        vec![dims]
    }
}

/// Makes a form with fields as files, cards and first inferences give them.
#[cfg(any(test, feature = "stub-engine"))]
pub fn sample(choices: &mut dyn Choices, objectness: bool) -> Box<dyn Family> {
    use super::decoding::{BoxFormat, BoxScale};
    let mut form = TableForm {
        rows: choices.flag(),
        objectness,
        skipped: choices.one_of(&[0, 0, 10]),
        extras: choices.one_of(&[0, 1, 15]),
        activation: choices.one_of(&[ScoreActivation::None, ScoreActivation::Sigmoid]),
        boxes: BoxForm {
            format: choices.one_of(&[BoxFormat::Centre, BoxFormat::Corners]),
            scale: choices.one_of(&[BoxScale::Pixels, BoxScale::Shares]),
        },
        ..TableForm::default()
    };
    if form.extras == 1 && choices.flag() {
        form.meaning = Extras::Angle;
    }
    Box::new(form)
}
