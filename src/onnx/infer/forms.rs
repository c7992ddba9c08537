//! Operators that only change the form of a tensor, make constants, or read shapes.

use super::value::{MAX_RANK, count, strides};
use super::{Call, Data, Problem, Value};

type Outputs = Result<Vec<Value>, Problem>;

pub fn outputs(call: &Call) -> Option<Outputs> {
    Some(match call.node.op_type.as_str() {
        "Constant" => constant(call),
        "ConstantOfShape" => filled(call),
        "Shape" => shape(call),
        "Size" => size(call),
        "Range" => range(call),
        "Reshape" => reshape(call),
        "Flatten" => flatten(call),
        "Squeeze" => squeeze(call),
        "Unsqueeze" => unsqueeze(call),
        "Transpose" => transpose(call),
        "Expand" => expand(call),
        _ => return None,
    })
}

/// An axis, which may be counted from behind.
pub fn axis(call: &Call, axis: i64, rank: usize) -> Result<usize, Problem> {
    let from_behind = if axis < 0 {
        axis.checked_add(rank as i64)
    } else {
        Some(axis)
    };
    let axis = from_behind.and_then(|axis| usize::try_from(axis).ok());
    axis.filter(|axis| *axis < rank)
        .ok_or_else(|| call.misfit("no such axis"))
}

pub fn axes(call: &Call, list: &[i64], rank: usize) -> Result<Vec<usize>, Problem> {
    // None comes twice, so there are no more than the tensor has; and a tensor has few.
    if list.len() > rank || rank > MAX_RANK {
        return Err(call.misfit("too many axes"));
    }
    list.iter().map(|n| axis(call, *n, rank)).collect()
}

/// The axes of an attribute, which later versions made an input.
fn axes_of<'a>(call: &Call<'a>, index: usize) -> Result<Option<&'a [i64]>, Problem> {
    match (call.attributes.integers("axes"), call.optional(index)) {
        (Some(axes), _) => Ok(Some(axes)),
        (None, Some(_)) => call.integers(index).map(Some),
        (None, None) => Ok(None),
    }
}

fn constant(call: &Call) -> Outputs {
    let given = call.attributes;
    let one = |data: Data| Ok(vec![Value::new(vec![], Some(data))]);
    if let Some(tensor) = given.tensor("value") {
        let value = Value::from_tensor(tensor, call.limit);
        return value
            .map(|value| vec![value])
            .ok_or_else(|| call.misfit("too large"));
    }
    if let Some(number) = given.float("value_float") {
        return one(Data::F32(vec![number]));
    }
    match (given.floats("value_floats"), given.integers("value_ints")) {
        (Some(numbers), _) => {
            call.output(vec![numbers.len()], || Some(Data::F32(numbers.to_vec())))
        }
        (_, Some(numbers)) => {
            call.output(vec![numbers.len()], || Some(Data::I64(numbers.to_vec())))
        }
        _ => match given.integer("value_int", i64::MIN) {
            i64::MIN => Err(call.unknown("of this type")),
            number => one(Data::I64(vec![number])),
        },
    }
}

pub fn sizes(call: &Call, sizes: &[i64]) -> Result<Vec<usize>, Problem> {
    let sizes = sizes.iter().map(|size| usize::try_from(*size).ok());
    sizes
        .collect::<Option<_>>()
        .ok_or_else(|| call.misfit("a negative size"))
}

fn filled(call: &Call) -> Outputs {
    let dims = sizes(call, call.integers(0)?)?;
    let value = match call.attributes.tensor("value") {
        Some(tensor) => Value::from_tensor(tensor, 1)
            .and_then(|value| value.data)
            .filter(|data| data.len() == 1),
        None => Some(Data::F32(vec![0.0]).into()),
    };
    let steps = vec![0; dims.len()];
    call.output(dims.clone(), || Some(value?.strided(0, &dims, &steps)))
}

fn shape(call: &Call) -> Outputs {
    let dims = &call.input(0)?.dims;
    let rank = dims.len() as i64;
    let place = |name, default| {
        let n: i64 = call.attributes.integer(name, default);
        (if n < 0 { n.saturating_add(rank) } else { n }).clamp(0, rank) as usize
    };
    let (start, end) = (place("start", 0), place("end", rank));
    let part = dims.get(start..end).unwrap_or_default();
    call.output(vec![part.len()], || {
        Some(Data::I64(part.iter().map(|dim| *dim as i64).collect()))
    })
}

fn size(call: &Call) -> Outputs {
    let count = count(&call.input(0)?.dims).ok_or_else(|| call.misfit("too large"))?;
    call.output(vec![], || Some(Data::I64(vec![count as i64])))
}

fn range(call: &Call) -> Outputs {
    let bound = |index| match call.input(index)?.data.as_deref() {
        Some(Data::I64(numbers)) if numbers.len() == 1 => Ok((numbers[0] as f64, true)),
        Some(Data::F32(numbers)) if numbers.len() == 1 => Ok((f64::from(numbers[0]), false)),
        _ => Err(call.unknown("of computed bounds")),
    };
    let ((start, whole), (end, _), (step, _)) = (bound(0)?, bound(1)?, bound(2)?);
    let count = ((end - start) / step).ceil();
    if !(0.0..1e9).contains(&count) {
        return Err(call.misfit("bounds"));
    }
    let number = move |i: usize| start + i as f64 * step;
    let indices = 0..count as usize;
    call.output(vec![indices.len()], || {
        Some(match whole {
            true => Data::I64(indices.map(|i| number(i) as i64).collect()),
            false => Data::F32(indices.map(|i| number(i) as f32).collect()),
        })
    })
}

/// The same numbers in the same order.
fn same_numbers(call: &Call, input: &Value, dims: Vec<usize>) -> Outputs {
    if count(&dims).is_none() || count(&dims) != count(&input.dims) {
        return Err(call.misfit(&format!("not as many numbers as {dims:?} has")));
    }
    Ok(vec![Value {
        dims,
        data: input.data.clone(),
    }])
}

fn reshape(call: &Call) -> Outputs {
    let input = call.input(0)?;
    let target = call.integers(1)?;
    let keeps_zero = call.attributes.integer("allowzero", 0) != 0;
    let mut dims = Vec::with_capacity(target.len());
    let mut open = None;
    for (axis, size) in target.iter().enumerate() {
        dims.push(match size {
            0 if !keeps_zero => *input
                .dims
                .get(axis)
                .ok_or_else(|| call.misfit("no dim to keep"))?,
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            size => usize::try_from(*size).map_err(|_| call.misfit("a negative size"))?,
        });
    }
    if let Some(axis) = open {
        let rest = count(&dims)
            .filter(|n| *n > 0)
            .ok_or_else(|| call.misfit("no numbers"))?;
        dims[axis] = count(&input.dims).unwrap_or(0) / rest;
    }
    same_numbers(call, input, dims)
}

fn flatten(call: &Call) -> Outputs {
    let input = call.input(0)?;
    let rank = input.dims.len();
    let split = match call.attributes.integer("axis", 1) {
        end if end == rank as i64 => rank,
        other => axis(call, other, rank)?,
    };
    let sides = [&input.dims[..split], &input.dims[split..]].map(count);
    match sides {
        [Some(a), Some(b)] => same_numbers(call, input, vec![a, b]),
        _ => Err(call.misfit("too large")),
    }
}

fn squeeze(call: &Call) -> Outputs {
    let input = call.input(0)?;
    let gone = match axes_of(call, 1)? {
        Some(list) => axes(call, list, input.dims.len())?,
        None => (0..input.dims.len())
            .filter(|i| input.dims[*i] == 1)
            .collect(),
    };
    let kept = input
        .dims
        .iter()
        .enumerate()
        .filter(|(i, _)| !gone.contains(i));
    same_numbers(call, input, kept.map(|(_, dim)| *dim).collect())
}

fn unsqueeze(call: &Call) -> Outputs {
    let input = call.input(0)?;
    let list = axes_of(call, 1)?.ok_or_else(|| call.misfit("no axes"))?;
    let rank = input.dims.len() + list.len();
    let new = axes(call, list, rank)?;
    let mut old = input.dims.iter();
    let dims = (0..rank).map(|i| {
        if new.contains(&i) {
            Some(1)
        } else {
            old.next().copied()
        }
    });
    let dims = dims
        .collect::<Option<_>>()
        .ok_or_else(|| call.misfit("an axis twice"))?;
    same_numbers(call, input, dims)
}

fn transpose(call: &Call) -> Outputs {
    let input = call.input(0)?;
    let rank = input.dims.len();
    let order = match call.attributes.integers("perm") {
        Some(order) => axes(call, order, rank)?,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        return Err(call.misfit("perm is no order of the axes"));
    }
    let from = strides(&input.dims);
    let steps: Vec<isize> = order.iter().map(|axis| from[*axis]).collect();
    let dims: Vec<usize> = order.iter().map(|axis| input.dims[*axis]).collect();
    call.output(dims.clone(), || {
        Some(input.data.as_ref()?.strided(0, &dims, &steps))
    })
}

fn expand(call: &Call) -> Outputs {
    let input = call.input(0)?;
    let target = sizes(call, call.integers(1)?)?;
    let dims = super::arithmetic::broadcast(&input.dims, &target);
    let dims = dims.ok_or_else(|| call.misfit("it cannot be expanded so"))?;
    call.output(dims.clone(), || super::arithmetic::spread(input, &dims))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{computed, dims_of, floats, integers, refused, with};
    use super::*;
    use crate::onnx::testing::{float_tensor, node};
    use tract_onnx::pb::AttributeProto;

    #[test]
    fn a_target_may_keep_a_dim_and_leave_one_open() {
        let reshape = node("Reshape", &["x", "t"], &["y"]);
        let dims = |target: &[i64]| {
            let target = integers(&[target.len()], target);
            computed(&reshape, &[Value::new(vec![2, 3, 4], None), target])
                .map(|v| v[0].dims.clone())
        };
        assert_eq!(dims(&[0, -1]), Ok(vec![2, 12]));
        assert_eq!(dims(&[6, 4]), Ok(vec![6, 4]));
        assert!(matches!(dims(&[5, -1]), Err(Problem::Misfit(_))));
        assert!(matches!(dims(&[-1, -1]), Err(Problem::Misfit(_))));
        assert!(matches!(dims(&[0, 0, 0, 0]), Err(Problem::Misfit(_))));
    }

    #[test]
    fn a_value_without_numbers_fills_nothing() {
        let mut filled = node("ConstantOfShape", &["dims"], &["y"]);
        filled.attribute.push(AttributeProto {
            name: "value".into(),
            t: Some(float_tensor("", &[0], &[])),
            ..Default::default()
        });
        let found = computed(&filled, &[integers(&[1], &[3])]).unwrap();
        assert_eq!(found, [Value::new(vec![3], None)]);
    }

    #[test]
    fn a_turned_tensor_has_its_numbers_turned() {
        let x = floats(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let turned = computed(&node("Transpose", &["x"], &["y"]), &[x]).unwrap();
        assert_eq!(turned[0], floats(&[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
    }

    #[test]
    fn axes_come_and_go() {
        let unsqueeze = with(node("Unsqueeze", &["x"], &["y"]), &[("axes", &[0, -1])]);
        assert_eq!(dims_of(&unsqueeze, &[&[4, 5]]), [1, 4, 5, 1]);
        assert_eq!(
            dims_of(&node("Squeeze", &["x"], &["y"]), &[&[1, 4, 1]]),
            [4]
        );
        assert!(matches!(
            refused(&unsqueeze, &[&[usize::MAX, 5]]),
            Problem::Misfit(_)
        ));
        let many: Vec<i64> = (0..100).collect();
        let many = with(node("Unsqueeze", &["x"], &["y"]), &[("axes", &many)]);
        assert!(matches!(refused(&many, &[&[4]]), Problem::Misfit(_)));
        let range = node("Range", &["a", "b", "c"], &["y"]);
        let one = |n| integers(&[], &[n]);
        let counted = computed(&range, &[one(0), one(5), one(2)]).unwrap();
        assert_eq!(counted[0], integers(&[3], &[0, 2, 4]));
        assert!(computed(&range, &[one(0), one(5), one(0)]).is_err());
    }
}
