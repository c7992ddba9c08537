//! [`StridedSoftmax`]: softmax over an axis that is short or not the last.

use super::planes::{each_plane, of_dims, raise};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::nn::{Softmax, SoftmaxKind};

/// Length of the last axis from which tract's own loop is efficient.
const LONG: usize = 16;

/// Softmax of f32.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct StridedSoftmax {
    dims: Vec<usize>,
    /// Length of the axis, and distance between its neighbours.
    length: usize,
    step: usize,
}

impl StridedSoftmax {
    /// Returns the operator for `softmax`, or `None` if it is of another kind or tract is faster.
    pub fn from_softmax(softmax: &Softmax, inputs: &[&TypedFact]) -> Option<Self> {
        let ([input], [axis]) = (inputs, softmax.axes.as_slice()) else {
            return None;
        };
        let plain = softmax.quant_output_dt.is_none() && softmax.kind == SoftmaxKind::Softmax;
        let dims = input.shape.as_concrete()?;
        let (length, step) = (*dims.get(*axis)?, dims[axis + 1..].iter().product());
        let worth = step > 1 || length < LONG;
        let some = !dims.contains(&0);
        (plain && worth && some && input.datum_type == f32::datum_type()).then(|| Self {
            dims: dims.to_vec(),
            length,
            step,
        })
    }
}

/// Intermediate values for each place between the neighbours of the axis.
struct Scratch {
    highest: Vec<f32>,
    sums: Vec<f32>,
}

/// Computes exp(x - highest) divided by the sum, so that nothing overflows.
fn softmax(scratch: &mut Scratch, input: &[f32], output: &mut [f32]) {
    let Scratch { highest, sums } = scratch;
    let step = highest.len();
    highest.fill(f32::NEG_INFINITY);
    for row in input.chunks_exact(step) {
        raise(highest, row);
    }
    sums.fill(0.0);
    for (row, output) in input.chunks_exact(step).zip(output.chunks_exact_mut(step)) {
        let seen = highest.iter().zip(sums.iter_mut());
        for ((output, number), (highest, sum)) in output.iter_mut().zip(row).zip(seen) {
            *output = (number - highest).exp();
            *sum += *output;
        }
    }
    for output in output.chunks_exact_mut(step) {
        for (output, sum) in output.iter_mut().zip(sums.iter()) {
            *output /= sum;
        }
    }
}

of_dims!(StridedSoftmax, "DetectSoftmax", dims);

impl EvalOp for StridedSoftmax {
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let area = self.length * self.step;
        let scratch = || Scratch {
            highest: vec![0.0; self.step],
            sums: vec![0.0; self.step],
        };
        each_plane(
            &input,
            &self.dims,
            [area; 2],
            scratch,
            |scratch, _, input, output| {
                softmax(scratch, input, output);
            },
        )
    }

    op_out_of_plan!();
}
