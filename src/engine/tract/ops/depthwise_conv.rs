//! [`DepthwiseConv`]: a convolution of each channel on its own, with a stride.

use super::planes::of_dims;
use super::rows::Row;
use super::window::Window;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat};

/// Convolves f32, channels first. Its inputs are those of tract's `Conv`: the tensor, kernels `[channels, 1, rows,
/// columns]`, and a bias for each channel or one for all.
///
/// Without a stride tract's own operator is faster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct DepthwiseConv {
    window: Window,
}

impl DepthwiseConv {
    /// Returns the operator for `conv`, or `None` for another kind of convolution.
    pub fn from_conv(conv: &Conv, inputs: &[&TypedFact]) -> Option<Self> {
        let [input, kernels, bias] = inputs else {
            return None;
        };
        let all_f32 = inputs
            .iter()
            .all(|fact| fact.datum_type == f32::datum_type());
        let alone = conv.group == conv.input_channels() && conv.group == conv.output_channels();
        let plain = conv.q_params.is_none() && conv.kernel_fmt == KernelFormat::OIHW;
        let strided = conv.pool_spec.strides().iter().any(|&stride| stride != 1);
        if !(all_f32 && alone && plain && strided) {
            return None;
        }
        let window = Window::from_spec(&conv.pool_spec, input)?;
        let numbers = |fact: &TypedFact| Some(fact.shape.as_concrete()?.iter().product::<usize>());
        let of_a_channel: usize = window.kernel.iter().product();
        let fits = numbers(kernels)? == window.channels * of_a_channel
            && [1, window.channels].contains(&numbers(bias)?);
        fits.then_some(Self { window })
    }

    /// Convolves one plane. `rows` holds as many rows as the window has.
    fn plane(&self, rows: &mut Rows, input: &[f32], kernel: &[f32], bias: f32, output: &mut [f32]) {
        let width = self.window.kernel[1];
        rows.holds.fill(None);
        for (y, output) in output.chunks_exact_mut(self.window.output[1]).enumerate() {
            output.fill(bias);
            for (row, place) in self.window.rows(y) {
                let kernel = &kernel[row * width..(row + 1) * width];
                let columns = self.window.input[1];
                let seen = rows.at(place, &input[place * columns..(place + 1) * columns]);
                add(output, seen, kernel);
            }
        }
    }
}

/// Rows under the window.
struct Rows {
    rows: Vec<Row>,
    /// Which row each slot holds. Rows of one window have different remainders, so they use different slots.
    holds: Vec<Option<usize>>,
}

impl Rows {
    fn new(window: &Window) -> Self {
        let height = window.kernel[0];
        Self {
            rows: vec![Row::new(window, 0.0); height],
            holds: vec![None; height],
        }
    }

    /// Returns row `place` of the plane, which holds the numbers `row`.
    fn at(&mut self, place: usize, row: &[f32]) -> &Row {
        let index = place % self.rows.len();
        if self.holds[index] != Some(place) {
            self.holds[index] = Some(place);
            self.rows[index].fill(row);
        }
        &self.rows[index]
    }
}

/// Adds one row of the window to the sums. Takes three columns at a time, so that sums stay in registers.
fn add(sums: &mut [f32], row: &Row, kernel: &[f32]) {
    let (threes, rest) = kernel.as_chunks::<3>();
    for (index, [a, b, c]) in threes.iter().enumerate() {
        let [of_a, of_b, of_c] = [0, 1, 2].map(|column| row.seen_by(3 * index + column));
        for (((sum, x), y), z) in sums.iter_mut().zip(of_a).zip(of_b).zip(of_c) {
            *sum += a * x + b * y + c * z;
        }
    }
    for (weight, column) in rest.iter().zip(3 * threes.len()..) {
        for (sum, x) in sums.iter_mut().zip(row.seen_by(column)) {
            *sum += weight * x;
        }
    }
}

of_dims!(DepthwiseConv, "DetectDepthwise", window.dims);

impl EvalOp for DepthwiseConv {
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (input, kernels, bias) = args_3!(inputs);
        let (kernels, bias) = (kernels.try_as_plain_ram()?, bias.try_as_plain_ram()?);
        let (kernels, bias) = (kernels.as_slice::<f32>()?, bias.as_slice::<f32>()?);
        let channels = self.window.channels;
        let of_a_channel = kernels.len() / channels;
        self.window.each_plane(
            &input,
            || Rows::new(&self.window),
            |rows, number, input, output| {
                let channel = number % channels;
                let kernel = &kernels[channel * of_a_channel..(channel + 1) * of_a_channel];
                self.plane(rows, input, kernel, bias[channel % bias.len()], output);
            },
        )
    }

    op_out_of_plan!();
}
