//! Matrix products with a constant: what tract makes of convolutions of one pixel and of fully connected layers.

use super::{Translation, refusal};
use crate::convnet::graph::{Conv, Window};
use crate::engine::tract::convnet::Refusal;
use crate::engine::tract::convnet::constants::{Constant, strides};
use crate::engine::tract::convnet::view::{self, Atom, Axis, Counts, Part, View, append};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::einsum::EinSum;

/// Roles of the axes of a product. Pairs are axes of the tensor, of the constant or of the product.
#[derive(Default)]
struct Roles {
    /// Summed over: axes of the tensor and of the constant, in the tensor's order.
    summed: Vec<(usize, usize)>,
    /// Kept from the tensor: axes of the tensor and of the product.
    kept: Vec<(usize, usize)>,
    /// Made by the constant: axes of the constant and of the product, in the product's order.
    made: Vec<(usize, usize)>,
    rank: usize,
}

impl Roles {
    /// `at` is which operand the tensor is; the other one is the constant.
    fn new(einsum: &EinSum, at: usize, dims: [&[usize]; 2]) -> Result<Self, Refusal> {
        let odd = || refusal(format!("multiplies matrices as {}", einsum.axes));
        let mut roles = Self::default();
        for axis in einsum.axes.iter_all_axes() {
            let one = |places: &TVec<usize>| match places.as_slice() {
                [] => Ok(None),
                [place] => Ok(Some(*place)),
                _ => Err(odd()),
            };
            let places = [&axis.inputs[at], &axis.inputs[1 - at], &axis.outputs[0]];
            let [tensor, constant, product] = [one(places[0])?, one(places[1])?, one(places[2])?];
            roles.rank += usize::from(product.is_some());
            let is_one =
                |place: Option<usize>, dims: &[usize]| place.is_none_or(|at| dims[at] == 1);
            match (tensor, constant, product) {
                (tensor, constant, _) if is_one(tensor, dims[0]) && is_one(constant, dims[1]) => {}
                (Some(x), Some(w), None) => roles.summed.push((x, w)),
                (Some(x), None, Some(y)) => roles.kept.push((x, y)),
                (Some(x), Some(w), Some(y)) if dims[1][w] == 1 => roles.kept.push((x, y)),
                (None, Some(w), Some(y)) => roles.made.push((w, y)),
                (Some(x), Some(w), Some(y)) if dims[0][x] == 1 => roles.made.push((w, y)),
                _ => return Err(odd()),
            }
        }
        roles.summed.sort_unstable();
        roles.made.sort_unstable_by_key(|&(_, y)| y);
        Ok(roles)
    }
}

impl Translation<'_> {
    pub(super) fn einsum(&mut self, einsum: &EinSum) -> Result<View, Refusal> {
        if einsum.q_params.is_some() || einsum.operating_dt != f32::datum_type() {
            return Err(refusal(format!("computes in {:?}", einsum.operating_dt)));
        }
        if self.node.inputs.len() != 2 {
            return Err(refusal("multiplies more than two matrices"));
        }
        let (at, constant) = match (self.constant(0)?, self.constant(1)?) {
            (None, Some(constant)) => (0, constant),
            (Some(constant), None) => (1, constant),
            _ => return Err(refusal("multiplies two computed matrices")),
        };
        let view = self.tensor(at)?;
        let roles = Roles::new(einsum, at, [&view.dims(), &constant.dims])?;
        let joined = match view.joined {
            None => None,
            Some(joined) => Some(
                (roles.kept.iter())
                    .find_map(|&(x, y)| (x == joined).then_some(y))
                    .ok_or_else(|| refusal("sums over joined maps"))?,
            ),
        };
        let made = view.try_map(|_, part| self.product(part, &roles, &constant))?;
        Ok(View { joined, ..made })
    }

    fn product(
        &mut self,
        part: &Part,
        roles: &Roles,
        constant: &Constant,
    ) -> Result<Part, Refusal> {
        let summed: Vec<Axis> = roles
            .summed
            .iter()
            .map(|&(x, _)| part.axes[x].clone())
            .collect();
        let shape = self.builder.graph.shape(part.tensor);
        let sums = summed.iter().all(|axis| view::only(axis, Counts::Channels));
        let depth = view::total(&summed, Counts::Channels);
        if sums && depth < shape.c {
            return self.product_in_groups(part, roles, constant);
        }
        if !sums || depth != shape.c {
            return Err(refusal("sums over pixels, or over a part of the channels"));
        }
        let dims: Vec<usize> = roles.made.iter().map(|&(w, _)| constant.dims[w]).collect();
        let out_channels = dims.iter().product();
        let conv = Conv {
            out_channels,
            groups: 1,
            window: Window::square(1, 1, 0),
            weights: weights(roles, &view::positions(&summed, Counts::Channels), constant).into(),
            bias: None,
        };
        let tensor = self.builder.graph.conv(part.tensor, conv)?;
        let mut axes = vec![tvec!(); roles.rank];
        for &(x, y) in &roles.kept {
            axes[y] = part.axes[x].clone();
        }
        let mut stride = out_channels;
        for (&(_, y), size) in roles.made.iter().zip(dims) {
            stride /= size;
            let counts = Counts::Channels;
            append(
                &mut axes[y],
                Atom {
                    counts,
                    size,
                    stride,
                },
            );
        }
        Ok(Part { tensor, axes })
    }

    /// A product that sums over the channels of groups, with the same constant for each: the mean of the bins of a box end.
    fn product_in_groups(
        &mut self,
        part: &Part,
        roles: &Roles,
        constant: &Constant,
    ) -> Result<Part, Refusal> {
        let shape = self.builder.graph.shape(part.tensor);
        let counts_channels = |x: usize| {
            let mut atoms = part.axes[x].iter();
            atoms.any(|atom| atom.counts == Counts::Channels)
        };
        let kept = roles.kept.iter().filter(|&&(x, _)| counts_channels(x));
        let kept: Vec<(usize, usize)> = kept.copied().collect();
        let lengths = kept.iter().map(|&(x, _)| view::length(&part.axes[x]));
        let groups: usize = lengths.clone().product();
        let places = kept.iter().map(|&(x, _)| x);
        let places = places.chain(roles.summed.iter().map(|&(x, _)| x));
        let tensor = self.builder.channels_by(part, places)?;
        let tensor =
            tensor.ok_or_else(|| refusal("sums over pixels, or over a part of the channels"))?;
        let in_order: Vec<usize> = (0..shape.c / groups).collect();
        let each = weights(roles, &in_order, constant);
        let dims: Vec<usize> = roles.made.iter().map(|&(w, _)| constant.dims[w]).collect();
        let made: usize = dims.iter().product();
        self.builder.spend(groups * each.len())?;
        let conv = Conv {
            out_channels: groups * made,
            groups,
            window: Window::square(1, 1, 0),
            weights: each.repeat(groups).into(),
            bias: None,
        };
        let tensor = self.builder.graph.conv(tensor, conv)?;
        let mut axes = vec![tvec!(); roles.rank];
        for &(x, y) in roles.kept.iter().filter(|&&(x, _)| !counts_channels(x)) {
            axes[y] = part.axes[x].clone();
        }
        // groups outside, what the constant makes of each inside
        let mut stride = groups * made;
        let made = roles.made.iter().zip(dims).map(|(&(_, y), size)| (y, size));
        let groups = kept.iter().zip(lengths).map(|(&(_, y), size)| (y, size));
        for (y, size) in groups.chain(made) {
            stride /= size;
            let counts = Counts::Channels;
            let atom = Atom {
                counts,
                size,
                stride,
            };
            append(&mut axes[y], atom);
        }
        Ok(Part { tensor, axes })
    }
}

/// The constant as `[outputs, channels]`; `order` has the executor's channel for each combination of the summed axes.
fn weights(roles: &Roles, order: &[usize], constant: &Constant) -> Vec<f32> {
    let strides = strides(&constant.dims);
    // Where in the constant each combination of some of its axes lies.
    let places = |axes: &mut dyn Iterator<Item = usize>| {
        let mut places = vec![0];
        for axis in axes {
            let (size, stride) = (constant.dims[axis], strides[axis]);
            places = (places.iter())
                .flat_map(|first| (0..size).map(move |step| first + step * stride))
                .collect();
        }
        places
    };
    let outputs = places(&mut roles.made.iter().map(|&(w, _)| w));
    let inputs = places(&mut roles.summed.iter().map(|&(_, w)| w));
    let channels = order.len();
    let mut made = vec![0.0; outputs.len() * channels];
    for (output, row) in outputs.iter().zip(made.chunks_exact_mut(channels)) {
        for (input, &channel) in inputs.iter().zip(order) {
            row[channel] = constant.values[output + input];
        }
    }
    made
}
