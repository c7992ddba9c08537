//! RT-DETR of Ultralytics.

mod decode;
mod recognise;

use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;

#[derive(Debug, Clone, PartialEq)]
/// `[1, n, 4 + classes]`, boxes and scores of queries.
pub struct DetrRows;

impl Family for DetrRows {
    fn name(&self) -> &'static str {
        "detr_rows"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::DetrRows::new(
            model.input,
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
        vec![vec![1, given.candidates, 4 + given.classes]]
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "detr_rows",
    readers: &[recognise::read],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[],
    micro_models: &["rtdetr_ultralytics_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|_| Box::new(DetrRows)],
};
