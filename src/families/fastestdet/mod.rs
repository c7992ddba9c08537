//! FastestDet.

mod decode;
mod recognise;

use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;

#[derive(Debug, Clone, PartialEq)]
/// One map of cells, `[1, 5 + classes, rows, columns]`.
pub struct FastestDet;

impl Family for FastestDet {
    fn name(&self) -> &'static str {
        "fastestdet"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::FastestDet::new(
            model.input,
            model.classes,
            model.outputs,
            model.labelling,
        )?))
    }

    fn has_raw_heads(&self) -> bool {
        true
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        let (rows, columns) = (given.cells(16).min(given.candidates), given.candidates);
        vec![vec![1, 5 + given.classes, rows, columns]]
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "fastestdet",
    readers: &[recognise::read],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[],
    micro_models: &[],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|_| Box::new(FastestDet)],
};
