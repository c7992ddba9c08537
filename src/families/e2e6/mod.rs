//! Rows of six numbers, already suppressed: YOLOv10, YOLO26, Ultralytics with NMS.

mod decode;
mod recognise;

use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;

#[derive(Debug, Clone, PartialEq)]
/// `[1, n, 6]`, corners in input pixels, score and class, already suppressed.
pub struct E2e6;

impl Family for E2e6 {
    fn name(&self) -> &'static str {
        "e2e6"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::rows(model.outputs)?))
    }

    fn has_raw_heads(&self) -> bool {
        false
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        vec![vec![1, given.candidates, 6]]
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "e2e6",
    readers: &[recognise::read],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[],
    micro_models: &["yolov10_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|_| Box::new(E2e6)],
};
