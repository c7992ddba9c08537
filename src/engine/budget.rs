//! Refuses a model that would need absurd amounts of memory, in the name of the engine that was to run it.

use super::{EngineError, EngineKind, EngineOptions};
use crate::base::tensor::InputSpec;
use crate::onnx::budget;

/// Turns a finding of [`budget`] into a refusal by `engine`.
pub(super) fn refuse(engine: EngineKind) -> impl FnOnce(String) -> EngineError {
    move |reason| EngineError::TooLarge { engine, reason }
}

/// Refuses the bytes of a file, fed with `input`, above the budget. Bytes that are not ONNX are left to the engine.
pub(super) fn check_file(
    engine: EngineKind,
    bytes: &[u8],
    input: &InputSpec,
    options: &EngineOptions,
) -> Result<(), EngineError> {
    let most_compute = options.most_compute();
    budget::check_file(bytes, input, most_compute).map_err(refuse(engine))
}
