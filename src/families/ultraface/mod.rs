//! Ultra-Light-Fast face detector, with and without its decoding in the graph.

mod decode;
mod recognise;

#[cfg(any(test, feature = "stub-engine"))]
use super::decoding::face_priors;
use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;

#[derive(Debug, Clone, PartialEq)]
/// Scores and corners as shares of the input.
pub struct UltraFace;

/// The same without its decoding: boxes beside SSD priors.
#[derive(Debug, Clone, PartialEq)]
pub struct UltraFaceRaw;

impl Family for UltraFace {
    fn name(&self) -> &'static str {
        "ultraface"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::UltraFace::new(
            model.input,
            model.outputs,
        )?))
    }

    fn has_raw_heads(&self) -> bool {
        false
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        [2, 4].map(|last| vec![1, given.candidates, last]).into()
    }
}

impl Family for UltraFaceRaw {
    fn name(&self) -> &'static str {
        "ultraface_raw"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::UltraFace::raw(
            model.input,
            model.outputs,
        )?))
    }

    fn has_raw_heads(&self) -> bool {
        true
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        let count = face_priors::PRIORS.iter();
        let count = count.map(|(stride, sides)| given.cells(*stride) * sides.len());
        let count: usize = count.sum();
        [2, 4].map(|last| vec![1, count, last]).into()
    }
}

/// Registers the family of decoded boxes; its reader recognises raw ones too.
pub static DECODED: Registration = Registration {
    name: "ultraface",
    readers: &[recognise::read],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[],
    micro_models: &[],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|_| Box::new(UltraFace)],
};

/// Registers the family of raw boxes.
pub static RAW: Registration = Registration {
    name: "ultraface_raw",
    readers: &[],
    read_as: recognise::read_as_raw,
    why_not: None,
    keys: &[],
    micro_models: &[],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|_| Box::new(UltraFaceRaw)],
};
