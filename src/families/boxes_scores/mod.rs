//! Boxes and scores of all candidates: YOLO-NAS and PaddleDetection without NMS, DAMO-YOLO, and graphs that were cut
//! before their suppression.

mod damo;
mod decode;
mod recognise;

use super::card::{BOX_FORMAT, BOX_SCALE, Card};
use super::decision::{Decision, topic};
use super::decoding::{BoxForm, BoxFormat, BoxScale, DecodeError, Decoder};
use super::family::{DecoderInput, Family, Settled};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::at_places;
use super::table_form::seen::Certain;
use crate::base::tensor::Tensor;

#[derive(Debug, Clone, PartialEq)]
/// Boxes `[1, n, 4]` and scores of all candidates, `[1, n, classes]` or, class by class, `[1, classes, n]`.
pub struct BoxesScores {
    /// Where the outputs are.
    pub places: BoxesScoresPlaces,
    /// Whether scores lie class by class, `[1, classes, n]`.
    pub by_class: bool,
    /// Meaning of the numbers of a box.
    pub boxes: BoxForm,
    /// Whether the first score is that of the background, which is no object. The other classes keep their numbers.
    pub background: bool,
    /// The numbers of the first inference told the form of the boxes, not the file.
    pub seen: bool,
}

/// The places of the outputs in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoxesScoresPlaces {
    /// Place of the output of boxes.
    pub boxes: usize,
    /// Place of the output of scores.
    pub scores: usize,
}

impl BoxesScores {
    /// Corners in input pixels.
    pub const CORNERS: BoxForm = BoxForm {
        format: BoxFormat::Corners,
        scale: BoxScale::Pixels,
    };

    /// Boxes are corners in input pixels, and there is no background.
    pub fn new(places: BoxesScoresPlaces, by_class: bool) -> Self {
        Self {
            places,
            by_class,
            boxes: Self::CORNERS,
            background: false,
            seen: false,
        }
    }
}

impl Family for BoxesScores {
    fn name(&self) -> &'static str {
        "boxes_scores"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::BoxesScores::new(self, &model)?))
    }

    fn has_raw_heads(&self) -> bool {
        false
    }

    fn apply_card(&mut self, card: &Card) {
        self.boxes.format = card.get(&BOX_FORMAT).unwrap_or(self.boxes.format);
        self.boxes.scale = card.get(&BOX_SCALE).unwrap_or(self.boxes.scale);
    }

    fn notes(&self) -> Vec<Decision> {
        let reason = match self.seen {
            true => "the numbers of the first inference are like that",
            false => "graph or card say so",
        };
        let note = |value| Decision::new(topic::BOXES, value, reason, self.seen);
        let other = self.boxes != Self::CORNERS;
        other
            .then(|| note(self.boxes.to_string()))
            .into_iter()
            .collect()
    }

    fn settle(
        &self,
        outputs: &[Tensor],
        model: &DecoderInput,
        certain: &Certain,
    ) -> Option<Settled> {
        let decoder = decode::BoxesScores::new(self, model).ok()?;
        let boxes = decoder.form_of_boxes(outputs, certain)?;
        let family = Self {
            boxes,
            seen: true,
            ..self.clone()
        };
        (boxes != self.boxes).then(|| Settled::in_form(family, model.classes))
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        let (n, classes) = (given.candidates, given.classes);
        let scores = match self.by_class {
            true => vec![1, classes, n],
            false => vec![1, n, classes],
        };
        let places = [self.places.boxes, self.places.scores];
        at_places(places, [vec![1, n, 4], scores])
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "boxes_scores",
    readers: &[recognise::read_yolo_nas, recognise::read_paddle, damo::read],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[&BOX_FORMAT, &BOX_SCALE],
    micro_models: &["yolo_nas_raw_micro", "paddle_raw_micro", "damo_yolo_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|choices| {
        let places = BoxesScoresPlaces {
            boxes: choices.place(),
            scores: choices.place(),
        };
        let by_class = choices.flag();
        Box::new(BoxesScores {
            boxes: choices.one_of(&[BoxesScores::CORNERS, BoxForm::default()]),
            ..BoxesScores::new(places, by_class)
        })
    }],
};
