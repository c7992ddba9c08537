//! YOLOv8, v9, v11, v12.

mod decode;
mod decode_heads;
mod ending;
mod recognise;

use super::card::{self, Card};
use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family, Settled};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;
use super::table_form::TableForm;
use super::table_form::seen::{self, Certain};
use crate::base::tensor::Tensor;
use crate::onnx::rewrite::{Ending, Heads};

#[derive(Debug, Clone, PartialEq)]
/// `[1, 4 + classes, n]`, boxes in input pixels, no objectness: YOLOv8, v9, v11, v12.
pub struct Yolov8;

/// The same with its graph ended at the raw heads, sides as distributions over `bins` lengths, and classes, of each
/// stride.
#[derive(Debug, Clone, PartialEq)]
pub struct Yolov8Heads {
    /// Input pixels per cell of each grid, in the order of the outputs.
    pub strides: Vec<u32>,
    /// Lengths of one distribution.
    pub bins: usize,
}

impl Family for Yolov8 {
    fn name(&self) -> &'static str {
        "yolov8"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::Yolov8::new(
            model.classes,
            model.outputs,
            model.labelling,
        )?))
    }

    fn has_raw_heads(&self) -> bool {
        false
    }

    fn excluded_by(&self, card: &Card) -> bool {
        TableForm::yolov8().excluded_by(card)
    }

    fn described_by(&self, card: &Card, classes: usize) -> Option<(Box<dyn Family>, usize)> {
        TableForm::yolov8().described_by(card, classes)
    }

    fn settle(
        &self,
        outputs: &[Tensor],
        model: &DecoderInput,
        certain: &Certain,
    ) -> Option<Settled> {
        let found = seen::settle(&TableForm::yolov8(), outputs, model, certain)?;
        let family = found.form.clone().family(&TableForm::yolov8(), Yolov8);
        Some(found.with_family(family))
    }

    fn ending(&self) -> Option<&dyn Ending> {
        Some(self)
    }

    fn ended_at(&self, heads: &Heads) -> Option<Box<dyn Family>> {
        Some(Box::new(Yolov8Heads {
            strides: heads.strides.clone(),
            bins: heads.channels.first()? / ending::SIDES,
        }))
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        vec![vec![1, 4 + given.classes, given.candidates]]
    }
}

impl Family for Yolov8Heads {
    fn name(&self) -> &'static str {
        "yolov8"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode_heads::Yolov8Heads::new(
            &self.strides,
            self.bins,
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
            [4 * self.bins, given.classes].map(|channels| vec![1, channels, rows, columns])
        };
        self.strides.iter().flat_map(of).collect()
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "yolov8",
    readers: &[recognise::read, recognise::read_transposed],
    read_as: recognise::read_as,
    why_not: None,
    keys: card::TABLE_KEYS,
    micro_models: &["yolov8_micro", "yolov8_dfl_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[
        |_| Box::new(Yolov8),
        |choices| super::table_form::sample(choices, false),
        |choices| {
            Box::new(Yolov8Heads {
                strides: choices.strides(),
                bins: choices.one_of(&[1, 2, 16]),
            })
        },
    ],
};
