//! Replaces operators of tract that have only a general form, which computes number by number, where the executor leaves
//! them to it: resized tensors and softmax across rows.
//!
//! The executor resizes neither cubically nor with unusual coordinates, and takes softmax only inside of a network.
//! Transformers have it between operators that stay outside.

mod planes;
mod resize;
mod softmax;

use resize::SeparableResize;
use softmax::StridedSoftmax;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::nn::{Resize, Softmax};

/// Replaces operators in a decluttered model.
pub(super) fn replace(model: &mut TypedModel) -> TractResult<()> {
    for id in model.eval_order()? {
        let node = model.node(id);
        let replacement = replacement(node, &model.node_input_facts(id)?);
        if let Some(op) = replacement {
            let inputs = &node.inputs[..1];
            TypedModelPatch::replace_single_op(model, node, inputs, op)?.apply(model)?;
        }
    }
    Ok(())
}

/// Returns our operator for `node`, if there is one. It reads the first input.
fn replacement(node: &TypedNode, inputs: &[&TypedFact]) -> Option<Box<dyn TypedOp>> {
    if let Some(resize) = node.op_as::<Resize>() {
        Some(Box::new(SeparableResize::from_resize(resize, inputs)?))
    } else if let Some(softmax) = node.op_as::<Softmax>() {
        Some(Box::new(StridedSoftmax::from_softmax(softmax, inputs)?))
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
