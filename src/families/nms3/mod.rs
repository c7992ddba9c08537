//! Boxes, scores and class numbers in an output each: torchvision, RT-DETR as deployed, of all candidates
//! DeepStream-Yolo before 2024.

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
/// Boxes `[n, 4]`, scores `[n]` and class numbers `[n]`, already suppressed, as many as were found, or of all candidates.
pub struct Nms3 {
    /// Where the outputs are.
    pub places: Nms3Places,
    /// Meaning of the numbers of a box.
    pub boxes: BoxForm,
    /// Whether there is a row for each candidate, of which none is chosen yet.
    pub of_all: bool,
    /// The numbers of the first inference told the form of the boxes, not the file.
    pub seen: bool,
}

/// The places of the outputs in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nms3Places {
    /// Place of the output of boxes.
    pub boxes: usize,
    /// Place of the output of scores.
    pub scores: usize,
    /// Place of the output of class numbers.
    pub labels: usize,
}

impl Nms3 {
    /// Corners in input pixels.
    const CORNERS: BoxForm = BoxForm {
        format: BoxFormat::Corners,
        scale: BoxScale::Pixels,
    };

    /// Detections that the graph has chosen: corners in input pixels.
    pub const fn chosen(places: Nms3Places) -> Self {
        Self {
            places,
            boxes: Self::CORNERS,
            of_all: false,
            seen: false,
        }
    }

    /// All candidates: centre and size in input pixels, unless the first inference shows something else.
    pub fn of_all(places: Nms3Places) -> Self {
        Self {
            boxes: BoxForm::default(),
            of_all: true,
            ..Self::chosen(places)
        }
    }
}

impl Family for Nms3 {
    fn name(&self) -> &'static str {
        "nms3"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::Rows::new(self, &model)?))
    }

    fn has_raw_heads(&self) -> bool {
        false
    }

    fn apply_card(&mut self, card: &Card) {
        self.boxes.format = card.get(&BOX_FORMAT).unwrap_or(self.boxes.format);
        self.boxes.scale = card.get(&BOX_SCALE).unwrap_or(self.boxes.scale);
    }

    fn notes(&self) -> Vec<Decision> {
        let (reason, guessed) = match (self.seen, self.of_all) {
            (true, _) => ("the numbers of the first inference are like that", true),
            (_, true) => ("as DeepStream-Yolo does", true),
            _ => ("the card says so", false),
        };
        let other = self.boxes != Self::CORNERS;
        let note = || Decision::new(topic::BOXES, self.boxes.to_string(), reason, guessed);
        other.then(note).into_iter().collect()
    }

    fn settle(
        &self,
        outputs: &[Tensor],
        model: &DecoderInput,
        certain: &Certain,
    ) -> Option<Settled> {
        let decoder = decode::Rows::new(self, model).ok()?;
        let boxes = decoder.form_of_boxes(outputs, certain)?;
        let family = Self {
            boxes,
            seen: self.seen || boxes != self.boxes,
            ..self.clone()
        };
        let unknown = (self.of_all && !certain.format && !decoder.tell_format(outputs)).then(|| {
            "The boxes of the first inference do not show whether they are centre and size, as most of DeepStream-Yolo's \
             exports have them, or corners, as those for PP-YOLOE have: a card says which with \"box_format\""
                .to_owned()
        });
        (boxes != self.boxes || unknown.is_some()).then(|| Settled {
            warnings: unknown.into_iter().collect(),
            ..Settled::in_form(family, model.classes)
        })
    }

    fn writes_class_numbers(&self) -> bool {
        true
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        let n = given.candidates;
        let places = [self.places.boxes, self.places.scores, self.places.labels];
        match self.of_all {
            true => at_places(places, [vec![1, n, 4], vec![1, n, 1], vec![1, n, 1]]),
            false => at_places(places, [vec![n, 4], vec![n], vec![n]]),
        }
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "nms3",
    readers: &[recognise::read],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[&BOX_FORMAT, &BOX_SCALE],
    micro_models: &["torchvision_micro", "dfine_deploy_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|choices| {
        let places = Nms3Places {
            boxes: choices.place(),
            scores: choices.place(),
            labels: choices.place(),
        };
        Box::new(match choices.below(3) {
            0 => Nms3::of_all(places),
            _ => Nms3::chosen(places),
        })
    }],
};
