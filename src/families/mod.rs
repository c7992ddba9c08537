//! Families of detectors: how each is recognised and decoded, and the card that says what a file does not.
//!
//! A family is one folder here and one row of [`FAMILIES`]. What recognisers share is in `evidence`, what decoders share
//! in [`decoding`].

pub mod blazeface;
pub mod boxes_scores;
pub mod card;
pub mod counted;
mod decision;
pub mod decoding;
pub mod detr;
pub mod detr_rows;
pub mod dets;
pub mod e2e6;
mod error;
mod evidence;
mod family;
pub mod fastestdet;
pub mod gfl;
pub mod nms3;
mod read_card;
mod reading;
mod recognise;
mod registration;
pub mod rows;
#[cfg(any(test, feature = "stub-engine"))]
pub mod sample;
pub mod scrfd;
pub mod ssd;
pub mod table_form;
pub mod tfssd;
mod thresholds;
pub mod ultraface;
mod undecided;
pub mod yolov5;
pub mod yolov5_raw;
pub mod yolov8;
pub mod yolox;
pub mod yunet;
pub mod yunet_2022;

pub use decision::{Decision, topic};
pub use decoding::{DecodeError, Decoder, Labelling};
pub use error::FamilyError;
pub use family::{DecoderInput, Family, Settled, Value};
pub use reading::{Convention, Reading};
pub use recognise::{certain, recognise};
pub use registration::Registration;
pub use table_form::seen::Certain;
pub use thresholds::OwnThresholds;

use crate::base::geometry::Size;
use crate::base::tensor::TensorSpec;

/// The families, in the order in which their readings are listed where several fit.
pub static FAMILIES: &[&Registration] = &[
    &blazeface::FAMILY,
    &yolox::FAMILY,
    &yolov5::FAMILY,
    &yolov8::FAMILY,
    &yunet::FAMILY,
    &ultraface::DECODED,
    &ultraface::RAW,
    &gfl::FAMILY,
    &fastestdet::FAMILY,
    &e2e6::FAMILY,
    &nms3::FAMILY,
    &detr::FAMILY,
    &tfssd::FAMILY,
    &detr_rows::FAMILY,
    &rows::FAMILY,
    &dets::FAMILY,
    &counted::FAMILY,
    &boxes_scores::FAMILY,
    &scrfd::FAMILY,
    &ssd::FAMILY,
    &yolov5_raw::FAMILY,
    &yunet_2022::FAMILY,
];

/// Returns the values that a card's `decode` may have.
pub fn decode_names() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|family| family.name)
}

/// Makes the decoder of `family` for a model with an input of `input` pixels and these outputs; see [`DecoderInput`].
///
/// # Errors
/// [`DecodeError`] if the outputs are not those of the family.
pub fn decoder_for(
    family: &dyn Family,
    input: Size,
    classes: usize,
    outputs: &[TensorSpec],
    labelling: Labelling,
) -> Result<Box<dyn Decoder>, DecodeError> {
    family.decoder(DecoderInput {
        input,
        classes,
        outputs,
        labelling,
    })
}

#[cfg(test)]
mod tests;
