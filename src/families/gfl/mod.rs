//! NanoDet, PicoDet: heads of generalised focal loss.

mod decode;
mod recognise;

use super::card::Card;
use super::card::{Key, STRIDES};
use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;

#[derive(Debug, Clone, PartialEq)]
/// Distances to the sides of a box as distributions over `bins` lengths.
pub struct Gfl {
    /// Input pixels per cell of each grid, in the order of the outputs.
    pub strides: Vec<u32>,
    /// Lengths of one distribution.
    pub bins: usize,
    /// Where in its cell a box is measured from.
    pub anchor_point: AnchorPoint,
}

/// The point of a cell from which the distances to the four sides of a box are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnchorPoint {
    /// The left upper corner.
    Corner,
    /// Half a cell right and down of it.
    Middle,
    /// Half a pixel before the middle: the mean of the cell's pixel indices.
    MiddlePixel,
}

impl AnchorPoint {
    /// Returns input pixels from the left upper corner of a cell of `stride` pixels, along both axes.
    pub fn offset(self, stride: f32) -> f32 {
        match self {
            Self::Corner => 0.0,
            Self::Middle => stride / 2.0,
            Self::MiddlePixel => (stride - 1.0) / 2.0,
        }
    }
}

/// Bins of a distance, less one.
pub static REG_MAX: Key<usize> = Key {
    name: "reg_max",
    expected: "a number, 1 to 255",
    read: |value| {
        let reg_max = value.as_u64().filter(|n| (1..=255).contains(n))?;
        Some(reg_max as usize)
    },
};

/// Where in its cell a box is measured from.
pub static CENTER_OFFSET: Key<AnchorPoint> = Key {
    name: "center_offset",
    expected: "one of \"zero\", \"half_stride\", \"half_stride_minus_half\"",
    read: |value| match value.as_str()? {
        "zero" => Some(AnchorPoint::Corner),
        "half_stride" => Some(AnchorPoint::Middle),
        "half_stride_minus_half" => Some(AnchorPoint::MiddlePixel),
        _ => None,
    },
};

impl Family for Gfl {
    fn name(&self) -> &'static str {
        "gfl"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        let layout = decode::Layout {
            strides: &self.strides,
            bins: self.bins,
            anchor_point: self.anchor_point,
        };
        Ok(Box::new(decode::Gfl::new(
            layout,
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
        if let Some(point) = card.get(&CENTER_OFFSET) {
            self.anchor_point = point;
        }
        if let Some(strides) = card.get(&STRIDES) {
            self.strides = strides;
        }
    }

    fn largest_stride(&self) -> Option<u32> {
        self.strides.iter().copied().max()
    }

    fn contradicts(&self, card: &Card) -> bool {
        card.get(&REG_MAX).is_some_and(|own| self.bins != own + 1)
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        let (strides, fields) = (&self.strides, 4 * self.bins);
        if given.candidates.is_multiple_of(2) {
            return vec![vec![1, given.all_cells(strides), given.classes + fields]];
        }
        let dims = |last: usize| strides.iter().map(move |&s| vec![1, given.cells(s), last]);
        dims(given.classes).chain(dims(fields)).collect()
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "gfl",
    readers: &[recognise::read],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[&STRIDES, &REG_MAX, &CENTER_OFFSET],
    micro_models: &["nanodet_plus_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|choices| {
        Box::new(Gfl {
            strides: choices.strides(),
            bins: choices.one_of(&[2, 8, 17, 256]),
            anchor_point: choices.one_of(&[
                AnchorPoint::Corner,
                AnchorPoint::Middle,
                AnchorPoint::MiddlePixel,
            ]),
        })
    }],
};
