//! Poolings, reductions, changes of size and softmax.

use super::conv::{Picture, window};
use super::{Translation, refusal};
use crate::convnet::graph::{self, Activation, Coordinates, Interpolation, Pool, TensorId, Window};
use crate::engine::tract::convnet::Refusal;
use crate::engine::tract::convnet::view::{self, Axis, Counts, Part, View, whole};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cnn::{MaxPool, PaddingSpec, PoolSpec, SumPool};
use tract_onnx::tract_core::ops::nn::resize::{
    AxisPlan, CoordTransformer, Interpolator, Nearest, NearestUpsample,
};
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer, Resize, RmsNorm, Softmax, SoftmaxKind};

impl Translation<'_> {
    pub(super) fn max_pool(&mut self, pool: &MaxPool) -> Result<View, Refusal> {
        if pool.with_index_outputs.is_some() {
            return Err(refusal("gives indices"));
        }
        self.pooled(&pool.pool_spec, |translation, x, window| {
            Ok(translation.builder.graph.pool(x, Pool::Max, window)?)
        })
    }

    pub(super) fn sum_pool(&mut self, pool: &SumPool) -> Result<View, Refusal> {
        let overhangs = matches!(
            pool.pool_spec.padding,
            PaddingSpec::ExplicitOnnxPool(_, _, true)
        );
        if pool.count_include_pad && overhangs {
            return Err(refusal("counts padding, but not what lies beyond it"));
        }
        let area: usize = pool.pool_spec.kernel_shape.iter().product();
        self.pooled(&pool.pool_spec, |translation, x, window| {
            let (before, pads) = translation.builder.without_padding(x);
            // Zeros that another operator added count.
            let added = pads != graph::Pads::default() && window.pads == graph::Pads::default();
            let (x, window) = match added {
                true => (before, Window { pads, ..window }),
                false => (x, window),
            };
            let count_padding = pool.count_include_pad || !pool.normalize || added;
            let average = Pool::Average { count_padding };
            let graph = &mut translation.builder.graph;
            let mean = graph.pool(x, average, window)?;
            match pool.normalize {
                true => Ok(mean),
                false => Ok(graph.scale(mean, area as f32, 0.0)?),
            }
        })
    }

    fn pooled(
        &mut self,
        spec: &PoolSpec,
        pool: impl FnOnce(&mut Self, TensorId, Window) -> Result<TensorId, Refusal>,
    ) -> Result<View, Refusal> {
        let picture = Picture::new(spec)?;
        let part = self.part(0)?;
        picture.check(&part)?;
        let part = self.builder.planes(&part, picture.rows, picture.columns)?;
        let shape = self.builder.graph.shape(part.tensor);
        let made = pool(self, part.tensor, window(spec, [shape.h, shape.w]))?;
        let shape = self.builder.graph.shape(made);
        let channels = part.axes[picture.channels].clone();
        Ok(View::single(made, picture.axes(channels, shape.h, shape.w)))
    }

    pub(super) fn reduce(&mut self, reduce: &Reduce) -> Result<View, Refusal> {
        let view = self.tensor(0)?;
        let kind = match reduce.reducer {
            Reducer::Sum => graph::Reduce::Sum,
            Reducer::Max => graph::Reduce::Max,
            other => return Err(refusal(format!("reduces to {other:?}"))),
        };
        view.try_map(|_, part| {
            let axes = || reduce.axes.iter().map(|&axis| part.axes[axis].clone());
            let axes: Vec<Axis> = axes().collect();
            let shape = self.builder.graph.shape(part.tensor);
            let (channels, pixels) = (
                view::total(&axes, Counts::Channels),
                view::total(&axes, Counts::Pixels),
            );
            let graph = &mut self.builder.graph;
            let tensor = match (channels, pixels) {
                (1, n) if n == shape.pixels() => graph.global(part.tensor, kind)?,
                (n, 1) if n == shape.c => graph.over_channels(part.tensor, kind)?,
                _ => return Err(refusal("reduces neither all channels nor all pixels")),
            };
            let mut kept = part.axes.clone();
            for &axis in &reduce.axes {
                kept[axis] = tvec!();
            }
            Ok(Part { tensor, axes: kept })
        })
        .and_then(|made| match made.joined {
            Some(joined) if reduce.axes.contains(&joined) => {
                Err(refusal("reduces along joined maps"))
            }
            _ => Ok(made),
        })
    }

    /// Divides each pixel by the root of the mean of its squares: layer normalisation behind the subtraction of the mean.
    pub(super) fn rms_norm(&mut self, norm: &RmsNorm) -> Result<View, Refusal> {
        let eps = norm.eps.cast_to_scalar::<f32>();
        let eps = eps.map_err(|_| refusal("adds what is no number"))?;
        let view = self.tensor(0)?;
        if view.joined == Some(norm.axis) {
            return Err(refusal("reduces along joined maps"));
        }
        view.try_map(|_, part| {
            let axis = &part.axes[norm.axis];
            let channels = self.builder.graph.shape(part.tensor).c;
            if !view::only(axis, Counts::Channels) || view::length(axis) != channels {
                return Err(refusal("normalises over other than all channels"));
            }
            let graph = &mut self.builder.graph;
            let squares = graph.activate(part.tensor, Activation::Square)?;
            let mean = graph.over_channels(squares, graph::Reduce::Mean)?;
            let mean = graph.scale(mean, 1.0, eps)?;
            let root = graph.activate(mean, Activation::Sqrt)?;
            let factor = graph.activate(root, Activation::Reciprocal)?;
            Ok(Part {
                tensor: graph.mul(part.tensor, factor)?,
                axes: part.axes.clone(),
            })
        })
    }

    pub(super) fn softmax(&mut self, softmax: &Softmax) -> Result<View, Refusal> {
        let plain = softmax.quant_output_dt.is_none() && softmax.kind == SoftmaxKind::Softmax;
        let [axis] = softmax.axes[..] else {
            return Err(refusal("takes the softmax over several axes"));
        };
        let view = self.tensor(0)?;
        if !plain || view.joined == Some(axis) {
            return Err(refusal("is no operator of the executor"));
        }
        view.try_map(|_, part| {
            let consecutive = |part: &Part| match part.axes[axis].as_slice() {
                [] => true,
                [atom] => atom.counts == Counts::Channels && atom.stride == 1,
                _ => false,
            };
            let part = match consecutive(part) {
                true => part.clone(),
                false => self.builder.channels_in_order(part)?,
            };
            if !consecutive(&part) {
                return Err(refusal(
                    "takes the softmax over other than neighbouring channels",
                ));
            }
            let group = view::length(&part.axes[axis]);
            Ok(Part {
                tensor: self.builder.graph.softmax(part.tensor, group)?,
                axes: part.axes,
            })
        })
    }

    pub(super) fn upsample(&mut self, upsample: &NearestUpsample) -> Result<View, Refusal> {
        let part = self.part(0)?;
        let (rows, columns) = spatial_axes(&part)?;
        let factor = |axis: usize| upsample.scales[axis];
        let others = (0..part.axes.len()).filter(|&axis| axis != rows && axis != columns);
        if others.into_iter().any(|axis| factor(axis) != 1) {
            return Err(refusal("repeats channels"));
        }
        let resize = |size: [usize; 2]| graph::Resize {
            interpolation: Interpolation::NearestFloor,
            coordinates: Coordinates::Asymmetric,
            size: [size[0] * factor(rows), size[1] * factor(columns)],
            scale: [factor(rows) as f64, factor(columns) as f64],
        };
        self.resized(&part, [rows, columns], resize)
    }

    pub(super) fn resize(&mut self, resize: &Resize) -> Result<View, Refusal> {
        let part = self.part(0)?;
        let (rows, columns) = spatial_axes(&part)?;
        let dims: Vec<usize> = part.axes.iter().map(view::length).collect();
        let konst = |index: Option<usize>| {
            let outlet = index.and_then(|index| self.node.inputs.get(index))?;
            self.model.outlet_fact(*outlet).ok()?.konst.clone()
        };
        let (scales, sizes) = (
            konst(resize.optional_scales_input),
            konst(resize.optional_sizes_input),
        );
        let to = resize.compute_output_shape(&dims, scales.as_deref(), sizes.as_deref());
        let to = to.map_err(|_| refusal("computes its size"))?;
        let scales: Vec<f32> = match scales.filter(|scales| scales.len() == dims.len()) {
            Some(scales) => super::Constant::new(&scales)?.values.to_vec(),
            None => (to
                .iter()
                .zip(&dims)
                .map(|(to, from)| *to as f32 / *from as f32))
            .collect(),
        };
        for (axis, (to, from)) in to.iter().zip(&dims).enumerate() {
            if axis != rows && axis != columns && (to != from || scales[axis] != 1.0) {
                return Err(refusal("resizes channels"));
            }
        }
        let made = graph::Resize {
            interpolation: match (&resize.interpolator, &resize.nearest) {
                (Interpolator::Linear, _) => Interpolation::Linear,
                (Interpolator::Nearest, Nearest::Floor) => Interpolation::NearestFloor,
                (Interpolator::Nearest, Nearest::RoundPreferCeil) => Interpolation::NearestRoundUp,
                (Interpolator::Cubic, _) => return Err(refusal("interpolates cubically")),
            },
            coordinates: match resize.coord_transformer {
                CoordTransformer::HalfPixel => Coordinates::HalfPixel,
                CoordTransformer::PytorchHalfPixel => Coordinates::PytorchHalfPixel,
                CoordTransformer::AlignCorners => Coordinates::AlignCorners,
                CoordTransformer::Asymmetric => Coordinates::Asymmetric,
                _ => return Err(refusal("maps coordinates in an unusual way")),
            },
            size: [to[rows], to[columns]],
            scale: [f64::from(scales[rows]), f64::from(scales[columns])],
        };
        for (axis, tract_axis) in [rows, columns].into_iter().enumerate() {
            let (from, to) = (dims[tract_axis], to[tract_axis]);
            let plan = resize.plan_axis(scales[tract_axis], from, to);
            if !agree(&plan, &made.taps(axis, from)) {
                return Err(refusal("reads other pixels than the executor would"));
            }
        }
        self.resized(&part, [rows, columns], |_| made)
    }

    fn resized(
        &mut self,
        part: &Part,
        [rows, columns]: [usize; 2],
        resize: impl FnOnce([usize; 2]) -> graph::Resize,
    ) -> Result<View, Refusal> {
        let part = self.builder.planes(part, Some(rows), columns)?;
        let shape = self.builder.graph.shape(part.tensor);
        let made = (self.builder.graph).resize(part.tensor, resize([shape.h, shape.w]))?;
        let shape = self.builder.graph.shape(made);
        let mut axes = part.axes;
        axes[columns] = whole(Counts::Pixels, shape.w);
        axes[rows] = whole(Counts::Pixels, shape.h);
        axes[rows].iter_mut().for_each(|atom| atom.stride = shape.w);
        Ok(View::single(made, axes))
    }
}

/// Axes of rows and columns: all that do not count channels, but for a leading one of length 1.
fn spatial_axes(part: &Part) -> Result<(usize, usize), Refusal> {
    let channels = |axis: &Axis| axis.iter().any(|atom| atom.counts == Counts::Channels);
    let rank = part.axes.len();
    let first = part.axes.iter().position(channels);
    // A single channel leaves its axis empty; it stands where ONNX has it.
    let first = first.or_else(|| {
        rank.checked_sub(3)
            .filter(|&axis| part.axes[axis].is_empty())
    });
    match (rank, first) {
        (3, Some(0)) => Ok((1, 2)),
        (3, Some(2)) => Ok((0, 1)),
        (4, Some(1)) => Ok((2, 3)),
        (4, Some(3)) => Ok((1, 2)),
        _ => Err(refusal("resizes what is no picture")),
    }
}

/// Whether both read the same pixels with the same weights.
fn agree(plan: &AxisPlan, taps: &[graph::Tap]) -> bool {
    let window = plan.window;
    let rows = plan.indices.chunks_exact(window);
    let rows = rows.zip(plan.weights.chunks_exact(window)).zip(taps);
    !plan.extrapolated.contains(&true)
        && plan.extrapolated.len() == taps.len()
        && rows
            .into_iter()
            .all(|((indices, weights), &(first, second, share))| {
                let expected = [(first, 1.0 - share), (second, share)];
                let of = |place: usize| -> f32 {
                    let seen = indices.iter().zip(weights).filter(|(i, _)| **i == place);
                    let wanted = expected.iter().filter(|(i, _)| *i == place);
                    seen.map(|(_, w)| *w).sum::<f32>() - wanted.map(|(_, w)| *w).sum::<f32>()
                };
                (indices.iter().copied().chain([first, second])).all(|place| of(place).abs() < 1e-4)
            })
}
