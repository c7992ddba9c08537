//! Boxes with scores, and class numbers, already suppressed: mmdeploy.

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
/// Boxes with their scores `[1, n, 5]` and class numbers `[1, n]`, already suppressed.
pub struct Dets(pub DetsPlaces);

/// The places of the outputs in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetsPlaces {
    /// Place of the output of boxes with scores.
    pub dets: usize,
    /// Place of the output of class numbers.
    pub labels: usize,
}

impl Family for Dets {
    fn name(&self) -> &'static str {
        "dets"
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
        at_places([self.0.dets, self.0.labels], [vec![1, n, 5], vec![1, n]])
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "dets",
    readers: &[recognise::read],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[],
    micro_models: &["mmdeploy_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|choices| {
        Box::new(Dets(DetsPlaces {
            dets: choices.place(),
            labels: choices.place(),
        }))
    }],
};
