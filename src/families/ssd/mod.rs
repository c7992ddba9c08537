//! SSD: scores with a background, and boxes.

mod decode;
mod priors;
mod recognise;

use super::card::Card;
use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::{Choices, at_places};
use priors::PRIOR_LAYERS;
pub use priors::{PriorLayer, Priors};

#[derive(Debug, Clone, PartialEq)]
/// Scores with a background `[1, n, 1 + classes]` and boxes `[1, n, 4]`, as shares of the input or beside `priors`.
pub struct Ssd {
    /// Where the outputs are.
    pub places: SsdPlaces,
    /// Whether scores are logits: the graph has no softmax.
    pub logits: bool,
    /// The priors beside which raw boxes lie; `None` if the graph has decoded the boxes.
    pub priors: Option<Priors>,
}

/// The places of the outputs in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SsdPlaces {
    /// Place of the output of boxes.
    pub boxes: usize,
    /// Place of the output of scores.
    pub scores: usize,
}

impl Family for Ssd {
    fn name(&self) -> &'static str {
        "ssd"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        let layout = decode::Layout {
            places: self.places,
            logits: self.logits,
            priors: self.priors.as_ref(),
        };
        Ok(Box::new(decode::Ssd::new(
            layout,
            model.input,
            model.classes,
            model.outputs,
            model.labelling,
        )?))
    }

    fn has_raw_heads(&self) -> bool {
        false
    }

    fn apply_card(&mut self, card: &Card) {
        if let Some(priors) = card.get(&PRIOR_LAYERS) {
            self.priors = Some(priors);
        }
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        let count = |priors: &Priors| {
            let of = |l: &PriorLayer| (l.columns * l.rows) as usize * l.sizes.len();
            priors.layers.iter().map(of).sum()
        };
        let n = self.priors.as_ref().map_or(given.candidates, count);
        let places = [self.places.boxes, self.places.scores];
        at_places(places, [vec![1, n, 4], vec![1, n, 1 + given.classes]])
    }
}

#[cfg(any(test, feature = "stub-engine"))]
fn sample(choices: &mut dyn Choices) -> Box<dyn Family> {
    let places = SsdPlaces {
        boxes: choices.place(),
        scores: choices.place(),
    };
    let logits = choices.flag();
    let priors = choices.flag().then(|| {
        let layers = choices.between(1, 3);
        let mut layer = || PriorLayer {
            columns: choices.between(1, 5) as u32,
            rows: choices.between(1, 5) as u32,
            step: choices.one_of(&[None, Some(16.0), Some(1e-3), Some(8192.0)]),
            sizes: choices.sizes(),
        };
        let layers = (0..layers).map(|_| layer()).collect();
        let mut variance = || choices.one_of(&[0.1, 0.2, 0.0, -1.0, 1e38]);
        let variances = [variance(), variance()];
        Priors { layers, variances }
    });
    Box::new(Ssd {
        places,
        logits,
        priors,
    })
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "ssd",
    readers: &[recognise::read],
    read_as: recognise::read_as,
    why_not: Some(recognise::why_not),
    keys: &[&PRIOR_LAYERS],
    micro_models: &["ssd_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[sample],
};
