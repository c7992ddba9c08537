//! [`translate`]: one node of tract's typed graph becomes operators of the executor's graph.

mod attention;
mod concat;
mod conv;
mod elementwise;
mod matmul;
mod phases;
mod pool;
mod select;
mod shape;

use super::Refusal;
use super::builder::{Builder, Value};
use super::constants::Constant;
use super::view::{Part, View};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::{Gather, Pad, Slice, TypedConcat};
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv, MaxPool, SumPool};
use tract_onnx::tract_core::ops::downsample::Downsample;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::logic::Iff;
use tract_onnx::tract_core::ops::nn::resize::NearestUpsample;
use tract_onnx::tract_core::ops::nn::{Reduce, Resize, RmsNorm, Softmax};

/// A node while it is translated.
pub(super) struct Translation<'a> {
    pub model: &'a TypedModel,
    pub node: &'a TypedNode,
    pub builder: &'a mut Builder,
}

/// One operand of a node.
enum Operand {
    Tensor(View),
    Constant(Constant),
}

/// Adds to `builder` what `node` computes. All tensors that the node reads are constants or in `builder.values`.
///
/// # Errors
/// If the executor has no such operator, or not for these operands. The builder may have grown by operators that
/// nobody reads.
pub(super) fn translate(
    model: &TypedModel,
    node: &TypedNode,
    builder: &mut Builder,
) -> Result<(), Refusal> {
    let [output] = node.outputs.as_slice() else {
        return Err(refusal("has several outputs"));
    };
    let mut translation = Translation {
        model,
        node,
        builder,
    };
    let value = translation.value()?;
    if let Value::Tensor(view) | Value::Sign { of: view, .. } = &value {
        translation.builder.check(view)?;
    }
    let dims = value.dims();
    if output.fact.shape.as_concrete() != Some(dims.as_slice()) {
        let found = &output.fact.shape;
        return Err(refusal(format!(
            "makes {found:?} where {dims:?} was expected"
        )));
    }
    builder.values.insert(node.id.into(), value);
    Ok(())
}

pub(super) fn refusal(reason: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal(reason.into())
}

impl Translation<'_> {
    fn value(&mut self) -> Result<Value, Refusal> {
        let op = &self.node.op;
        if let Some(value) = self.attention()? {
            return Ok(value);
        }
        if let Some(op) = op.downcast_ref::<TypedBinOp>() {
            return self.binary(op);
        }
        let view = if let Some(op) = op.downcast_ref::<Conv>() {
            self.conv(op)
        } else if let Some(op) = op.downcast_ref::<Deconv>() {
            self.deconv(op)
        } else if let Some(op) = op.downcast_ref::<EinSum>() {
            self.einsum(op)
        } else if let Some(op) = op.downcast_ref::<ElementWiseOp>() {
            self.unary(op)
        } else if op.is::<Iff>() {
            self.choice()
        } else if let Some(op) = op.downcast_ref::<MaxPool>() {
            self.max_pool(op)
        } else if let Some(op) = op.downcast_ref::<SumPool>() {
            self.sum_pool(op)
        } else if let Some(op) = op.downcast_ref::<Reduce>() {
            self.reduce(op)
        } else if let Some(op) = op.downcast_ref::<Softmax>() {
            self.softmax(op)
        } else if let Some(op) = op.downcast_ref::<RmsNorm>() {
            self.rms_norm(op)
        } else if let Some(op) = op.downcast_ref::<Resize>() {
            self.resize(op)
        } else if let Some(op) = op.downcast_ref::<NearestUpsample>() {
            self.upsample(op)
        } else {
            self.moved()
        };
        view.map(Value::Tensor)
    }

    /// Operators that only move numbers.
    fn moved(&mut self) -> Result<View, Refusal> {
        let op = &self.node.op;
        if let Some(op) = op.downcast_ref::<AxisOp>() {
            self.axis_op(op)
        } else if let Some(op) = op.downcast_ref::<TypedConcat>() {
            self.concat(op.axis)
        } else if let Some(op) = op.downcast_ref::<Slice>() {
            self.slice(op)
        } else if let Some(op) = op.downcast_ref::<Gather>() {
            self.gather(op)
        } else if let Some(op) = op.downcast_ref::<Downsample>() {
            self.downsample(op)
        } else if let Some(op) = op.downcast_ref::<Pad>() {
            self.pad(op)
        } else {
            Err(refusal("is no operator of the executor"))
        }
    }

    fn constant(&mut self, index: usize) -> Result<Option<Constant>, Refusal> {
        let fact = (self.node.inputs.get(index)).map(|&outlet| self.model.outlet_fact(outlet));
        let Some(Ok(fact)) = fact else {
            return Err(refusal("lacks an operand"));
        };
        let Some(tensor) = &fact.konst else {
            return Ok(None);
        };
        self.builder.spend(tensor.len())?;
        Constant::new(tensor).map(Some)
    }

    fn needed_constant(&mut self, index: usize, what: &'static str) -> Result<Constant, Refusal> {
        (self.constant(index)?).ok_or_else(|| refusal(format!("computes its {what}")))
    }

    /// The tensor that the node reads at `index`.
    fn tensor(&self, index: usize) -> Result<View, Refusal> {
        let outlet = self.node.inputs.get(index);
        match outlet.and_then(|outlet| self.builder.values.get(outlet)) {
            Some(Value::Tensor(view)) => Ok(view.clone()),
            Some(Value::Sign { .. }) => Err(refusal("reads a comparison")),
            Some(Value::Scores(_)) => Err(refusal("reads products of two maps")),
            None => Err(refusal("reads a constant where a tensor was expected")),
        }
    }

    /// The one part of the tensor that the node reads at `index`.
    fn part(&self, index: usize) -> Result<Part, Refusal> {
        let view = self.tensor(index)?;
        let part = view.one_part().cloned();
        part.ok_or_else(|| refusal("reads a tensor that joins several maps"))
    }

    fn operand(&mut self, index: usize) -> Result<Operand, Refusal> {
        match self.constant(index)? {
            Some(constant) => Ok(Operand::Constant(constant)),
            None => self.tensor(index).map(Operand::Tensor),
        }
    }

    /// Whether nobody else reads what the node reads at `index`.
    fn sole_reader(&self, index: usize) -> bool {
        let outlet = self.node.inputs[index];
        self.model.outlet_successors(outlet).len() == 1 && !self.model.outputs.contains(&outlet)
    }
}
