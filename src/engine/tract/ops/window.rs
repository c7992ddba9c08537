//! [`Window`]: how the window of a convolution or pool moves over the planes of a tensor.

use super::planes::each_plane;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cnn::PoolSpec;

/// Largest number of rows or columns of a window, a stride, or the padding before a plane.
const LARGEST: usize = 64;

/// Geometry of a window. Pairs are rows and columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Window {
    /// Dims of the output; the last two are its rows and columns.
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
    /// Returns the window, or `None` if the tensor lacks two axes behind its channels or has unknown dims, or if the
    /// window has gaps or is absurdly large, since memory follows from it.
    pub fn from_spec(spec: &PoolSpec, input: &TypedFact) -> Option<Self> {
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

    /// Calls [`each_plane`] with the areas of this window.
    ///
    /// # Errors
    /// The input has another type or another number of planes.
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

    /// Returns the rows of the window over row `y` of the output that lie in the input, and the rows they lie on.
    pub fn rows(&self, y: usize) -> impl Iterator<Item = (usize, usize)> {
        let (begin, height) = (y * self.strides[0], self.input[0]);
        let before = self.before[0];
        (0..self.kernel[0]).filter_map(move |row| {
            let place = (begin + row).checked_sub(before)?;
            (place < height).then_some((row, place))
        })
    }
}
