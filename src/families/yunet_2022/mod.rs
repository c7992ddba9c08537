//! libfacedetection's face detector as of 2021 and 2022.

mod decode;
mod recognise;

#[cfg(any(test, feature = "stub-engine"))]
use super::decoding::face_priors;
use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;

#[derive(Debug, Clone, PartialEq)]
/// Boxes beside SSD priors, two scores and an IoU of each.
pub struct YuNet2022;

impl Family for YuNet2022 {
    fn name(&self) -> &'static str {
        "yunet_2022"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::YuNet2022::new(
            model.input,
            model.outputs,
        )?))
    }

    fn has_raw_heads(&self) -> bool {
        true
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        let whole =
            |stride: &u32| (given.input.width / stride * (given.input.height / stride)) as usize;
        let priors = face_priors::PRIORS.iter();
        let count: usize = priors
            .map(|(stride, sides)| whole(stride) * sides.len())
            .sum();
        [14, 2, 1].map(|last| vec![count, last]).into()
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "yunet_2022",
    readers: &[recognise::read],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[],
    micro_models: &["yunet_2022_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|_| Box::new(YuNet2022)],
};
