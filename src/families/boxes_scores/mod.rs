//! Boxes and scores of all candidates: YOLO-NAS and PaddleDetection without NMS, DAMO-YOLO.

mod damo;
mod decode;
mod recognise;

use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::at_places;

#[derive(Debug, Clone, PartialEq)]
/// Boxes `[1, n, 4]` in input pixels and scores of all candidates, `[1, n, classes]` or, class by class,
/// `[1, classes, n]`.
pub struct BoxesScores {
    /// Where the outputs are.
    pub places: BoxesScoresPlaces,
    /// Whether scores lie class by class, `[1, classes, n]`.
    pub by_class: bool,
}

/// The places of the outputs in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoxesScoresPlaces {
    /// Place of the output of boxes.
    pub boxes: usize,
    /// Place of the output of scores.
    pub scores: usize,
}

impl Family for BoxesScores {
    fn name(&self) -> &'static str {
        "boxes_scores"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::BoxesScores::new(
            self.places,
            self.by_class,
            model.classes,
            model.outputs,
            model.labelling,
        )?))
    }

    fn has_raw_heads(&self) -> bool {
        false
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
    keys: &[],
    micro_models: &["yolo_nas_raw_micro", "paddle_raw_micro", "damo_yolo_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|choices| {
        Box::new(BoxesScores {
            places: BoxesScoresPlaces {
                boxes: choices.place(),
                scores: choices.place(),
            },
            by_class: choices.flag(),
        })
    }],
};
