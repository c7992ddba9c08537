//! MediaPipe's face detector.

mod decode;
mod recognise;

use super::card::Card;
use super::card::{Key, stride};
use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;
use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
/// MediaPipe's face detector: raw scores and boxes beside anchor centres.
pub struct BlazeFace {
    /// The grids of anchors, in the order of the outputs.
    pub anchor_layers: Vec<AnchorLayer>,
}

/// Anchors of one grid: cells of `stride` input pixels, `anchors` in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnchorLayer {
    /// Input pixels per cell.
    pub stride: u32,
    /// Anchors in each cell.
    pub anchors: usize,
}

/// Stride and anchors a cell of each grid.
pub static ANCHOR_LAYERS: Key<Vec<AnchorLayer>> = Key {
    name: "anchor_layers",
    expected: "a list like [[16, 2], [32, 6]] of stride and anchors",
    read: |value| {
        let list = value.as_array().filter(|list| !list.is_empty())?;
        list.iter().map(anchor_layer).collect()
    },
};

fn anchor_layer(value: &Value) -> Option<AnchorLayer> {
    match value.as_array()?.as_slice() {
        [step, anchors] => Some(AnchorLayer {
            stride: stride(step)?,
            anchors: anchors.as_u64().filter(|n| (1..=64).contains(n))? as usize,
        }),
        _ => None,
    }
}

impl Family for BlazeFace {
    fn name(&self) -> &'static str {
        "blazeface"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::BlazeFace::new(
            &self.anchor_layers,
            model.input,
            model.outputs,
        )?))
    }

    fn has_raw_heads(&self) -> bool {
        true
    }

    fn apply_card(&mut self, card: &Card) {
        if let Some(layers) = card.get(&ANCHOR_LAYERS) {
            self.anchor_layers = layers;
        }
    }

    fn largest_stride(&self) -> Option<u32> {
        self.anchor_layers.iter().map(|layer| layer.stride).max()
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        let dims = |last: usize| {
            let of = move |l: &AnchorLayer| vec![1, given.cells(l.stride) * l.anchors, last];
            self.anchor_layers.iter().map(of)
        };
        dims(1).chain(dims(16)).collect()
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "blazeface",
    readers: &[recognise::read],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[&ANCHOR_LAYERS],
    micro_models: &[],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|choices| {
        let strides = choices.strides().into_iter();
        let layer = |stride| AnchorLayer {
            stride,
            anchors: choices.between(1, 6),
        };
        let anchor_layers = strides.map(layer).collect();
        Box::new(BlazeFace { anchor_layers })
    }],
};
