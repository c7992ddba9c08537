//! YOLOv5, v7 and YOLOX, decoded in the graph.

mod decode;
mod recognise;

use super::card::{self, Card};
use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family, Settled};
use super::registration::Registration;
use super::rows::Rows;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;
use super::table_form::TableForm;
use super::table_form::seen::{self, Certain};
use crate::base::tensor::Tensor;

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

    fn excluded_by(&self, card: &Card) -> bool {
        TableForm::yolov5().excluded_by(card)
    }

    fn described_by(&self, card: &Card, classes: usize) -> Option<(Box<dyn Family>, usize)> {
        TableForm::yolov5().described_by(card, classes)
    }

    fn settle(
        &self,
        outputs: &[Tensor],
        model: &DecoderInput,
        certain: &Certain,
    ) -> Option<Settled> {
        let known = certain.classes || certain.format || certain.activation;
        let numbers = seen::table(true, outputs, model.outputs).filter(|_| !known);
        if numbers.is_some_and(|numbers| seen::has_class_numbers(&numbers, model.input)) {
            return Some(Settled::in_form(Rows::deepstream(), 0));
        }
        let found = seen::settle(&TableForm::yolov5(), outputs, model, certain)?;
        let family = found.form.clone().family(&TableForm::yolov5(), Yolov5);
        Some(found.with_family(family))
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
    keys: card::TABLE_KEYS,
    micro_models: &["yolov5_micro", "yolox_decoded_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[
        |_| Box::new(Yolov5),
        |choices| super::table_form::sample(choices, true),
    ],
};
