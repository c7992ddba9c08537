//! [`Constant`]: a tensor that is known when a model is loaded, read along the axes of a view.

use super::Refusal;
use super::view::{self, Axis, Counts, Part, View};
use crate::convnet::graph::Shape;
use std::sync::Arc;
use tract_onnx::prelude::*;

#[derive(Debug, Clone)]
pub(super) struct Constant {
    pub dims: Vec<usize>,
    pub values: Arc<[f32]>,
}

/// How much reading a number along a view costs, in numbers copied.
pub(super) const READING: usize = 64;

/// Numbers of a constant, as a part of a tensor meets them.
pub(super) enum Values {
    Uniform(f32),
    /// One for each channel of the executor's tensor.
    PerChannel(Vec<f32>),
    /// Planes; each length is the tensor's or 1.
    Planes(Shape, Vec<f32>),
}

impl Constant {
    /// # Errors
    /// If the constant is not of f32.
    pub fn new(tensor: &Tensor) -> Result<Self, Refusal> {
        let numbers = || {
            let plain = tensor.try_as_plain_ram().ok()?;
            Some(Arc::from(plain.as_slice::<f32>().ok()?))
        };
        let values = numbers().ok_or_else(|| {
            Refusal(format!("reads a constant of {:?}", tensor.datum_type()).into())
        })?;
        let dims = tensor.shape().to_vec();
        Ok(Self { dims, values })
    }

    /// Reads the constant along the axes of part number `index` of `of`, to which it is broadcast.
    pub fn along(&self, of: &View, index: usize, shape: Shape) -> Result<Values, Refusal> {
        let part = &of.parts[index];
        let values = &self.values;
        if let [value] = values[..] {
            return Ok(Values::Uniform(value));
        }
        let dims = &self.dims;
        let offset = self.offset(of, index)?;
        let strides = strides(dims);
        let seen: Vec<Axis> = (part.axes.iter().zip(dims))
            .map(|(axis, &dim)| if dim == 1 { tvec!() } else { axis.clone() })
            .collect();
        let varies = |counts| seen.iter().flatten().any(|atom| atom.counts == counts);
        let at = |channel: usize, pixel: usize| {
            let index: usize = (seen.iter().zip(&strides))
                .map(|(axis, stride)| position(axis, channel, pixel) * stride)
                .sum();
            values[offset + index]
        };
        if !varies(Counts::Pixels) {
            return Ok(Values::PerChannel(
                (0..shape.c).map(|channel| at(channel, 0)).collect(),
            ));
        }
        let channels = if varies(Counts::Channels) { shape.c } else { 1 };
        let pixels = shape.pixels();
        let planes = (0..channels)
            .flat_map(|channel| (0..pixels).map(move |pixel| (channel, pixel)))
            .map(|(channel, pixel)| at(channel, pixel));
        let shape = Shape::new(channels, shape.h, shape.w);
        Ok(Values::Planes(shape, planes.collect()))
    }

    /// Returns the place in the constant where the numbers of a part begin.
    fn offset(&self, of: &View, index: usize) -> Result<usize, Refusal> {
        let (whole, dims) = (of.dims(), &self.dims);
        let fits = whole.len() == dims.len()
            && (whole.iter().zip(dims)).all(|(whole, &dim)| dim == 1 || dim == *whole);
        if !fits {
            let text = format!("repeats a tensor of {whole:?} along a constant of {dims:?}");
            return Err(Refusal(text.into()));
        }
        Ok(match of.joined {
            Some(joined) if dims[joined] != 1 => {
                let before = of.parts[..index].iter();
                let rows: usize = before.map(|p: &Part| view::length(&p.axes[joined])).sum();
                rows * strides(dims)[joined]
            }
            _ => 0,
        })
    }
}

/// Returns the position of a channel and a pixel along an axis.
fn position(axis: &Axis, channel: usize, pixel: usize) -> usize {
    axis.iter().fold(0, |position, atom| {
        let number = match atom.counts {
            Counts::Channels => channel,
            Counts::Pixels | Counts::Others => pixel,
        };
        position * atom.size + number / atom.stride % atom.size
    })
}

pub(super) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis];
    }
    strides
}
