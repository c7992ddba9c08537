//! DETR, RT-DETR, RF-DETR.

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
/// Logits `[1, n, classes]` and boxes `[1, n, 4]` of queries, which need no suppression.
pub struct Detr {
    /// Where the outputs are.
    pub places: DetrPlaces,
    /// How logits become scores.
    pub activation: Activation,
}

/// The places of the outputs in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetrPlaces {
    /// Place of the output of logits.
    pub logits: usize,
    /// Place of the output of boxes.
    pub boxes: usize,
}

/// How a row of logits becomes scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Each class for itself.
    Sigmoid,
    /// Shares of 1; the last logit is that of no object and is no class.
    Softmax,
}

/// The function that makes scores of logits.
pub static ACTIVATION: Key<Activation> = Key {
    name: "activation",
    expected: "one of \"sigmoid\", \"softmax\"",
    read: |value| match value.as_str()? {
        "sigmoid" => Some(Activation::Sigmoid),
        "softmax" => Some(Activation::Softmax),
        _ => None,
    },
};

impl Family for Detr {
    fn name(&self) -> &'static str {
        "detr"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::Detr::new(
            self.places,
            self.activation,
            model.input,
            model.classes,
            model.outputs,
            model.labelling,
        )?))
    }

    fn has_raw_heads(&self) -> bool {
        false
    }

    fn excluded_by(&self, card: &Card) -> bool {
        (card.get(&ACTIVATION)).is_some_and(|own| own != self.activation)
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        let background = usize::from(self.activation == Activation::Softmax);
        let logits = vec![1, given.candidates, given.classes + background];
        let places = [self.places.logits, self.places.boxes];
        at_places(places, [logits, vec![1, given.candidates, 4]])
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "detr",
    readers: &[recognise::read_sigmoid, recognise::read_softmax],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[&ACTIVATION],
    micro_models: &[
        "detr_micro",
        "rtdetr_micro",
        "rfdetr_micro",
        "deformable_detr_micro",
    ],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|choices| {
        Box::new(Detr {
            places: DetrPlaces {
                logits: choices.place(),
                boxes: choices.place(),
            },
            activation: choices.one_of(&[Activation::Sigmoid, Activation::Softmax]),
        })
    }],
};
