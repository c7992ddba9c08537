//! Replaces operators of tract that have only a general form, which computes number by number, where the executor leaves
//! them to it: resized tensors, sampled ones, softmax across rows, the best numbers of many, and gathered ones.
//!
//! The executor resizes neither cubically nor with unusual coordinates, and takes softmax only inside of a network.
//! Transformers have it between operators that stay outside. Those with deformable attention (RT-DETR, D-FINE) sample
//! maps at computed places. Heads without suppression take the best candidates, and gather their boxes.

mod gather;
mod grid_sample;
mod planes;
mod resize;
mod softmax;
mod top;

use gather::GatherAlong;
use grid_sample::BilinearSample;
use resize::SeparableResize;
use softmax::StridedSoftmax;
use top::SelectTop;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::{GatherElements, Topk};
use tract_onnx::tract_core::ops::nn::{GridSample, Resize, Softmax};

/// Replaces operators in a decluttered model.
pub(super) fn replace(model: &mut TypedModel) -> TractResult<()> {
    for id in model.eval_order()? {
        let node = model.node(id);
        let replacement = replacement(model, node, &model.node_input_facts(id)?);
        if let Some((op, inputs)) = replacement {
            TypedModelPatch::replace_single_op(model, node, &inputs, op)?.apply(model)?;
        }
    }
    Ok(())
}

/// Returns our operator for `node`, if there is one, and what it reads.
fn replacement(
    model: &TypedModel,
    node: &TypedNode,
    inputs: &[&TypedFact],
) -> Option<(Box<dyn TypedOp>, TVec<OutletId>)> {
    let first = |count: usize| node.inputs[..count].iter().copied().collect();
    if let Some(resize) = node.op_as::<Resize>() {
        let op = SeparableResize::from_resize(resize, inputs)?;
        Some((Box::new(op), first(1)))
    } else if let Some(softmax) = node.op_as::<Softmax>() {
        let op = StridedSoftmax::from_softmax(softmax, inputs)?;
        Some((Box::new(op), first(1)))
    } else if let Some(sample) = node.op_as::<GridSample>() {
        let op = BilinearSample::from_grid_sample(sample, inputs)?;
        Some((Box::new(op), first(2)))
    } else if let Some(top) = node.op_as::<Topk>() {
        Some((Box::new(SelectTop::from_top(top, inputs)?), first(1)))
    } else if let Some(gather) = node.op_as::<GatherElements>() {
        let (op, inputs) = GatherAlong::from_node(model, node, gather)?;
        Some((Box::new(op), inputs))
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
