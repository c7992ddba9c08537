//! Operators that work number by number, and the mean over bins: softmax and its convolution.

use super::value::{count, strides};
use super::{Call, Data, Problem, Value};

type Outputs = Result<Vec<Value>, Problem>;

pub fn outputs(call: &Call) -> Option<Outputs> {
    let op = call.node.op_type.as_str();
    if let Some(rule) = unary(op) {
        return Some(number_by_number(call, rule));
    }
    if let Some(rule) = binary(op) {
        return Some(two_by_two(call, rule));
    }
    Some(match op {
        "Identity" | "Dropout" => call.input(0).map(|value| vec![value.clone()]),
        "Cast" => cast(call),
        "Softmax" => softmax(call),
        "Conv" if is_mean_of_bins(call) => mean_of_bins(call),
        "Where" => choose(call),
        // Followed in their dims only.
        "LeakyRelu"
        | "Elu"
        | "Celu"
        | "ThresholdedRelu"
        | "Softsign"
        | "Selu"
        | "Softplus"
        | "Mish"
        | "Gelu"
        | "Erf"
        | "HardSigmoid"
        | "HardSwish"
        | "IsNaN"
        | "IsInf"
        | "Trilu"
        | "CumSum"
        | "BatchNormalization"
        | "InstanceNormalization"
        | "LayerNormalization"
        | "GroupNormalization"
        | "RMSNormalization"
        | "LpNormalization"
        | "MeanVarianceNormalization"
        | "QuantizeLinear"
        | "DequantizeLinear"
        | "LogSoftmax" => call
            .input(0)
            .and_then(|value| call.output(value.dims.clone(), || None)),
        "PRelu" => broadcast_all(call),
        "DynamicQuantizeLinear" => call.input(0).map(|value| {
            let scalar = || Value::new(vec![], None);
            vec![Value::new(value.dims.clone(), None), scalar(), scalar()]
        }),
        _ => return None,
    })
}

fn unary(op: &str) -> Option<fn(f32) -> f32> {
    Some(match op {
        "Relu" => |x| x.max(0.0),
        "Tanh" => f32::tanh,
        "Abs" => f32::abs,
        "Log" => f32::ln,
        "Sin" => f32::sin,
        "Cos" => f32::cos,
        "Round" => f32::round_ties_even,
        "Reciprocal" => f32::recip,
        "Sigmoid" => |x| 1.0 / (1.0 + (-x).exp()),
        "Exp" => f32::exp,
        "Sqrt" => f32::sqrt,
        "Neg" => |x| -x,
        "Floor" => f32::floor,
        "Ceil" => f32::ceil,
        _ => return None,
    })
}

struct Binary {
    floats: fn(f32, f32) -> f32,
    /// `None` where there is no such number.
    integers: fn(i64, i64) -> Option<i64>,
}

fn binary(op: &str) -> Option<Binary> {
    let rule = |floats, integers| Some(Binary { floats, integers });
    match op {
        "Add" => rule(|a, b| a + b, i64::checked_add),
        "Sub" => rule(|a, b| a - b, i64::checked_sub),
        "Mul" => rule(|a, b| a * b, i64::checked_mul),
        "Div" => rule(|a, b| a / b, i64::checked_div),
        "Pow" => rule(f32::powf, |_, _| None),
        _ => None,
    }
}

/// The dims of two tensors that are combined number by number.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let from_behind =
        |dims: &[usize], i: usize| dims.len().checked_sub(i + 1).map_or(1, |i| dims[i]);
    let mut dims = (0..rank)
        .map(|i| match (from_behind(a, i), from_behind(b, i)) {
            (a, b) if a == b => Some(a),
            (1, n) | (n, 1) => Some(n),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()?;
    dims.reverse();
    Some(dims)
}

/// The numbers of a tensor repeated until they fill `dims`.
pub fn spread(value: &Value, dims: &[usize]) -> Option<Data> {
    let data = value.data.as_ref()?;
    if value.dims == dims {
        return Some((**data).clone());
    }
    let own = strides(&value.dims);
    let missing = dims.len() - value.dims.len();
    let steps: Vec<isize> = (0..dims.len())
        .map(|axis| match axis.checked_sub(missing) {
            Some(axis) if value.dims[axis] > 1 => own[axis],
            _ => 0,
        })
        .collect();
    Some(data.strided(0, dims, &steps))
}

fn number_by_number(call: &Call, rule: fn(f32) -> f32) -> Outputs {
    let input = call.input(0)?;
    let integer: fn(i64) -> Option<i64> = match call.node.op_type.as_str() {
        "Neg" => i64::checked_neg,
        "Abs" => i64::checked_abs,
        _ => |_| None,
    };
    call.output(input.dims.clone(), || match input.data.as_deref()? {
        Data::F32(numbers) => Some(Data::F32(numbers.iter().map(|x| rule(*x)).collect())),
        Data::I64(numbers) => {
            let found = numbers.iter().map(|n| integer(*n));
            found.collect::<Option<_>>().map(Data::I64)
        }
    })
}

fn two_by_two(call: &Call, rule: Binary) -> Outputs {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let dims = broadcast(&a.dims, &b.dims);
    let dims = dims.ok_or_else(|| call.misfit("they do not go together"))?;
    call.output(dims.clone(), || {
        match (spread(a, &dims)?, spread(b, &dims)?) {
            (Data::F32(a), Data::F32(b)) => {
                let pairs = a.iter().zip(&b);
                Some(Data::F32(
                    pairs.map(|(a, b)| (rule.floats)(*a, *b)).collect(),
                ))
            }
            (Data::I64(a), Data::I64(b)) => {
                let mut pairs = a.iter().zip(&b).map(|(a, b)| (rule.integers)(*a, *b));
                let all = pairs.by_ref().collect::<Option<_>>();
                all.map(Data::I64)
            }
            _ => None,
        }
    })
}

fn broadcast_all(call: &Call) -> Outputs {
    let mut dims = call.input(0)?.dims.clone();
    for index in 1..call.inputs.len() {
        let both = broadcast(&dims, &call.input(index)?.dims);
        dims = both.ok_or_else(|| call.misfit("they do not go together"))?;
    }
    call.output(dims, || None)
}

/// ONNX's numbers of the types that are followed.
const FLOAT: i64 = 1;
const INTEGERS: [i64; 2] = [6, 7];
const BOOL: i64 = 9;

fn cast(call: &Call) -> Outputs {
    let input = call.input(0)?;
    let to = call.attributes.integer("to", 0);
    call.output(input.dims.clone(), || match input.data.as_deref()? {
        Data::F32(numbers) if to == FLOAT => Some(Data::F32(numbers.clone())),
        Data::F32(numbers) if to == BOOL => Some(Data::I64(
            numbers.iter().map(|x| (*x != 0.0).into()).collect(),
        )),
        Data::I64(numbers) if to == BOOL => Some(Data::I64(
            numbers.iter().map(|n| (*n != 0).into()).collect(),
        )),
        Data::F32(numbers) if INTEGERS.contains(&to) => {
            Some(Data::I64(numbers.iter().map(|x| *x as i64).collect()))
        }
        Data::I64(numbers) if to == FLOAT => {
            Some(Data::F32(numbers.iter().map(|n| *n as f32).collect()))
        }
        Data::I64(numbers) if INTEGERS.contains(&to) => Some(Data::I64(numbers.clone())),
        _ => None,
    })
}

fn choose(call: &Call) -> Outputs {
    let (which, a, b) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let dims = broadcast(&a.dims, &b.dims).and_then(|both| broadcast(&which.dims, &both));
    let dims = dims.ok_or_else(|| call.misfit("they do not go together"))?;
    call.output(dims.clone(), || {
        let (Data::I64(which), a, b) =
            (spread(which, &dims)?, spread(a, &dims)?, spread(b, &dims)?)
        else {
            return None;
        };
        fn chosen<T: Copy>(which: &[i64], a: &[T], b: &[T]) -> Vec<T> {
            let pairs = a.iter().zip(b).zip(which);
            pairs
                .map(|((a, b), first)| if *first != 0 { *a } else { *b })
                .collect()
        }
        match (a, b) {
            (Data::F32(a), Data::F32(b)) => Some(Data::F32(chosen(&which, &a, &b))),
            (Data::I64(a), Data::I64(b)) => Some(Data::I64(chosen(&which, &a, &b))),
            _ => None,
        }
    })
}

fn softmax(call: &Call) -> Outputs {
    let input = call.input(0)?;
    let old = call.opset < 13;
    let default = if old { 1 } else { -1 };
    let axis = super::forms::axis(
        call,
        call.attributes.integer("axis", default),
        input.dims.len(),
    )?;
    let inner = count(&input.dims[axis + 1..]).unwrap_or(0);
    call.output(input.dims.clone(), || {
        // Before version 13 it went over all axes behind as well.
        if (old && inner != 1) || inner == 0 {
            return None;
        }
        let side = input.dims[axis];
        let mut numbers = input.floats()?.to_vec();
        for block in numbers.chunks_exact_mut((side * inner).max(1)) {
            for lane in 0..inner {
                let places = || (lane..side * inner).step_by(inner);
                let highest = places().map(|i| block[i]).fold(f32::NEG_INFINITY, f32::max);
                places().for_each(|i| block[i] = (block[i] - highest).exp());
                let sum: f32 = places().map(|i| block[i]).sum();
                places().for_each(|i| block[i] /= sum);
            }
        }
        Some(Data::F32(numbers))
    })
}

/// A convolution of one pixel whose weights are 0, 1, 2...: what follows the softmax over the bins of a distance.
pub fn is_mean_of_bins(call: &Call) -> bool {
    let weights = call.optional(1);
    let counts = |value: &&Value| {
        let wanted = (0..).map(|n| n as f32);
        matches!(value.dims[..], [1, bins, 1, 1] if bins > 1)
            && value
                .floats()
                .is_some_and(|weights| weights.iter().zip(wanted).all(|(a, b)| *a == b))
    };
    call.inputs.len() == 2 && weights.as_ref().is_some_and(counts)
}

fn mean_of_bins(call: &Call) -> Outputs {
    let (input, bins) = (call.input(0)?, call.input(1)?.dims[1]);
    let plain = ["pads", "strides", "dilations"].map(|name| call.attributes.integers(name));
    let wanted = [0, 1, 1];
    let plain = (plain.into_iter().zip(wanted))
        .all(|(list, n)| list.is_none_or(|l| l.iter().all(|v| *v == n)));
    let (&[1, channels, height, width], true) = (&input.dims[..], plain) else {
        return Err(call.unknown("of this form"));
    };
    if channels != bins || call.attributes.integer("group", 1) != 1 {
        return Err(call.misfit("the weights do not fit"));
    }
    call.output(vec![1, 1, height, width], || {
        let numbers = input.floats()?;
        let area = height * width;
        let mut sums = vec![0.0; area];
        for (bin, map) in numbers.chunks_exact(area.max(1)).enumerate() {
            sums.iter_mut()
                .zip(map)
                .for_each(|(sum, x)| *sum += bin as f32 * x);
        }
        Some(Data::F32(sums))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{computed, floats, integers, refused, with_integer};
    use super::*;
    use crate::onnx::testing::node;

    fn first(node: tract_onnx::pb::NodeProto, inputs: &[Value]) -> Value {
        computed(&node, inputs).unwrap().remove(0)
    }

    #[test]
    fn dims_of_one_are_repeated() {
        let add = node("Add", &["a", "b"], &["y"]);
        let sum = first(
            add.clone(),
            &[
                floats(&[2, 1], &[1.0, 2.0]),
                floats(&[3], &[10.0, 20.0, 30.0]),
            ],
        );
        assert_eq!(sum, floats(&[2, 3], &[11.0, 21.0, 31.0, 12.0, 22.0, 32.0]));
        assert!(matches!(
            refused(&add, &[&[1, 2100, 2], &[1, 1344, 2]]),
            Problem::Misfit(_)
        ));
        let div = first(
            node("Div", &["a", "b"], &["y"]),
            &[integers(&[], &[7]), integers(&[], &[2])],
        );
        assert_eq!(div, integers(&[], &[3]));
        let by_none = first(
            node("Div", &["a", "b"], &["y"]),
            &[integers(&[], &[7]), integers(&[], &[0])],
        );
        assert_eq!(by_none.data, None);
        let chosen = first(
            node("Where", &["c", "a", "b"], &["y"]),
            &[
                integers(&[2], &[1, 0]),
                integers(&[2], &[3, 4]),
                integers(&[], &[9]),
            ],
        );
        assert_eq!(chosen, integers(&[2], &[3, 9]));
    }

    #[test]
    fn distances_are_means_over_bins() {
        let x = floats(&[1, 2, 1, 2], &[0.0, 5.0, 0.0, 5.0 + 3.0_f32.ln()]);
        let shares = first(
            with_integer(node("Softmax", &["x"], &["y"]), "axis", 1),
            &[x],
        );
        let conv = node("Conv", &["x", "w"], &["y"]);
        let mean = first(
            conv.clone(),
            &[shares.clone(), floats(&[1, 2, 1, 1], &[0.0, 1.0])],
        );
        assert_eq!(mean.dims, [1, 1, 1, 2]);
        let found = mean.floats().unwrap();
        assert!(
            (found[0] - 0.5).abs() < 1e-6 && (found[1] - 0.75).abs() < 1e-6,
            "{found:?}"
        );
        let other = first(conv, &[shares, floats(&[1, 2, 1, 1], &[0.0, 2.0])]);
        assert_eq!(
            other.data, None,
            "another convolution is followed in its dims"
        );
    }
}
