//! [`StridedSoftmax`]: over an axis that is not the last, or is short.

use super::planes::{each_plane, of_dims, raise};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::nn::{Softmax, SoftmaxKind};

/// Below so many numbers tract's own loop over the last axis costs more than what it computes.
const LONG: usize = 16;

/// Of f32.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct StridedSoftmax {
    dims: Vec<usize>,
    /// How long the axis is, and how many numbers lie between its neighbours.
    length: usize,
    step: usize,
}

impl StridedSoftmax {
    /// None if `softmax` is of another kind, or better left to tract.
    pub fn of(softmax: &Softmax, inputs: &[&TypedFact]) -> Option<Self> {
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

/// What has been computed for each place between the neighbours of the axis.
struct Scratch {
    highest: Vec<f32>,
    sums: Vec<f32>,
}

/// exp(x - highest) over the sum of these: as large as may be, so that nothing overflows.
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
