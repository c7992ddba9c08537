//! YOLOv5, v7 and YOLOX, decoded in the graph.

mod decode;
mod recognise;

use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;

#[derive(Debug, Clone, PartialEq)]
/// `[1, n, 5 + classes]`, boxes in input pixels: YOLOv5, v7, YOLOX exported with its decoding.
pub struct Yolov5;

impl Family for Yolov5 {
    fn name(&self) -> &'static str {
        "yolov5"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::Yolov5::new(
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
        vec![vec![1, given.candidates, 5 + given.classes]]
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "yolov5",
    readers: &[recognise::read_yolox_decoded, recognise::read],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[],
    micro_models: &["yolov5_micro", "yolox_decoded_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|_| Box::new(Yolov5)],
};
