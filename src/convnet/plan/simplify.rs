//! Rewrites of the graph before it is planned: known compositions become one operator.

use super::limits;
use super::readers::{Readers, Rewritten};
use crate::convnet::graph::*;

/// Returns the graph with compositions replaced. Numbers stay; nodes that nobody reads any more stay as well.
pub fn simplify(graph: &Graph) -> Rewritten {
    let mut rewritten = limits::settle(graph);
    let readers = Readers::new(&rewritten.nodes, &rewritten.outputs);
    let nodes = &mut rewritten.nodes;
    for i in 0..nodes.len() {
        join_summed(nodes, &readers, i);
        let rewrite = nested_crop(nodes, i)
            .or_else(|| affine_from_constant(nodes, i))
            .or_else(|| scaled_clip(nodes, i))
            .or_else(|| gated(nodes, i))
            .or_else(|| padded(nodes, i))
            .or_else(|| focus(nodes, i));
        if let Some((op, inputs)) = rewrite {
            nodes[i].op = op;
            nodes[i].inputs = inputs;
        }
    }
    rewritten
}

/// The sum of two convolutions is one of both inputs' channels, which then need not lie side by side: that is how the graph
/// comes in where a concatenation before a convolution was cut. Saves a map that is written and read again.
fn join_summed(nodes: &mut [Node], readers: &Readers, i: usize) {
    let (Op::Binary(Binary::Add), &[a, b]) = (&nodes[i].op, &nodes[i].inputs[..]) else {
        return;
    };
    let [x, y] = [a, b].map(|t| at(nodes, t));
    let (Op::Conv(first), Op::Conv(second)) = (&x.op, &y.op) else {
        return;
    };
    let [from, other] = [x, y].map(|node| at(nodes, node.inputs[0]).shape);
    let alike = first.groups == 1
        && second.groups == 1
        && first.window == second.window
        && first.out_channels == second.out_channels
        && (from.h, from.w) == (other.h, other.w);
    let sole = [a, b].iter().all(|t| readers.sole(t.index()) == Some(i));
    if !alike || !sole || a == b {
        return;
    }
    let each = |conv: &Conv, row: usize| {
        let length = conv.weights.len() / conv.out_channels;
        conv.weights[row * length..(row + 1) * length].to_vec()
    };
    let rows = 0..first.out_channels;
    let weights = rows.flat_map(|row| [each(first, row), each(second, row)].concat());
    let bias = match (&first.bias, &second.bias) {
        (Some(a), Some(b)) => Some(a.iter().zip(b.iter()).map(|(a, b)| a + b).collect()),
        (one, None) => one.clone(),
        (None, one) => one.clone(),
    };
    let conv = Conv {
        weights: weights.collect(),
        bias,
        ..first.clone()
    };
    let inputs = vec![x.inputs[0], y.inputs[0]];
    // the later of the two comes behind both inputs, and nobody else reads it
    let joint = a.max(b);
    nodes[joint.index()] = Node {
        op: Op::Concat,
        inputs,
        shape: Shape::new(from.c + other.c, from.h, from.w),
    };
    nodes[i].op = Op::Conv(conv);
    nodes[i].inputs = vec![joint];
}

type Rewrite = Option<(Op, Vec<TensorId>)>;

fn at(nodes: &[Node], tensor: TensorId) -> &Node {
    &nodes[tensor.index()]
}

/// A crop of a crop.
fn nested_crop(nodes: &[Node], i: usize) -> Rewrite {
    let Op::Crop(outer) = &nodes[i].op else {
        return None;
    };
    let from = at(nodes, nodes[i].inputs[0]);
    let Op::Crop(inner) = &from.op else {
        return None;
    };
    let crop = Crop {
        top: inner.top + outer.top * inner.step[0],
        left: inner.left + outer.left * inner.step[1],
        step: [0, 1].map(|a| inner.step[a] * outer.step[a]),
        size: outer.size,
    };
    Some((Op::Crop(crop), from.inputs.clone()))
}

/// x ∘ constant, with one value per channel or one in all: scale and bias.
fn affine_from_constant(nodes: &[Node], i: usize) -> Rewrite {
    let node = &nodes[i];
    let (Op::Binary(binary), &[a, b]) = (&node.op, &node.inputs[..]) else {
        return None;
    };
    let constant = at(nodes, b);
    let Op::Constant(values) = &constant.op else {
        return None;
    };
    if constant.shape.pixels() != 1 {
        return None;
    }
    let c = node.shape.c;
    let each =
        |f: &dyn Fn(f32) -> f32| (0..c).map(|i| f(values[i.min(values.len() - 1)])).collect();
    let (scale, bias) = match binary {
        Binary::Add => (each(&|_| 1.), each(&|v| v)),
        Binary::Sub => (each(&|_| 1.), each(&|v| -v)),
        Binary::Mul => (each(&|v| v), each(&|_| 0.)),
        _ => return None,
    };
    Some((Op::Affine { scale, bias }, vec![a]))
}

/// Scale and bias if they are the same for all channels.
fn uniform(op: &Op) -> Option<(f32, f32)> {
    let Op::Affine { scale, bias } = op else {
        return None;
    };
    let same = |v: &[f32]| v.iter().all(|x| *x == v[0]).then_some(v[0]);
    Some((same(scale)?, same(bias)?))
}

fn close(a: f32, b: f32) -> bool {
    (a - b).abs() < 1e-6
}

/// True if a node is clip(x + 3, 0, 6); returns x.
fn clip_of_shifted(nodes: &[Node], tensor: TensorId) -> Option<TensorId> {
    let clip = at(nodes, tensor);
    if !matches!(clip.op, Op::Activate(Activation::Clip { min, max }) if min == 0. && max == 6.) {
        return None;
    }
    let shift = at(nodes, clip.inputs[0]);
    let (scale, bias) = uniform(&shift.op)?;
    (scale == 1. && close(bias, 3.)).then(|| shift.inputs[0])
}

/// clip(x + 3, 0, 6) / 6 is HardSigmoid; x · clip(x + 3, 0, 6) / 6 is HardSwish.
fn scaled_clip(nodes: &[Node], i: usize) -> Rewrite {
    let (scale, bias) = uniform(&nodes[i].op)?;
    if !close(scale, 1. / 6.) || bias != 0. {
        return None;
    }
    let from = nodes[i].inputs[0];
    if let Some(x) = clip_of_shifted(nodes, from) {
        let f = Activation::HardSigmoid {
            alpha: 1. / 6.,
            beta: 0.5,
        };
        return Some((Op::Activate(f), vec![x]));
    }
    let product = at(nodes, from);
    let (Op::Binary(Binary::Mul), &[a, b]) = (&product.op, &product.inputs[..]) else {
        return None;
    };
    let x = match (clip_of_shifted(nodes, b), clip_of_shifted(nodes, a)) {
        (Some(x), _) if x == a => x,
        (_, Some(x)) if x == b => x,
        _ => return None,
    };
    Some((Op::Activate(Activation::HardSwish), vec![x]))
}

/// x · f(x): SiLU, HardSwish and Mish.
fn gated(nodes: &[Node], i: usize) -> Rewrite {
    let (Op::Binary(Binary::Mul), &[a, b]) = (&nodes[i].op, &nodes[i].inputs[..]) else {
        return None;
    };
    let gate_of = |x: TensorId, gate: TensorId| {
        let gate = at(nodes, gate);
        let Op::Activate(f) = gate.op else {
            return None;
        };
        let from = gate.inputs[0];
        match f {
            Activation::Sigmoid if from == x => Some(Activation::Silu),
            Activation::HardSigmoid { alpha, beta }
                if from == x && close(alpha, 1. / 6.) && close(beta, 0.5) =>
            {
                Some(Activation::HardSwish)
            }
            Activation::Tanh => {
                let inner = at(nodes, from);
                let softplus = matches!(inner.op, Op::Activate(Activation::Softplus));
                (softplus && inner.inputs[0] == x).then_some(Activation::Mish)
            }
            _ => None,
        }
    };
    let (f, x) = match (gate_of(a, b), gate_of(b, a)) {
        (Some(f), _) => (f, a),
        (_, Some(f)) => (f, b),
        _ => return None,
    };
    Some((Op::Activate(f), vec![x]))
}

/// Zeros added before a convolution become its padding.
fn padded(nodes: &[Node], i: usize) -> Rewrite {
    let Op::Conv(conv) = &nodes[i].op else {
        return None;
    };
    let pad = at(nodes, nodes[i].inputs[0]);
    let Op::Pad(pads, 0.) = &pad.op else {
        return None;
    };
    let mut conv = conv.clone();
    let own = &mut conv.window.pads;
    own.top += pads.top;
    own.left += pads.left;
    own.bottom += pads.bottom;
    own.right += pads.right;
    Some((Op::Conv(conv), pad.inputs.clone()))
}

/// A convolution of every n-th row and column, for the phases of a block ("Focus", or SpaceToDepth): n times the kernel
/// and the stride. Between the two may be a choice of channels.
fn focus(nodes: &[Node], i: usize) -> Rewrite {
    let Op::Conv(conv) = &nodes[i].op else {
        return None;
    };
    if conv.groups != 1 || conv.window.dilation != [1, 1] {
        return None;
    }
    let operand = at(nodes, nodes[i].inputs[0]);
    let (concat, picks) = match &operand.op {
        Op::Channels { picks } => (at(nodes, operand.inputs[0]), Some(picks)),
        _ => (operand, None),
    };
    let (x, block, mut from) = phases(nodes, concat)?;
    if let Some(picks) = picks {
        from = picks.iter().map(|&p| from[p as usize]).collect();
    }
    let c = at(nodes, x).shape.c;
    // The wide kernel has zeros for the phases that are missing.
    if from.len() * MOST_PRODUCTS < c * block[0] * block[1] {
        return None;
    }
    Some((Op::Conv(widened(conv, c, block, &from)), vec![x]))
}

/// Products of a wide kernel for each one of the narrow kernel.
const MOST_PRODUCTS: usize = 4;

/// Channel, first row and first column of the source.
type Phase = (usize, usize, usize);

/// Concatenated crops of one tensor that each keep a row and a column of every block: the tensor, the block's rows and
/// columns, and the phase that each channel of the concatenation is.
fn phases(nodes: &[Node], concat: &Node) -> Option<(TensorId, [usize; 2], Vec<Phase>)> {
    let (Op::Concat, Some(&first)) = (&concat.op, concat.inputs.first()) else {
        return None;
    };
    let (x, block) = match &at(nodes, first).op {
        Op::Crop(crop) => (at(nodes, first).inputs[0], crop.step),
        _ => return None,
    };
    let shape = at(nodes, x).shape;
    if block == [1, 1] || !(shape.h.is_multiple_of(block[0]) && shape.w.is_multiple_of(block[1])) {
        return None;
    }
    let mut from = Vec::new();
    for &part in &concat.inputs {
        let node = at(nodes, part);
        let Op::Crop(crop) = &node.op else {
            return None;
        };
        let even = crop.step == block
            && crop.top < block[0]
            && crop.left < block[1]
            && crop.size == [shape.h / block[0], shape.w / block[1]];
        if !even || node.inputs[0] != x {
            return None;
        }
        from.extend((0..shape.c).map(|c| (c, crop.top, crop.left)));
    }
    Some((x, block, from))
}

/// Returns the convolution of `block` times the kernel and the stride. `from` lists, for each input channel of `conv`,
/// its phase in the source, which has `c` channels.
fn widened(conv: &Conv, c: usize, block: [usize; 2], from: &[Phase]) -> Conv {
    let ([kh, kw], [rows, columns]) = (conv.window.kernel, block);
    let mut weights = vec![0.; conv.out_channels * c * rows * columns * kh * kw];
    for o in 0..conv.out_channels {
        for (j, &(channel, top, left)) in from.iter().enumerate() {
            for ky in 0..kh {
                for kx in 0..kw {
                    let weight = conv.weights[((o * from.len() + j) * kh + ky) * kw + kx];
                    let row = (o * c + channel) * rows * kh + rows * ky + top;
                    weights[row * columns * kw + columns * kx + left] += weight;
                }
            }
        }
    }
    let (pads, stride) = (conv.window.pads, conv.window.stride);
    let window = Window {
        kernel: [rows * kh, columns * kw],
        stride: [rows * stride[0], columns * stride[1]],
        dilation: [1, 1],
        pads: Pads {
            top: rows * pads.top,
            left: columns * pads.left,
            bottom: rows * pads.bottom,
            right: columns * pads.right,
        },
    };
    Conv {
        out_channels: conv.out_channels,
        groups: 1,
        window,
        weights: weights.into(),
        bias: conv.bias.clone(),
    }
}
