//! Boxes, scores and class numbers, already suppressed: torchvision, RT-DETR as deployed.

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
/// Boxes `[n, 4]`, scores `[n]` and class numbers `[n]`, already suppressed, as many as were found.
pub struct Nms3(pub Nms3Places);

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

impl Family for Nms3 {
    fn name(&self) -> &'static str {
        "nms3"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::rows(self.0, model.outputs)?))
    }

    fn has_raw_heads(&self) -> bool {
        false
    }

    fn writes_class_numbers(&self) -> bool {
        true
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        let n = given.candidates;
        let places = [self.0.boxes, self.0.scores, self.0.labels];
        at_places(places, [vec![n, 4], vec![n], vec![n]])
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "nms3",
    readers: &[recognise::read],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[],
    micro_models: &["torchvision_micro", "dfine_deploy_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|choices| {
        Box::new(Nms3(Nms3Places {
            boxes: choices.place(),
            scores: choices.place(),
            labels: choices.place(),
        }))
    }],
};
