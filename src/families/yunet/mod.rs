//! libfacedetection's face detector.

mod decode;
pub(super) mod recognise;

use super::card::Card;
use super::card::STRIDES;
use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;

#[derive(Debug, Clone, PartialEq)]
/// Class, objectness, box and key points, each for every stride.
pub struct YuNet {
    /// Input pixels per cell of each grid, in the order of the outputs.
    pub strides: Vec<u32>,
}

impl Family for YuNet {
    fn name(&self) -> &'static str {
        "yunet"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::YuNet::new(
            &self.strides,
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
            let of = move |&stride: &u32| vec![1, given.cells(stride), last];
            self.strides.iter().map(of)
        };
        dims(1).chain(dims(1)).chain(dims(4)).collect()
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "yunet",
    readers: &[recognise::read],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[&STRIDES],
    micro_models: &[],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|choices| {
        Box::new(YuNet {
            strides: choices.strides(),
        })
    }],
};
