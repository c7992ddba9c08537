//! [`Window`]: how the window of a convolution or of a pool moves over the planes of a tensor.

use super::planes::each_plane;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cnn::PoolSpec;

/// Rows or columns of a window, of a stride, of the padding before a plane.
const LARGEST: usize = 64;

/// Pairs are of rows and columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Window {
    /// Dims of the output, of which the last two are its rows and columns.
    pub dims: Vec<usize>,
    pub channels: usize,
    pub input: [usize; 2],
    pub output: [usize; 2],
    pub kernel: [usize; 2],
    pub strides: [usize; 2],
    /// Padding above and to the left.
    pub before: [usize; 2],
}

impl Window {
    /// None if the tensor has not two axes behind its channels, or dims that are not known, or the window has gaps or is
    /// absurdly large: memory follows from it.
    pub fn of(spec: &PoolSpec, input: &TypedFact) -> Option<Self> {
        let shape = input.shape.as_concrete()?;
        let shape = spec.data_format.shape(TVec::from_slice(shape)).ok()?;
        let pair = |numbers: &[usize]| <[usize; 2]>::try_from(numbers).ok();
        let hw = pair(shape.hw_dims())?;
        if shape.fmt.c_is_last() || spec.dilations().iter().any(|&dilation| dilation != 1) {
            return None;
        }
        let (kernel, strides) = (pair(&spec.kernel_shape)?, pair(&spec.strides())?);
        if !(kernel.iter().chain(&strides)).all(|n| (1..=LARGEST).contains(n)) {
            return None;
        }
        let padding = spec.computed_padding(&hw);
        let before = [padding[0].pad_before, padding[1].pad_before];
        let output = spec.output_shape(&shape.shape).ok()?;
        let empty = output.shape.contains(&0) || hw.contains(&0);
        if empty || before.iter().any(|&n| n > LARGEST) {
            return None;
        }
        Some(Self {
            output: pair(output.hw_dims())?,
            channels: *shape.c(),
            dims: output.shape.to_vec(),
            input: hw,
            kernel,
            strides,
            before,
        })
    }

    /// See [`each_plane`].
    ///
    /// # Errors
    /// If the input has another type or another number of planes.
    pub fn each_plane<S>(
        &self,
        input: &Tensor,
        scratch: impl Fn() -> S + Send + Sync,
        make: impl Fn(&mut S, usize, &[f32], &mut [f32]) + Send + Sync,
    ) -> TractResult<TVec<TValue>> {
        let area = |[rows, columns]: [usize; 2]| rows * columns;
        let areas = [area(self.input), area(self.output)];
        each_plane(input, &self.dims, areas, scratch, make)
    }

    /// Rows of the window over row `y` of the output that lie in the input, and where.
    pub fn rows(&self, y: usize) -> impl Iterator<Item = (usize, usize)> {
        let (begin, height) = (y * self.strides[0], self.input[0]);
        let before = self.before[0];
        (0..self.kernel[0]).filter_map(move |row| {
            let place = (begin + row).checked_sub(before)?;
            (place < height).then_some((row, place))
        })
    }
}
