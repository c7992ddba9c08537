//! InsightFace's face detector.

mod decode;
mod recognise;

use super::card::Card;
use super::card::STRIDES;
use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;

#[derive(Debug, Clone, PartialEq)]
/// Scores and distances to the sides of a box, each for every stride.
pub struct Scrfd {
    /// Input pixels per cell of each grid, in the order of the outputs.
    pub strides: Vec<u32>,
    /// Anchors of a cell.
    pub anchors: usize,
}

impl Family for Scrfd {
    fn name(&self) -> &'static str {
        "scrfd"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::Scrfd::new(
            &self.strides,
            self.anchors,
            model.input,
            model.outputs,
        )?))
    }

    fn has_raw_heads(&self) -> bool {
        true
    }

    fn apply_card(&mut self, card: &Card) {
        if let Some(strides) = card.get(&STRIDES) {
            self.strides = strides;
        }
    }

    fn largest_stride(&self) -> Option<u32> {
        self.strides.iter().copied().max()
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        let dims = |last: usize| {
            let of = move |&stride: &u32| vec![given.cells(stride) * self.anchors, last];
            self.strides.iter().map(of)
        };
        dims(1).chain(dims(4)).collect()
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "scrfd",
    readers: &[recognise::read],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[&STRIDES],
    micro_models: &["scrfd_micro", "scrfd_batch_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|choices| {
        Box::new(Scrfd {
            strides: choices.strides(),
            anchors: choices.between(1, 4),
        })
    }],
};
