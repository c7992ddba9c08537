//! Replaces operators of tract that have only a general form, which computes number by number, where the executor leaves
//! them to it: resized tensors, sampled ones, and softmax across rows.
//!
//! The executor resizes neither cubically nor with unusual coordinates, and takes softmax only inside of a network.
//! Transformers have it between operators that stay outside. Those with deformable attention (RT-DETR, D-FINE) sample
//! maps at computed places.

mod grid_sample;
mod planes;
mod resize;
mod softmax;

use grid_sample::BilinearSample;
use resize::SeparableResize;
use softmax::StridedSoftmax;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::nn::{GridSample, Resize, Softmax};

/// Replaces operators in a decluttered model.
pub(super) fn replace(model: &mut TypedModel) -> TractResult<()> {
    for id in model.eval_order()? {
        let node = model.node(id);
        let replacement = replacement(node, &model.node_input_facts(id)?);
        if let Some((op, reads)) = replacement {
            let inputs = &node.inputs[..reads];
            TypedModelPatch::replace_single_op(model, node, inputs, op)?.apply(model)?;
        }
    }
    Ok(())
}

/// Returns our operator for `node`, if there is one, and how many of the node's inputs it reads.
fn replacement(node: &TypedNode, inputs: &[&TypedFact]) -> Option<(Box<dyn TypedOp>, usize)> {
    if let Some(resize) = node.op_as::<Resize>() {
        Some((Box::new(SeparableResize::from_resize(resize, inputs)?), 1))
    } else if let Some(softmax) = node.op_as::<Softmax>() {
        Some((Box::new(StridedSoftmax::from_softmax(softmax, inputs)?), 1))
    } else if let Some(sample) = node.op_as::<GridSample>() {
        let op = BilinearSample::from_grid_sample(sample, inputs)?;
        Some((Box::new(op), 2))
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
