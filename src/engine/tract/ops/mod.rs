//! Operators of ours in place of tract's, where tract has a general form alone that computes number by number: convolutions
//! that take each channel alone with a stride, the maximum of a window, tensors resized, and softmax across rows.
//!
//! Model time with them over that with tract 0.23.9's own, medians of five pairs in turns (AMD EPYC, one thread, release,
//! 2026-11-23), and what gains most, with the milliseconds of an inference that it took:
//!
//! | model | share | |
//! |---|---|---|
//! | fastestdet_352 | 0.61 | softmax, 3.8 |
//! | nanodet_m_320 | 0.78 | four linear resizings, 3.2 |
//! | ultraface_rfb_320 | 0.80 | |
//! | yolox_nano_416 | 0.88 | six strided convolutions, 4.1 (1.6 with ours); three maxima, 2.4 (0.6) |
//! | yunet_n_320 | 0.89 | |
//! | blazeface_back_256 | 0.89 | |
//! | picodet_xs_320 | 0.93 | |
//! | yolov8n_320_random | 0.97 | |
//!
//! Without a stride tract's depthwise convolution is the faster one: with ours yunet took 1.37 times as long.

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

/// Puts them into a decluttered model.
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

/// The operator of ours for `node`, if there is one, and how many of its inputs that needs.
fn replacement(node: &TypedNode, inputs: &[&TypedFact]) -> Option<(Box<dyn TypedOp>, usize)> {
    fn of<T: TypedOp>(op: T) -> Box<dyn TypedOp> {
        Box::new(op)
    }
    if let Some(conv) = node.op_as::<Conv>() {
        Some((of(DepthwiseConv::of(conv, inputs)?), 3))
    } else if let Some(pool) = node.op_as::<MaxPool>() {
        Some((of(SeparableMaxPool::of(pool, inputs)?), 1))
    } else if let Some(resize) = node.op_as::<Resize>() {
        Some((of(SeparableResize::of(resize, inputs)?), 1))
    } else if let Some(softmax) = node.op_as::<Softmax>() {
        Some((of(StridedSoftmax::of(softmax, inputs)?), 1))
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
