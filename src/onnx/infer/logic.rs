//! Comparisons, logic, limits and remainders.

use super::arithmetic::{broadcast, spread};
use super::{Call, Data, Problem, Value};

type Outputs = Result<Vec<Value>, Problem>;

pub fn outputs(call: &Call) -> Option<Outputs> {
    Some(match call.node.op_type.as_str() {
        "Equal" => compared(call, |a, b| a == b, |a, b| a == b),
        "Greater" => compared(call, |a, b| a > b, |a, b| a > b),
        "GreaterOrEqual" => compared(call, |a, b| a >= b, |a, b| a >= b),
        "Less" => compared(call, |a, b| a < b, |a, b| a < b),
        "LessOrEqual" => compared(call, |a, b| a <= b, |a, b| a <= b),
        // Booleans are integers here, of which any but 0 is true.
        "And" => compared(call, |_, _| false, |a, b| a != 0 && b != 0),
        "Or" => compared(call, |_, _| false, |a, b| a != 0 || b != 0),
        "Xor" => compared(call, |_, _| false, |a, b| (a != 0) != (b != 0)),
        "Not" => not(call),
        "Mod" => remainder(call),
        "Min" => extreme(call, f32::min, i64::min),
        "Max" => extreme(call, f32::max, i64::max),
        "Clip" => clip(call),
        _ => return None,
    })
}

fn compared(call: &Call, floats: fn(f32, f32) -> bool, integers: fn(i64, i64) -> bool) -> Outputs {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let dims = broadcast(&a.dims, &b.dims);
    let dims = dims.ok_or_else(|| call.misfit("they do not go together"))?;
    call.output(dims.clone(), || {
        let found = match (spread(a, &dims)?, spread(b, &dims)?) {
            (Data::F32(a), Data::F32(b)) => {
                let pairs = a.iter().zip(&b);
                pairs.map(|(a, b)| floats(*a, *b).into()).collect()
            }
            (Data::I64(a), Data::I64(b)) => {
                let pairs = a.iter().zip(&b);
                pairs.map(|(a, b)| integers(*a, *b).into()).collect()
            }
            _ => return None,
        };
        Some(Data::I64(found))
    })
}

fn not(call: &Call) -> Outputs {
    let input = call.input(0)?;
    call.output(input.dims.clone(), || {
        let numbers = input.integers()?.iter();
        Some(Data::I64(numbers.map(|n| i64::from(*n == 0)).collect()))
    })
}

/// The remainder has the sign of the divisor, with `fmod` that of the dividend.
fn remainder(call: &Call) -> Outputs {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let dims = broadcast(&a.dims, &b.dims);
    let dims = dims.ok_or_else(|| call.misfit("they do not go together"))?;
    let of_dividend = call.attributes.integer("fmod", 0) != 0;
    let integer = |a: i64, b: i64| {
        let rest = a.checked_rem(b)?;
        let other_sign = rest != 0 && (rest < 0) != (b < 0);
        Some(if !of_dividend && other_sign {
            rest + b
        } else {
            rest
        })
    };
    call.output(dims.clone(), || {
        match (spread(a, &dims)?, spread(b, &dims)?) {
            (Data::F32(a), Data::F32(b)) if of_dividend => {
                let pairs = a.iter().zip(&b);
                Some(Data::F32(pairs.map(|(a, b)| a % b).collect()))
            }
            (Data::I64(a), Data::I64(b)) => {
                let pairs = a.iter().zip(&b).map(|(a, b)| integer(*a, *b));
                Some(Data::I64(pairs.collect::<Option<_>>()?))
            }
            _ => None,
        }
    })
}

/// The lowest or highest of the numbers of all inputs.
fn extreme(call: &Call, floats: fn(f32, f32) -> f32, integers: fn(i64, i64) -> i64) -> Outputs {
    let first = call.input(0)?;
    let mut dims = first.dims.clone();
    for index in 1..call.inputs.len() {
        let both = broadcast(&dims, &call.input(index)?.dims);
        dims = both.ok_or_else(|| call.misfit("they do not go together"))?;
    }
    call.output(dims.clone(), || {
        let mut inputs = call.inputs.iter().map(|input| spread((*input)?, &dims));
        let mut found = inputs.next()??;
        for other in inputs {
            match (&mut found, other?) {
                (Data::F32(found), Data::F32(other)) => {
                    let pairs = found.iter_mut().zip(other);
                    pairs.for_each(|(found, other)| *found = floats(*found, other));
                }
                (Data::I64(found), Data::I64(other)) => {
                    let pairs = found.iter_mut().zip(other);
                    pairs.for_each(|(found, other)| *found = integers(*found, other));
                }
                _ => return None,
            }
        }
        Some(found)
    })
}

fn clip(call: &Call) -> Outputs {
    let input = call.input(0)?;
    call.output(input.dims.clone(), || match input.data.as_deref()? {
        Data::F32(numbers) => {
            let bound = |index: usize, name: &str| match call.optional(index) {
                Some(value) => value.floats()?.first().copied().map(Some),
                None => Some(call.attributes.float(name)),
            };
            let (low, high) = (bound(1, "min")?, bound(2, "max")?);
            let held = |x: &f32| {
                let x = low.map_or(*x, |low| x.max(low));
                high.map_or(x, |high| x.min(high))
            };
            Some(Data::F32(numbers.iter().map(held).collect()))
        }
        Data::I64(numbers) => {
            let bound = |index: usize| match call.optional(index) {
                Some(value) => value.integers()?.first().copied().map(Some),
                None => Some(None),
            };
            let (low, high) = (bound(1)?, bound(2)?);
            let held = |n: &i64| {
                let n = low.map_or(*n, |low| low.max(*n));
                high.map_or(n, |high| high.min(n))
            };
            Some(Data::I64(numbers.iter().map(held).collect()))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{computed, floats, integers};
    use super::*;
    use crate::onnx::testing::node;

    fn found(op: &str, inputs: &[Value]) -> Value {
        computed(&node(op, &["a", "b", "c"], &["y"]), inputs)
            .unwrap()
            .remove(0)
    }

    #[test]
    fn numbers_are_compared_in_pairs() {
        let (a, b) = (floats(&[3], &[1.0, 2.0, f32::NAN]), floats(&[], &[2.0]));
        for (op, wanted) in [
            ("Equal", [0, 1, 0]),
            ("Greater", [0, 0, 0]),
            ("GreaterOrEqual", [0, 1, 0]),
            ("Less", [1, 0, 0]),
            ("LessOrEqual", [1, 1, 0]),
        ] {
            assert_eq!(found(op, &[a.clone(), b.clone()]), integers(&[3], &wanted));
        }
        let (a, b) = (integers(&[4], &[0, 0, 1, 1]), integers(&[4], &[0, 1, 0, 1]));
        for (op, wanted) in [
            ("And", [0, 0, 0, 1]),
            ("Or", [0, 1, 1, 1]),
            ("Xor", [0, 1, 1, 0]),
        ] {
            assert_eq!(found(op, &[a.clone(), b.clone()]), integers(&[4], &wanted));
        }
        assert_eq!(found("Not", &[a]), integers(&[4], &[1, 1, 0, 0]));
    }

    #[test]
    fn remainders_have_the_sign_of_the_divisor() {
        let inputs = [
            integers(&[4], &[7, -7, 7, -7]),
            integers(&[4], &[3, 3, -3, -3]),
        ];
        assert_eq!(found("Mod", &inputs), integers(&[4], &[1, 2, -2, -1]));
        let by_none = [integers(&[], &[7]), integers(&[], &[0])];
        assert_eq!(found("Mod", &by_none).data, None);
    }

    #[test]
    fn numbers_are_held_within_limits() {
        let x = integers(&[3], &[-5, 3, 700]);
        let limits = [x.clone(), integers(&[], &[0]), integers(&[], &[300])];
        assert_eq!(found("Clip", &limits), integers(&[3], &[0, 3, 300]));
        assert_eq!(
            found("Min", &[x.clone(), integers(&[1], &[300])]),
            integers(&[3], &[-5, 3, 300])
        );
        assert_eq!(
            found("Max", &[x, integers(&[1], &[0])]),
            integers(&[3], &[0, 3, 700])
        );
        let floats_only = [floats(&[2], &[-1.0, 9.0]), floats(&[], &[0.5])];
        assert_eq!(found("Clip", &floats_only), floats(&[2], &[0.5, 9.0]));
    }
}
