//! [`SeparableMaxPool`]: the maximum of a window, first over rows, then over columns.

use super::planes::{of_dims, raise};
use super::rows::Row;
use super::window::Window;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::MaxPool;

/// Pools f32, channels first. A window of 13 by 13 costs 26 comparisons instead of 169.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SeparableMaxPool {
    window: Window,
}

impl SeparableMaxPool {
    /// Returns the operator for `pool`, or `None` if it is of another kind or also returns indices.
    pub fn from_pool(pool: &MaxPool, inputs: &[&TypedFact]) -> Option<Self> {
        let [input] = inputs else {
            return None;
        };
        let plain = pool.with_index_outputs.is_none() && input.datum_type == f32::datum_type();
        let window = plain.then(|| Window::from_spec(&pool.pool_spec, input))??;
        Some(Self { window })
    }

    fn plane(&self, scratch: &mut Scratch, input: &[f32], output: &mut [f32]) {
        let columns = self.window.input[1];
        for (y, output) in output.chunks_exact_mut(self.window.output[1]).enumerate() {
            scratch.highest.fill(f32::NEG_INFINITY);
            for (_, place) in self.window.rows(y) {
                raise(
                    &mut scratch.highest,
                    &input[place * columns..(place + 1) * columns],
                );
            }
            scratch.row.fill(&scratch.highest);
            output.fill(f32::NEG_INFINITY);
            for column in 0..self.window.kernel[1] {
                raise(output, scratch.row.seen_by(column));
            }
        }
    }
}

struct Scratch {
    /// Maximum of each column of the rows under the window.
    highest: Vec<f32>,
    row: Row,
}

of_dims!(SeparableMaxPool, "DetectMaxPool", window.dims);

impl EvalOp for SeparableMaxPool {
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let scratch = || Scratch {
            highest: vec![0.0; self.window.input[1]],
            row: Row::new(&self.window, f32::NEG_INFINITY),
        };
        self.window
            .each_plane(&input, scratch, |scratch, _, input, output| {
                self.plane(scratch, input, output);
            })
    }

    op_out_of_plan!();
}
