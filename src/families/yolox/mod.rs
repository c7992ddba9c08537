//! YOLOX as its authors export it; decoded in the graph it has the layout of `yolov5`.

mod decode;
mod decode_heads;
mod ending;
mod recognise;

use super::card::Card;
use super::card::STRIDES;
use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;
use crate::onnx::rewrite::{Ending, Heads};

#[derive(Debug, Clone, PartialEq)]
/// Offsets and logarithms beside grid cells, `[1, n, 5 + classes]`.
pub struct YoloxRaw {
    /// Input pixels per cell of each grid, in the order of the outputs.
    pub strides: Vec<u32>,
}

/// The same with its graph ended at the raw heads, box, objectness and classes, of each stride.
#[derive(Debug, Clone, PartialEq)]
pub struct YoloxHeads {
    /// Input pixels per cell of each grid, in the order of the outputs.
    pub strides: Vec<u32>,
}

impl Family for YoloxRaw {
    fn name(&self) -> &'static str {
        "yolox_raw"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::Yolox::new(
            &self.strides,
            model.input,
            model.classes,
            model.outputs,
            model.labelling,
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

    fn ending(&self) -> Option<&dyn Ending> {
        Some(self)
    }

    fn ended_at(&self, heads: &Heads) -> Option<Box<dyn Family>> {
        let strides = heads.strides.clone();
        Some(Box::new(YoloxHeads { strides }))
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        vec![vec![1, given.all_cells(&self.strides), 5 + given.classes]]
    }
}

impl Family for YoloxHeads {
    fn name(&self) -> &'static str {
        "yolox_raw"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode_heads::YoloxHeads::new(
            &self.strides,
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
        let of = |&stride: &u32| {
            let [rows, columns] = given.map(stride);
            [4, 1, given.classes].map(|channels| vec![1, channels, rows, columns])
        };
        self.strides.iter().flat_map(of).collect()
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "yolox_raw",
    readers: &[recognise::read],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[&STRIDES],
    micro_models: &["yolox_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[
        |choices| {
            Box::new(YoloxRaw {
                strides: choices.strides(),
            })
        },
        |choices| {
            Box::new(YoloxHeads {
                strides: choices.strides(),
            })
        },
    ],
};
