//! Attention: a product of two maps, scaled, its softmax, and a product with values become one operator.

use super::{Translation, refusal};
use crate::convnet::graph::{Attention, TensorId};
use crate::engine::tract::convnet::Refusal;
use crate::engine::tract::convnet::builder::Value;
use crate::engine::tract::convnet::scores::{Scores, of_side, side_of};
use crate::engine::tract::convnet::view::{self, Atom, Axis, Counts, Part, View, append};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::DimLike;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_core::ops::nn::{Softmax, SoftmaxKind};

/// Axes of a product of two tensors: the places of each in the operands and in the product.
#[derive(Default)]
struct Axes {
    summed: Vec<[usize; 2]>,
    /// In both operands and in the product.
    shared: Vec<[usize; 3]>,
    /// In one operand and in the product.
    own: [Vec<[usize; 2]>; 2],
    rank: usize,
}

impl Axes {
    fn new(einsum: &EinSum, dims: [&[usize]; 2]) -> Result<Self, Refusal> {
        let odd = || refusal(format!("multiplies matrices as {}", einsum.axes));
        let mut axes = Self::default();
        for axis in einsum.axes.iter_all_axes() {
            let one = |places: &TVec<usize>| match places.as_slice() {
                [] => Ok(None),
                [place] => Ok(Some(*place)),
                _ => Err(odd()),
            };
            let product = one(&axis.outputs[0])?;
            axes.rank += usize::from(product.is_some());
            let [a, b] = [0, 1].map(|i| {
                let place = one(&axis.inputs[i]);
                place.map(|place| place.filter(|&at| dims[i][at] != 1))
            });
            match (a?, b?, product) {
                (None, None, _) => (),
                (Some(a), Some(b), None) => axes.summed.push([a, b]),
                (Some(a), Some(b), Some(y)) => axes.shared.push([a, b, y]),
                (Some(a), None, Some(y)) => axes.own[0].push([a, y]),
                (None, Some(b), Some(y)) => axes.own[1].push([b, y]),
                _ => return Err(odd()),
            }
        }
        Ok(axes)
    }
}

fn odd() -> Refusal {
    refusal("multiplies two computed matrices in another way than attention")
}

impl Translation<'_> {
    /// Returns what a node makes that belongs to attention; none if it does not.
    pub(super) fn attention(&mut self) -> Result<Option<Value>, Refusal> {
        let op = &self.node.op;
        if let Some(einsum) = op.downcast_ref::<EinSum>() {
            return self.product_of_two(einsum);
        }
        let reads = (self.node.inputs.iter())
            .position(|input| matches!(self.builder.values.get(input), Some(Value::Scores(_))));
        let Some(at) = reads else {
            return Ok(None);
        };
        let mut scores = self.scores(at).ok_or_else(odd)?;
        if let Some(op) = op.downcast_ref::<AxisOp>() {
            move_axes(&mut scores.axes, op)?;
        } else if let Some(op) = op.downcast_ref::<TypedBinOp>() {
            let by = self.constant(1 - at)?.ok_or_else(odd)?;
            let factor = match by.values[..] {
                [value] if op.0.is::<math::Mul>() => value,
                [value] if op.0.is::<math::Div>() && at == 0 => 1.0 / value,
                _ => {
                    return Err(refusal(
                        "changes products of two maps by more than a factor",
                    ));
                }
            };
            if scores.keys.is_some() {
                return Err(refusal("scales shares of attention"));
            }
            scores.scale *= factor;
        } else if let Some(op) = op.downcast_ref::<Softmax>() {
            self.share(&mut scores, op)?;
        } else {
            return Err(refusal("reads products of two maps"));
        }
        Ok(Some(Value::Scores(Box::new(scores))))
    }

    fn scores(&self, index: usize) -> Option<Scores> {
        match self.builder.values.get(&self.node.inputs[index]) {
            Some(Value::Scores(scores)) => Some(scores.as_ref().clone()),
            _ => None,
        }
    }

    /// A product of two computed tensors; none if one is a constant.
    fn product_of_two(&mut self, einsum: &EinSum) -> Result<Option<Value>, Refusal> {
        let is_given = |&input: &OutletId| {
            (self.model.outlet_fact(input)).is_ok_and(|fact| fact.konst.is_some())
        };
        if self.node.inputs.len() != 2 || self.node.inputs.iter().any(is_given) {
            return Ok(None);
        }
        if einsum.q_params.is_some() || einsum.operating_dt != f32::datum_type() {
            return Err(refusal(format!("computes in {:?}", einsum.operating_dt)));
        }
        match [self.scores(0), self.scores(1)] {
            [None, None] => self.products(einsum).map(Some),
            [Some(scores), None] => self.weighed(einsum, 0, &scores).map(Some),
            [None, Some(scores)] => self.weighed(einsum, 1, &scores).map(Some),
            _ => Err(odd()),
        }
    }

    /// The product of two maps over the channels of each head.
    fn products(&mut self, einsum: &EinSum) -> Result<Value, Refusal> {
        let parts = [self.part(0)?, self.part(1)?];
        let dims = parts.each_ref().map(lengths);
        let axes = Axes::new(einsum, dims.each_ref().map(Vec::as_slice))?;
        if axes.summed.is_empty() {
            return Err(odd());
        }
        let mut made = vec![tvec!(); axes.rank];
        let pixels = parts.each_ref();
        let pixels = pixels.map(|part| self.builder.graph.shape(part.tensor).pixels());
        let [of_heads, of_areas] = shared_axes(&axes.shared, 0, &parts[0])?;
        let heads = of_heads.map_or(1, |[a, ..]| dims[0][a]);
        let areas = of_areas.map_or(1, |[a, ..]| dims[0][a]);
        if let Some([.., y]) = of_heads {
            append(&mut made[y], channel_atom(heads, 1));
        }
        if let Some([a, b, y]) = of_areas {
            let slowest = [(0, a), (1, b)]
                .iter()
                .all(|&(side, at)| is_slowest(&parts[side].axes[at], pixels[side]));
            if !slowest {
                return Err(odd());
            }
            append(&mut made[y], channel_atom(areas, heads));
        }
        for (side, part) in parts.iter().enumerate() {
            let mut count = 1;
            for &[at, y] in &axes.own[side] {
                let axis = &part.axes[at];
                if !view::only(axis, Counts::Pixels) {
                    return Err(odd());
                }
                count *= view::length(axis);
                made[y] = of_side(axis, side);
            }
            if count * areas != pixels[side] {
                return Err(odd());
            }
        }
        let places = |side: usize| {
            let shared = of_heads.into_iter().map(move |shared| shared[side]);
            shared.chain(axes.summed.iter().map(move |summed| summed[side]))
        };
        let sides = [
            self.in_heads(&parts[0], places(0))?,
            self.in_heads(&parts[1], places(1))?,
        ];
        Ok(Value::Scores(Box::new(Scores {
            sides,
            heads,
            areas,
            axes: made,
            scale: 1.0,
            keys: None,
        })))
    }

    /// The product of shares, which are operand number `at`, with values.
    fn weighed(&mut self, einsum: &EinSum, at: usize, scores: &Scores) -> Result<Value, Refusal> {
        let keys = (scores.keys).ok_or_else(|| refusal("multiplies with products of two maps"))?;
        let part = self.part(1 - at)?;
        let (of_scores, of_values) = (scores.dims(), lengths(&part));
        let dims = match at {
            0 => [&of_scores[..], &of_values[..]],
            _ => [&of_values[..], &of_scores[..]],
        };
        let axes = Axes::new(einsum, dims)?;
        let pixels = self.builder.graph.shape(scores.sides[keys]).pixels();
        let mut count = 1;
        for summed in &axes.summed {
            let axis = &part.axes[summed[1 - at]];
            if side_of(&scores.axes[summed[at]]) != Some((keys, axis.clone())) {
                return Err(odd());
            }
            count *= view::length(axis);
        }
        let [of_heads, of_areas] = shared_axes(&axes.shared, 1 - at, &part)?;
        if count * scores.areas != pixels {
            return Err(odd());
        }
        let mut own = axes.own[1 - at].clone();
        own.sort_unstable_by_key(|&[_, y]| y);
        let made = self.axes_of_weighed(&axes, at, scores, &part, [of_heads, of_areas])?;
        let places = of_heads.iter().map(|shared| shared[1 - at]);
        let values = self.in_heads(&part, places.chain(own.iter().map(|&[place, _]| place)))?;
        let attention = Attention {
            heads: scores.heads,
            areas: scores.areas,
            scale: scores.scale,
        };
        let operands = [scores.sides[1 - keys], scores.sides[keys], values];
        let tensor = self.builder.graph.attention(operands, attention)?;
        Ok(Value::Tensor(View::single(tensor, made)))
    }

    /// Axes of what [`Translation::weighed`] makes: heads and what the values have for each of them as channels, areas and
    /// what the shares have for each of them as pixels.
    fn axes_of_weighed(
        &self,
        axes: &Axes,
        at: usize,
        scores: &Scores,
        part: &Part,
        [of_heads, of_areas]: [Option<[usize; 3]>; 2],
    ) -> Result<Vec<Axis>, Refusal> {
        let keys = scores.keys.ok_or_else(odd)?;
        let pixels = |side: usize| self.builder.graph.shape(scores.sides[side]).pixels();
        let mut made = vec![tvec!(); axes.rank];
        let channels = self.builder.graph.shape(part.tensor).c;
        let mut stride = channels / scores.heads;
        let is_shared = |shared: Option<[usize; 3]>, size: usize, stride: usize| match shared {
            Some(shared) => scores.axes[shared[at]].as_slice() == [channel_atom(size, stride)],
            None => size == 1,
        };
        if !is_shared(of_heads, scores.heads, 1) || !is_shared(of_areas, scores.areas, scores.heads)
        {
            return Err(odd());
        }
        if let Some(shared) = of_heads {
            append(&mut made[shared[2]], channel_atom(scores.heads, stride));
        }
        if let Some(shared) = of_areas {
            if !is_slowest(&part.axes[shared[1 - at]], pixels(keys)) {
                return Err(odd());
            }
            let size = scores.areas;
            made[shared[2]].push(Atom {
                counts: Counts::Pixels,
                size,
                stride: pixels(1 - keys) / size,
            });
        }
        for &[place, y] in &axes.own[at] {
            match side_of(&scores.axes[place]) {
                Some((side, axis)) if side != keys => made[y] = axis,
                _ => return Err(odd()),
            }
        }
        let mut own = axes.own[1 - at].clone();
        own.sort_unstable_by_key(|&[_, y]| y);
        for &[place, y] in &own {
            let size = view::length(&part.axes[place]);
            if size == 0 || !stride.is_multiple_of(size) {
                return Err(odd());
            }
            stride /= size;
            append(&mut made[y], channel_atom(size, stride));
        }
        Ok(made)
    }

    /// The tensor with its channels in the order in which the axes at `places` count them. They count nothing else, and
    /// all of them.
    fn in_heads(
        &mut self,
        part: &Part,
        places: impl Iterator<Item = usize>,
    ) -> Result<TensorId, Refusal> {
        self.builder.channels_by(part, places)?.ok_or_else(odd)
    }

    /// Notes the softmax over the pixels of a side.
    fn share(&self, scores: &mut Scores, softmax: &Softmax) -> Result<(), Refusal> {
        let plain = softmax.quant_output_dt.is_none() && softmax.kind == SoftmaxKind::Softmax;
        let axis = match softmax.axes[..] {
            [axis] if plain && scores.keys.is_none() => scores.axes.get(axis),
            _ => return Err(refusal("takes the softmax of attention in an unknown way")),
        };
        let pixels = |side: usize| self.builder.graph.shape(scores.sides[side]).pixels();
        match axis.and_then(side_of) {
            Some((side, axis)) if view::length(&axis) * scores.areas == pixels(side) => {
                scores.keys = Some(side);
                Ok(())
            }
            _ => Err(refusal(
                "takes the softmax over other than the pixels of a map",
            )),
        }
    }
}

fn lengths(part: &Part) -> Vec<usize> {
    part.axes.iter().map(view::length).collect()
}

/// Tells the axis of heads from that of areas, among those that both operands share: the former counts channels of the
/// tensor, which is operand `operand`, the latter pixels.
fn shared_axes(
    shared: &[[usize; 3]],
    operand: usize,
    part: &Part,
) -> Result<[Option<[usize; 3]>; 2], Refusal> {
    let mut found = [None; 2];
    for &places in shared {
        let axis = &part.axes[places[operand]];
        let kinds = [Counts::Channels, Counts::Pixels];
        let kind = kinds.iter().position(|&counts| view::only(axis, counts));
        match kind {
            Some(kind) if found[kind].is_none() => found[kind] = Some(places),
            _ => return Err(odd()),
        }
    }
    Ok(found)
}

/// Whether an axis counts equal parts of all `pixels`, one behind the other.
fn is_slowest(axis: &Axis, pixels: usize) -> bool {
    matches!(axis.as_slice(), [atom] if atom.counts == Counts::Pixels && atom.size * atom.stride == pixels)
}

fn channel_atom(size: usize, stride: usize) -> Atom {
    Atom {
        counts: Counts::Channels,
        size,
        stride,
    }
}

fn move_axes(axes: &mut Vec<Axis>, op: &AxisOp) -> Result<(), Refusal> {
    match op {
        AxisOp::Add(at) => axes.insert(*at, tvec!()),
        AxisOp::Rm(at) => {
            axes.remove(*at);
        }
        AxisOp::Move(from, to) => {
            let axis = axes.remove(*from);
            axes.insert(*to, axis);
        }
        AxisOp::Reshape(at, from, to) => {
            let to: Option<Vec<usize>> = to.iter().map(|dim| dim.to_usize().ok()).collect();
            let made = to.and_then(|to| view::reshaped(axes, *at, from.len(), &to));
            *axes = made.ok_or_else(|| refusal("cuts products of two maps unevenly"))?;
        }
    }
    Ok(())
}
