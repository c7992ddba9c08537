//! Replaces those operators of tract that have only a general form, which computes number by number: depthwise
//! convolutions with a stride, maxima of windows, resized tensors, and softmax across rows.
//!
//! With them small models take 3 to 39 % less time (`tests/benches/figures/2026-11-23-epyc-2/README.md`). Depthwise
//! convolutions without a stride stay tract's, which are faster.

mod depthwise_conv;
mod max_pool;
mod planes;
mod resize;
mod rows;
mod softmax;
mod window;

use depthwise_conv::DepthwiseConv;
use max_pool::SeparableMaxPool;
use resize::SeparableResize;
use softmax::StridedSoftmax;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cnn::{Conv, MaxPool};
use tract_onnx::tract_core::ops::nn::{Resize, Softmax};

/// Replaces operators in a decluttered model.
pub(super) fn replace(model: &mut TypedModel) -> TractResult<()> {
    for id in model.eval_order()? {
        let node = model.node(id);
        let replacement = replacement(node, &model.node_input_facts(id)?);
        if let Some((op, inputs)) = replacement {
            let inputs = &node.inputs[..inputs];
            TypedModelPatch::replace_single_op(model, node, inputs, op)?.apply(model)?;
        }
    }
    Ok(())
}

/// Returns our operator for `node`, if there is one, and how many inputs it needs.
fn replacement(node: &TypedNode, inputs: &[&TypedFact]) -> Option<(Box<dyn TypedOp>, usize)> {
    fn boxed<T: TypedOp>(op: T) -> Box<dyn TypedOp> {
        Box::new(op)
    }
    if let Some(conv) = node.op_as::<Conv>() {
        Some((boxed(DepthwiseConv::from_conv(conv, inputs)?), 3))
    } else if let Some(pool) = node.op_as::<MaxPool>() {
        Some((boxed(SeparableMaxPool::from_pool(pool, inputs)?), 1))
    } else if let Some(resize) = node.op_as::<Resize>() {
        Some((boxed(SeparableResize::from_resize(resize, inputs)?), 1))
    } else if let Some(softmax) = node.op_as::<Softmax>() {
        Some((boxed(StridedSoftmax::from_softmax(softmax, inputs)?), 1))
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
