//! Rewrites of the graph before it is planned: known compositions become one operator.

use super::limits;
use super::readers::Rewritten;
use crate::convnet::graph::*;

/// Returns the graph with compositions replaced. Numbers stay; nodes that nobody reads any more stay as well.
pub fn simplify(graph: &Graph) -> Rewritten {
    let mut rewritten = limits::settle(graph);
    let nodes = &mut rewritten.nodes;
    for i in 0..nodes.len() {
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

/// A convolution of every second row and column, for all four phases ("Focus"): twice the kernel with stride 2.
fn focus(nodes: &[Node], i: usize) -> Rewrite {
    let Op::Conv(conv) = &nodes[i].op else {
        return None;
    };
    let concat = at(nodes, nodes[i].inputs[0]);
    let plain = conv.groups == 1 && conv.window.stride == [1, 1] && conv.window.dilation == [1, 1];
    if !plain || !matches!(concat.op, Op::Concat) {
        return None;
    }
    let mut source = None;
    // for each input channel: the source's channel and the phase
    let mut from = Vec::new();
    for &part in &concat.inputs {
        let node = at(nodes, part);
        let Op::Crop(crop) = &node.op else {
            return None;
        };
        let x = node.inputs[0];
        let shape = at(nodes, x).shape;
        let even = crop.step == [2, 2]
            && crop.top < 2
            && crop.left < 2
            && crop.size == [shape.h / 2, shape.w / 2]
            && shape.h.is_multiple_of(2)
            && shape.w.is_multiple_of(2);
        if !even || *source.get_or_insert(x) != x {
            return None;
        }
        from.extend((0..shape.c).map(|c| (c, crop.top, crop.left)));
    }
    let x = source?;
    let conv = widened(conv, at(nodes, x).shape.c, &from);
    Some((Op::Conv(conv), vec![x]))
}

/// Returns the convolution of twice the kernel and stride 2. `from` lists, for each input channel of `conv`, the
/// channel, row and column of the source, which has `c` channels.
fn widened(conv: &Conv, c: usize, from: &[(usize, usize, usize)]) -> Conv {
    let [kh, kw] = conv.window.kernel;
    let mut weights = vec![0.; conv.out_channels * c * 4 * kh * kw];
    for o in 0..conv.out_channels {
        for (j, &(channel, top, left)) in from.iter().enumerate() {
            for ky in 0..kh {
                for kx in 0..kw {
                    let weight = conv.weights[((o * from.len() + j) * kh + ky) * kw + kx];
                    let row = (o * c + channel) * 2 * kh + 2 * ky + top;
                    weights[row * 2 * kw + 2 * kx + left] += weight;
                }
            }
        }
    }
    let pads = conv.window.pads;
    let window = Window {
        kernel: [2 * kh, 2 * kw],
        stride: [2, 2],
        dilation: [1, 1],
        pads: Pads {
            top: 2 * pads.top,
            left: 2 * pads.left,
            bottom: 2 * pads.bottom,
            right: 2 * pads.right,
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
