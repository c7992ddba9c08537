//! Refuses a model that would need absurd amounts of memory or time, in the name of the engine that was to run it.

use super::{EngineError, EngineKind, EngineOptions};
use crate::onnx::budget::Weighed;

/// Turns a finding of [`crate::onnx::budget`] into a refusal by `engine`.
pub(super) fn refuse(engine: EngineKind) -> impl FnOnce(String) -> EngineError {
    move |reason| EngineError::TooLarge { engine, reason }
}

/// Refuses a form of a model above the budget. Returns the multiply-adds of an inference.
pub(super) fn check(
    engine: EngineKind,
    weighed: &Weighed,
    options: &EngineOptions,
) -> Result<u64, EngineError> {
    let demand = weighed
        .as_ref()
        .map_err(|reason| refuse(engine)(reason.clone()))?;
    demand
        .check(options.most_compute())
        .map_err(refuse(engine))?;
    Ok(demand.multiply_adds)
}
