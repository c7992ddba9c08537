//! Refuses tract's typed model where a tensor between its nodes is above the budget.

use crate::engine::budget::refuse;
use crate::engine::{EngineError, EngineKind};
use crate::onnx::budget;
use tract_onnx::prelude::*;

/// Refuses a model with a tensor above the budget.
pub(super) fn check_model(model: &TypedModel) -> Result<(), EngineError> {
    for node in model.nodes() {
        for output in &node.outputs {
            let fact = &output.fact;
            let dims: Option<Vec<i64>> = fact.shape.iter().map(|dim| dim.to_i64().ok()).collect();
            if let Some(dims) = dims {
                let bytes = fact.datum_type.size_of() as u64;
                budget::check_dims(&dims, bytes, || {
                    format!("{} of node {}", node.op.name(), node.name)
                })
                .map_err(refuse(EngineKind::Tract))?;
            }
        }
    }
    Ok(())
}
