//! [`SeparableResize`]: resizes pictures, first rows, then columns.

use super::planes::{each_plane, of_dims};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::nn::Resize;
use tract_onnx::tract_core::ops::nn::resize::AxisPlan;

/// Resizes the last two axes of an f32 tensor. tract's own `Resize` computes each number of a row in its own loop.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SeparableResize {
    /// Determines which numbers have which weight.
    resize: Resize,
    dims: Vec<usize>,
    /// Rows and columns of the input.
    input: [usize; 2],
    /// Bits of the factors for rows and columns.
    scales: [u32; 2],
}

impl SeparableResize {
    /// Returns the operator for `resize`, or `None` if it changes other axes or if the factors are unknown.
    pub fn from_resize(resize: &Resize, inputs: &[&TypedFact]) -> Option<Self> {
        let constant = |index: Option<usize>| inputs.get(index?)?.konst.as_deref();
        let from = inputs.first()?;
        let shape = from.shape.as_concrete()?;
        let (scales, sizes) = (
            constant(resize.optional_scales_input),
            constant(resize.optional_sizes_input),
        );
        let dims = resize.compute_output_shape(shape, scales, sizes).ok()?;
        let scales: Vec<f32> = match scales.filter(|scales| scales.len() == shape.len()) {
            Some(scales) => scales.try_as_plain_ram().ok()?.as_slice().ok()?.to_vec(),
            None => (dims
                .iter()
                .zip(shape)
                .map(|(to, from)| *to as f32 / *from as f32))
            .collect(),
        };
        let planar = shape.len() >= 2 && dims.iter().all(|&dim| dim > 0);
        if !planar || from.datum_type != f32::datum_type() {
            return None;
        }
        let (others, axes) = scales.split_at(shape.len() - 2);
        if others.iter().any(|&scale| scale != 1.0) {
            return None;
        }
        Some(Self {
            resize: resize.clone(),
            input: [shape[shape.len() - 2], shape[shape.len() - 1]],
            dims: dims.to_vec(),
            scales: [axes[0].to_bits(), axes[1].to_bits()],
        })
    }

    fn output(&self) -> [usize; 2] {
        [
            self.dims[self.dims.len() - 2],
            self.dims[self.dims.len() - 1],
        ]
    }
}

/// Computes each number of the output row from its neighbours in the row.
fn along_the_row(plan: &AxisPlan, row: &[f32], output: &mut [f32]) {
    let places = plan.indices.chunks_exact(plan.window);
    let weights = plan.weights.chunks_exact(plan.window);
    for ((output, places), weights) in output.iter_mut().zip(places).zip(weights) {
        *output = (places.iter().zip(weights))
            .map(|(&place, weight)| row[place] * weight)
            .sum();
    }
}

/// Computes each row of the output from its neighbouring rows.
fn across_the_rows(plan: &AxisPlan, rows: &[f32], output: &mut [f32], width: usize) {
    let places = plan.indices.chunks_exact(plan.window);
    let weights = plan.weights.chunks_exact(plan.window);
    for ((output, places), weights) in output.chunks_exact_mut(width).zip(places).zip(weights) {
        for (&place, weight) in places
            .iter()
            .zip(weights)
            .filter(|(_, weight)| **weight != 0.0)
        {
            let row = &rows[place * width..(place + 1) * width];
            for (output, number) in output.iter_mut().zip(row) {
                *output += weight * number;
            }
        }
    }
}

of_dims!(SeparableResize, "DetectResize", dims);

impl EvalOp for SeparableResize {
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let ([height, width], [rows, columns]) = (self.input, self.output());
        let [scale_y, scale_x] = self.scales.map(f32::from_bits);
        let of_rows = self.resize.plan_axis(scale_y, height, rows);
        let of_columns = self.resize.plan_axis(scale_x, width, columns);
        let areas = [height * width, rows * columns];
        let scratch = || vec![0.0; height * columns];
        each_plane(
            &input,
            &self.dims,
            areas,
            scratch,
            |wide, _, input, output| {
                for (row, wide) in input
                    .chunks_exact(width)
                    .zip(wide.chunks_exact_mut(columns))
                {
                    along_the_row(&of_columns, row, wide);
                }
                across_the_rows(&of_rows, wide, output, columns);
            },
        )
    }

    op_out_of_plan!();
}
