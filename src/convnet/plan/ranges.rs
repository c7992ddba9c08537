//! [`Range`]: between which values a tensor's elements lie, whatever the input of a run.

use crate::convnet::graph::*;

/// Least and largest value. Elements that are NaN do not count.
pub type Range = [f32; 2];

const ANY: Range = [f32::NEG_INFINITY, f32::INFINITY];
const NOT_NEGATIVE: Range = [0., f32::INFINITY];

/// Returns the range of a node whose operands have the ranges `operands`.
///
/// Where an operator sums or interpolates, only the sign is followed: rounding may take a result beyond its operands'
/// range, but not beyond zero.
pub fn range_of(node: &Node, operands: &[Range]) -> Range {
    let first = operands.first().copied().unwrap_or(ANY);
    match &node.op {
        Op::Input(format) => loaded(format),
        Op::Constant(values) => {
            values
                .iter()
                .fold(first_of(values), |[low, high], &v| match v.is_nan() {
                    true => ANY,
                    false => [low.min(v), high.max(v)],
                })
        }
        Op::Conv(_) | Op::TransposedConv { .. } => ANY,
        // a mean, which rounding does not take beyond zero
        Op::Attention(_) => sign(operands.get(2).copied().unwrap_or(ANY)),
        Op::Pool(Pool::Average { .. }, _) => sign(first),
        Op::Global(reduce) | Op::OverChannels(reduce) => match reduce {
            Reduce::Max => first,
            Reduce::Mean | Reduce::Sum => sign(first),
        },
        Op::Resize(resize) => match resize.interpolation {
            Interpolation::Linear => sign(first),
            _ => first,
        },
        Op::Binary(binary) => of_two(*binary, first, operands.get(1).copied().unwrap_or(ANY)),
        Op::Affine { scale, bias } => {
            let grows = scale.iter().chain(bias.iter()).all(|&v| v >= 0.);
            if_not_negative(grows && first[0] >= 0.)
        }
        Op::Activate(f) => activated(*f, first),
        Op::PRelu { .. } if first[0] >= 0. => first,
        Op::PRelu { .. } => ANY,
        Op::Softmax { .. } => [0., 1.],
        Op::Concat => operands.iter().copied().reduce(hull).unwrap_or(ANY),
        Op::Pad(_, value) => hull(first, [*value; 2]),
        Op::Pool(Pool::Max, _)
        | Op::Channels { .. }
        | Op::Crop(_)
        | Op::Reshape
        | Op::DepthToSpace { .. } => first,
    }
}

/// A range that any element widens to its own.
fn first_of(values: &[f32]) -> Range {
    values.first().map_or(ANY, |&v| [v; 2])
}

fn loaded(format: &InputFormat) -> Range {
    let InputFormat::Pixels { scale, bias, .. } = format else {
        return ANY;
    };
    let ends = scale.iter().zip(bias.iter());
    let ends = ends.map(|(scale, bias)| hull([*bias; 2], [255. * scale + bias; 2]));
    ends.reduce(hull).unwrap_or(ANY)
}

fn hull(a: Range, b: Range) -> Range {
    match a.iter().chain(&b).any(|v| v.is_nan()) {
        true => ANY,
        false => [a[0].min(b[0]), a[1].max(b[1])],
    }
}

/// The range of anything that has the sign of this range.
fn sign([low, high]: Range) -> Range {
    [
        if low >= 0. { 0. } else { f32::NEG_INFINITY },
        if high <= 0. { 0. } else { f32::INFINITY },
    ]
}

fn if_not_negative(is: bool) -> Range {
    if is { NOT_NEGATIVE } else { ANY }
}

fn of_two(binary: Binary, a: Range, b: Range) -> Range {
    match binary {
        Binary::Max => [a[0].max(b[0]), a[1].max(b[1])],
        Binary::Min => [a[0].min(b[0]), a[1].min(b[1])],
        Binary::Add | Binary::Mul | Binary::Div => if_not_negative(a[0] >= 0. && b[0] >= 0.),
        Binary::Sub => ANY,
    }
}

fn activated(f: Activation, [low, high]: Range) -> Range {
    match f {
        Activation::Relu => [low.max(0.), high.max(0.)],
        Activation::Clip { min, max } if min <= max => [low.clamp(min, max), high.clamp(min, max)],
        Activation::LeakyRelu { .. } if low >= 0. => [low, high],
        Activation::Sigmoid | Activation::HardSigmoid { .. } => [0., 1.],
        Activation::Tanh => [if low >= 0. { 0. } else { -1. }, 1.],
        Activation::Abs
        | Activation::Square
        | Activation::Exp
        | Activation::Sqrt
        | Activation::Softplus => NOT_NEGATIVE,
        Activation::Silu
        | Activation::HardSwish
        | Activation::Mish
        | Activation::Gelu
        | Activation::GeluTanh
        | Activation::Elu { .. } => if_not_negative(low >= 0.),
        _ => ANY,
    }
}
