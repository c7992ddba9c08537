//! Boxes, scores and class numbers, already suppressed, and their number: TensorRT's outputs, YOLO-NAS in batches.

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
/// Boxes `[1, n, 4]`, scores and class numbers `[1, n]`, already suppressed, and how many of the `n` there are.
pub struct Counted(pub CountedPlaces);

/// The places of the outputs in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountedPlaces {
    /// Place of the output with the number of detections.
    pub count: usize,
    /// Place of the output of boxes.
    pub boxes: usize,
    /// Place of the output of scores.
    pub scores: usize,
    /// Place of the output of class numbers.
    pub classes: usize,
}

impl Family for Counted {
    fn name(&self) -> &'static str {
        "counted"
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
        let (places, n) = (self.0, given.candidates);
        let places = [places.count, places.boxes, places.scores, places.classes];
        let dims = [vec![1, 1], vec![1, n, 4], vec![1, n], vec![1, n]];
        at_places(places, dims)
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "counted",
    readers: &[recognise::read],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[],
    micro_models: &["yolo_trt_micro", "yolo_nas_batch_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|choices| {
        Box::new(Counted(CountedPlaces {
            count: choices.place(),
            boxes: choices.place(),
            scores: choices.place(),
            classes: choices.place(),
        }))
    }],
};
