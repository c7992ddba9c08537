//! [`Registration`]: what a family's folder gives to the registry.

use super::card::{AnyKey, Card};
use super::reading::Reading;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Sampler;
use crate::onnx::facts::Facts;

/// A family as the registry lists it.
pub struct Registration {
    /// The value of `decode` in a card.
    pub name: &'static str,
    /// Recognise a model without a card, each in one way.
    pub readers: &'static [fn(&Facts) -> Option<Reading>],
    /// Reads a model that its card says is of this family, or says what does not fit.
    pub read_as: fn(&Facts, &Card) -> Result<Reading, String>,
    /// Says why a model that looks like one of this family is refused.
    pub why_not: Option<fn(&Facts) -> Option<String>>,
    /// The keys of a card that only this family, or it and a few others, read.
    pub keys: &'static [&'static dyn AnyKey],
    /// Names, without ".onnx", of models of kilobytes that are recognised as this family, made by `micro_model.py` in its
    /// folder or, where many tests share them, by `tests/models/make.py`; none where the family is tested with whole
    /// models only.
    pub micro_models: &'static [&'static str],
    /// Make families with fields as readers and cards give them, for tests of decoders.
    #[cfg(any(test, feature = "stub-engine"))]
    pub samplers: &'static [Sampler],
}
