//! The builder methods of [`Graph`]: each checks its operands and computes its output's shape.

use std::sync::Arc;

use super::check::{check_conv, check_window, per_channel, windows};
use super::*;

/// Channels of queries and values in all areas of an attention: each has a place in its step.
const MAX_PLACES: usize = 1 << 20;

impl Graph {
    fn push(&mut self, op: Op, inputs: &[TensorId], shape: Shape) -> Result<TensorId> {
        let elements = [shape.c, shape.h, shape.w]
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(d).filter(|&n| n > 0));
        if elements.is_none_or(|n| n > MAX_ELEMENTS) {
            return Err(graph_error!(
                "{}: the output would be {shape}; it must have 1 to {MAX_ELEMENTS} elements",
                op.name()
            ));
        }
        let id = TensorId(self.nodes.len() as u32);
        self.nodes.push(Node {
            op,
            inputs: inputs.to_vec(),
            shape,
        });
        Ok(id)
    }

    /// Adds an input of planar f32.
    pub fn input(&mut self, shape: Shape) -> Result<TensorId> {
        self.input_as(shape, InputFormat::Planar)
    }

    /// Adds an input in the given format.
    ///
    /// # Errors
    /// If the normalisation does not have one value per channel, or `order` is not a permutation.
    pub fn input_as(&mut self, shape: Shape, format: InputFormat) -> Result<TensorId> {
        if let InputFormat::Pixels { scale, bias, order } = &format {
            per_channel("input scale", scale.len(), shape)?;
            per_channel("input bias", bias.len(), shape)?;
            per_channel("input order", order.len(), shape)?;
            if (0..shape.c).any(|c| !order.iter().any(|&o| usize::from(o) == c)) {
                return Err(graph_error!(
                    "input order {order:?} does not name every channel once"
                ));
            }
        }
        let id = self.push(Op::Input(format), &[], shape)?;
        self.inputs.push(id);
        Ok(id)
    }

    /// Adds values known beforehand, `[c, h, w]`.
    pub fn constant(&mut self, shape: Shape, values: Arc<[f32]>) -> Result<TensorId> {
        if values.len() != shape.len() {
            return Err(graph_error!(
                "constant: {} values for the shape {shape}",
                values.len()
            ));
        }
        self.push(Op::Constant(values), &[], shape)
    }

    /// Adds a convolution: dense, grouped or depthwise.
    pub fn conv(&mut self, x: TensorId, conv: Conv) -> Result<TensorId> {
        let shape = self.known(x)?;
        check_conv(&conv, shape, conv.out_channels, shape.c)?;
        let [h, w] = windows("convolution", shape, &conv.window)?;
        let out = Shape::new(conv.out_channels, h, w);
        self.push(Op::Conv(conv), &[x], out)
    }

    /// Adds a transposed convolution. Its output has
    /// `stride · (size − 1) + span + output_padding − pads` rows and columns.
    pub fn transposed_conv(
        &mut self,
        x: TensorId,
        conv: Conv,
        output_padding: [usize; 2],
    ) -> Result<TensorId> {
        let shape = self.known(x)?;
        check_conv(&conv, shape, shape.c, conv.out_channels)?;
        check_window("transposed convolution", &conv.window)?;
        let (window, span) = (conv.window, conv.window.span());
        let length = |axis: usize, from: usize, pads: usize| {
            (window.stride[axis] * (from - 1) + span[axis] + output_padding[axis])
                .saturating_sub(pads)
        };
        let h = length(0, shape.h, window.pads.top + window.pads.bottom);
        let w = length(1, shape.w, window.pads.left + window.pads.right);
        let out = Shape::new(conv.out_channels, h, w);
        let op = Op::TransposedConv {
            conv,
            output_padding,
        };
        self.push(op, &[x], out)
    }

    /// Adds a pooling.
    pub fn pool(&mut self, x: TensorId, pool: Pool, window: Window) -> Result<TensorId> {
        let shape = self.known(x)?;
        let [h, w] = windows("pooling", shape, &window)?;
        for (axis, from, pad, n) in [
            (0, shape.h, window.pads.top, h),
            (1, shape.w, window.pads.left, w),
        ] {
            let inside = |i: usize, tap: usize| {
                let at = i * window.stride[axis] + tap * window.dilation[axis];
                at >= pad && at < pad + from
            };
            if (0..n).any(|i| !(0..window.kernel[axis]).any(|tap| inside(i, tap))) {
                return Err(graph_error!(
                    "pooling: with {window:?} on {shape} some windows would lie in the padding alone"
                ));
            }
        }
        self.push(Op::Pool(pool, window), &[x], Shape::new(shape.c, h, w))
    }

    /// Adds a reduction of each channel to one pixel.
    pub fn global(&mut self, x: TensorId, reduce: Reduce) -> Result<TensorId> {
        let shape = self.known(x)?;
        self.push(Op::Global(reduce), &[x], Shape::new(shape.c, 1, 1))
    }

    /// Adds a reduction of each pixel to one channel.
    pub fn over_channels(&mut self, x: TensorId, reduce: Reduce) -> Result<TensorId> {
        let shape = self.known(x)?;
        self.push(
            Op::OverChannels(reduce),
            &[x],
            Shape::new(1, shape.h, shape.w),
        )
    }

    /// Adds a change of size.
    pub fn resize(&mut self, x: TensorId, resize: Resize) -> Result<TensorId> {
        let shape = self.known(x)?;
        if resize.scale.iter().any(|s| !s.is_finite() || *s <= 0.) {
            return Err(graph_error!(
                "resize: scale {:?} is not positive",
                resize.scale
            ));
        }
        let [h, w] = resize.size;
        self.push(Op::Resize(resize), &[x], Shape::new(shape.c, h, w))
    }

    /// Adds a function of two tensors. On each axis, `b`'s length is `a`'s or 1.
    pub fn binary(&mut self, binary: Binary, a: TensorId, b: TensorId) -> Result<TensorId> {
        let (sa, sb) = (self.known(a)?, self.known(b)?);
        let fits = |a: usize, b: usize| a == b || b == 1;
        if !(fits(sa.c, sb.c) && fits(sa.h, sb.h) && fits(sa.w, sb.w)) {
            return Err(graph_error!(
                "elementwise: {sb} cannot be repeated to the shape {sa}"
            ));
        }
        self.push(Op::Binary(binary), &[a, b], sa)
    }

    /// Adds two tensors of the same shape, or one and a repeated one: see [`Graph::binary`].
    pub fn add(&mut self, a: TensorId, b: TensorId) -> Result<TensorId> {
        self.binary(Binary::Add, a, b)
    }

    /// Multiplies two tensors of the same shape, or one and a gate: see [`Graph::binary`].
    pub fn mul(&mut self, a: TensorId, b: TensorId) -> Result<TensorId> {
        self.binary(Binary::Mul, a, b)
    }

    /// Adds `x * scale[c] + bias[c]`, one value of each per channel.
    pub fn affine(&mut self, x: TensorId, scale: Arc<[f32]>, bias: Arc<[f32]>) -> Result<TensorId> {
        let shape = self.known(x)?;
        per_channel("affine scale", scale.len(), shape)?;
        per_channel("affine bias", bias.len(), shape)?;
        self.push(Op::Affine { scale, bias }, &[x], shape)
    }

    /// Adds `x * scale + bias` with the same values for all channels.
    pub fn scale(&mut self, x: TensorId, scale: f32, bias: f32) -> Result<TensorId> {
        let c = self.known(x)?.c;
        self.affine(x, vec![scale; c].into(), vec![bias; c].into())
    }

    /// Adds a function of one tensor.
    pub fn activate(&mut self, x: TensorId, activation: Activation) -> Result<TensorId> {
        let shape = self.known(x)?;
        self.push(Op::Activate(activation), &[x], shape)
    }

    /// Adds a leaky ReLU with one slope per channel.
    pub fn prelu(&mut self, x: TensorId, slopes: Arc<[f32]>) -> Result<TensorId> {
        let shape = self.known(x)?;
        per_channel("PReLU slope", slopes.len(), shape)?;
        self.push(Op::PRelu { slopes }, &[x], shape)
    }

    /// Adds a softmax over consecutive groups of `group` channels.
    pub fn softmax(&mut self, x: TensorId, group: usize) -> Result<TensorId> {
        let shape = self.known(x)?;
        if group == 0 || !shape.c.is_multiple_of(group) {
            return Err(graph_error!(
                "softmax: {} channels do not divide into groups of {group}",
                shape.c
            ));
        }
        self.push(Op::Softmax { group }, &[x], shape)
    }

    /// Adds attention. Queries and keys have the same channels, keys and values the same number of pixels. The output has
    /// the channels of the values and the pixels of the queries.
    pub fn attention(
        &mut self,
        [queries, keys, values]: [TensorId; 3],
        attention: Attention,
    ) -> Result<TensorId> {
        let [q, k, v] = [self.known(queries)?, self.known(keys)?, self.known(values)?];
        let Attention { heads, areas, .. } = attention;
        let in_heads = |c: usize| heads > 0 && c.is_multiple_of(heads);
        let in_areas = |s: Shape| {
            let length = if s.h == 1 { s.w } else { s.h };
            areas > 0 && length.is_multiple_of(areas)
        };
        let divides = in_heads(q.c) && in_heads(v.c) && [q, k, v].into_iter().all(in_areas);
        if q.c != k.c || k.pixels() != v.pixels() || !divides {
            return Err(graph_error!(
                "attention: queries {q}, keys {k} and values {v} do not fit {heads} heads in {areas} areas"
            ));
        }
        let places = (q.c + v.c).saturating_mul(areas);
        if places > MAX_PLACES {
            return Err(graph_error!(
                "attention: {areas} areas of {} channels are {places} places; {MAX_PLACES} are allowed",
                q.c + v.c
            ));
        }
        if !attention.scale.is_finite() {
            return Err(graph_error!("attention: the scale is {}", attention.scale));
        }
        let out = Shape::new(v.c, q.h, q.w);
        self.push(Op::Attention(attention), &[queries, keys, values], out)
    }

    /// Adds a concatenation along the channels.
    pub fn concat(&mut self, parts: &[TensorId]) -> Result<TensorId> {
        let &first = parts
            .first()
            .ok_or_else(|| graph_error!("concat: no operands"))?;
        let mut shape = self.known(first)?;
        for &part in &parts[1..] {
            let other = self.known(part)?;
            if (other.h, other.w) != (shape.h, shape.w) {
                return Err(graph_error!(
                    "concat: {other} and {shape} differ in height or width"
                ));
            }
            shape.c += other.c;
        }
        self.push(Op::Concat, parts, shape)
    }

    /// Adds a selection: output channel `i` is input channel `picks[i]`.
    pub fn channels(&mut self, x: TensorId, picks: Arc<[u32]>) -> Result<TensorId> {
        let shape = self.known(x)?;
        if let Some(pick) = picks.iter().find(|&&p| p as usize >= shape.c) {
            return Err(graph_error!(
                "channel selection: channel {pick} of {} channels",
                shape.c
            ));
        }
        let out = Shape::new(picks.len(), shape.h, shape.w);
        self.push(Op::Channels { picks }, &[x], out)
    }

    /// Selects `count` channels from `first` on.
    pub fn slice(&mut self, x: TensorId, first: usize, count: usize) -> Result<TensorId> {
        let (end, c) = (first.saturating_add(count), self.known(x)?.c);
        if end > c {
            return Err(graph_error!(
                "channel selection: channel {} of {c} channels",
                first.max(c)
            ));
        }
        self.channels(x, (first as u32..end as u32).collect())
    }

    /// Shuffles channels: reads them as `[groups, c / groups]` and transposes.
    pub fn shuffle(&mut self, x: TensorId, groups: usize) -> Result<TensorId> {
        let c = self.known(x)?.c;
        if groups == 0 || !c.is_multiple_of(groups) {
            return Err(graph_error!(
                "shuffle: {c} channels do not divide into {groups} groups"
            ));
        }
        let each = c / groups;
        self.channels(
            x,
            (0..c)
                .map(|i| (i % groups * each + i / groups) as u32)
                .collect(),
        )
    }

    /// Adds a selection of rows and columns.
    pub fn crop(&mut self, x: TensorId, crop: Crop) -> Result<TensorId> {
        let shape = self.known(x)?;
        let fits = |from: usize, step: usize, n: usize, length: usize| {
            step > 0
                && n > 0
                && (n - 1)
                    .checked_mul(step)
                    .is_some_and(|d| d < length && from < length - d)
        };
        let [h, w] = crop.size;
        if !fits(crop.top, crop.step[0], h, shape.h) || !fits(crop.left, crop.step[1], w, shape.w) {
            return Err(graph_error!("crop: {crop:?} does not lie within {shape}"));
        }
        self.push(Op::Crop(crop), &[x], Shape::new(shape.c, h, w))
    }

    /// Adds pixels of a constant value around the tensor.
    pub fn pad(&mut self, x: TensorId, pads: Pads, value: f32) -> Result<TensorId> {
        let shape = self.known(x)?;
        let grow = |n: usize, a: usize, b: usize| n.saturating_add(a).saturating_add(b);
        let out = Shape::new(
            shape.c,
            grow(shape.h, pads.top, pads.bottom),
            grow(shape.w, pads.left, pads.right),
        );
        self.push(Op::Pad(pads, value), &[x], out)
    }

    /// Reads each channel's pixels, in the same order, as another height and width.
    pub fn reshape(&mut self, x: TensorId, h: usize, w: usize) -> Result<TensorId> {
        let shape = self.known(x)?;
        if h.checked_mul(w) != Some(shape.pixels()) {
            return Err(graph_error!("reshape: {shape} has not {h} x {w} pixels"));
        }
        self.push(Op::Reshape, &[x], Shape::new(shape.c, h, w))
    }

    /// Adds a move of channels to pixels: see [`Op::DepthToSpace`].
    pub fn depth_to_space(
        &mut self,
        x: TensorId,
        block: usize,
        channels_first: bool,
    ) -> Result<TensorId> {
        let shape = self.known(x)?;
        if block == 0 || block > 64 || !shape.c.is_multiple_of(block * block) {
            return Err(graph_error!(
                "depth to space: {} channels do not divide into blocks of {block} x {block}",
                shape.c
            ));
        }
        let out = Shape::new(shape.c / (block * block), shape.h * block, shape.w * block);
        let op = Op::DepthToSpace {
            block,
            channels_first,
        };
        self.push(op, &[x], out)
    }
}
