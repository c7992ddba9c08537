//! TensorFlow's object detection API.

mod decode;
mod recognise;

use super::card::Card;
use super::card::Key;
use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::at_places;

#[derive(Debug, Clone, PartialEq)]
/// Outputs of TensorFlow's object detection API; its classes count from `first_class`.
pub struct TfSsd {
    /// Where the outputs are.
    pub places: TfSsdPlaces,
    /// Number of the first class, 0 or 1.
    pub first_class: u32,
}

/// The places of the outputs in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TfSsdPlaces {
    /// Place of the output of boxes.
    pub boxes: usize,
    /// Place of the output of class numbers.
    pub classes: usize,
    /// Place of the output of scores.
    pub scores: usize,
    /// Place of the output with the number of detections.
    pub count: usize,
}

/// Where the class numbers begin.
pub static FIRST_CLASS: Key<u32> = Key {
    name: "first_class",
    expected: "0 or 1",
    read: |value| value.as_u64().filter(|n| *n <= 1).map(|n| n as u32),
};

impl Family for TfSsd {
    fn name(&self) -> &'static str {
        "tfssd"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::TfSsd::new(
            self.places,
            self.first_class,
            model.input,
            model.outputs,
        )?))
    }

    fn has_raw_heads(&self) -> bool {
        false
    }

    fn apply_card(&mut self, card: &Card) {
        self.first_class = card.get(&FIRST_CLASS).unwrap_or(self.first_class);
    }

    fn writes_class_numbers(&self) -> bool {
        true
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        let (places, n) = (self.places, given.candidates);
        let places = [places.boxes, places.classes, places.scores, places.count];
        let dims = [vec![1, n, 4], vec![1, n], vec![1, n], vec![1]];
        at_places(places, dims)
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "tfssd",
    readers: &[recognise::read],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[&FIRST_CLASS],
    micro_models: &["tfod_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|choices| {
        Box::new(TfSsd {
            places: TfSsdPlaces {
                boxes: choices.place(),
                classes: choices.place(),
                scores: choices.place(),
                count: choices.place(),
            },
            first_class: u32::from(choices.flag()),
        })
    }],
};
