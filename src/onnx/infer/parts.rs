//! Operators that join tensors or take parts of one.

use super::forms::{axes, axis, sizes};
use super::value::{count, strides};
use super::{Call, Data, Problem, Value};

type Outputs = Result<Vec<Value>, Problem>;

pub fn outputs(call: &Call) -> Option<Outputs> {
    Some(match call.node.op_type.as_str() {
        "Concat" => concat(call),
        "Split" => split(call),
        "Slice" => slice(call),
        "Gather" => gather(call),
        "Pad" => pad(call),
        "Tile" => tile(call),
        _ => return None,
    })
}

fn concat(call: &Call) -> Outputs {
    let parts: Vec<&Value> = (0..call.inputs.len())
        .map(|i| call.input(i))
        .collect::<Result<_, _>>()?;
    let first = call.input(0)?;
    let axis = axis(call, call.attributes.integer("axis", 1), first.dims.len())?;
    let alike = |part: &&Value| {
        part.dims.len() == first.dims.len()
            && (0..first.dims.len()).all(|i| i == axis || part.dims[i] == first.dims[i])
    };
    if !parts.iter().all(alike) {
        return Err(call.misfit("they differ in another axis"));
    }
    let mut dims = first.dims.clone();
    let sum = parts
        .iter()
        .try_fold(0_usize, |sum, part| sum.checked_add(part.dims[axis]));
    dims[axis] = sum.ok_or_else(|| call.misfit("too large"))?;
    let rounds = rounds(&dims, axis);
    call.output(dims.clone(), || joined(&parts, rounds))
}

/// A piece of each part in turn, as often as there are rounds.
/// How often the axes from `axis` on are gone through; never where there is nothing to be found.
fn rounds(dims: &[usize], axis: usize) -> usize {
    match count(dims) {
        None | Some(0) => 0,
        Some(_) => count(&dims[..axis]).unwrap_or(0),
    }
}

fn joined(parts: &[&Value], rounds: usize) -> Option<Data> {
    fn join<T: Copy>(parts: &[&[T]], rounds: usize) -> Vec<T> {
        let pieces = (0..rounds).flat_map(|round| {
            parts.iter().map(move |part| {
                let length = part.len() / rounds;
                &part[round * length..][..length]
            })
        });
        pieces.flatten().copied().collect()
    }
    let floats: Option<Vec<&[f32]>> = parts.iter().map(|part| part.floats()).collect();
    let integers = || {
        parts
            .iter()
            .map(|part| part.integers())
            .collect::<Option<Vec<_>>>()
    };
    match floats {
        Some(floats) => Some(Data::F32(join(&floats, rounds))),
        None => Some(Data::I64(join(&integers()?, rounds))),
    }
}

/// `length` places along an axis from `start` on, `step` apart.
fn part(
    call: &Call,
    input: &Value,
    axis: usize,
    (start, length, step): (usize, usize, i64),
) -> Result<Value, Problem> {
    let mut steps = strides(&input.dims);
    let offset = steps[axis].wrapping_mul(start as isize); // as in `strides`
    steps[axis] = steps[axis].wrapping_mul(step as isize); // a step beyond the axis is never taken
    let mut dims = input.dims.clone();
    dims[axis] = length;
    let outputs = call.output(dims.clone(), || {
        Some(input.data.as_ref()?.strided(offset, &dims, &steps))
    })?;
    outputs
        .into_iter()
        .next()
        .ok_or_else(|| call.misfit("nothing"))
}

fn split(call: &Call) -> Outputs {
    let input = call.input(0)?;
    let axis = axis(call, call.attributes.integer("axis", 0), input.dims.len())?;
    let whole = input.dims[axis];
    let lengths = match (call.attributes.integers("split"), call.optional(1)) {
        (Some(lengths), _) => sizes(call, lengths)?,
        (None, Some(_)) => sizes(call, call.integers(1)?)?,
        (None, None) => {
            let parts = call.node.output.len().max(1);
            let length = whole.div_ceil(parts);
            (0..parts)
                .map(|i| length.min(whole.saturating_sub(i * length)))
                .collect()
        }
    };
    let sum = lengths
        .iter()
        .try_fold(0_usize, |sum, n| sum.checked_add(*n));
    if sum != Some(whole) {
        return Err(call.misfit(&format!("parts of {lengths:?} are not the whole")));
    }
    let mut start = 0;
    lengths
        .into_iter()
        .map(|length| {
            start += length;
            part(call, input, axis, (start - length, length, 1))
        })
        .collect()
}

fn slice(call: &Call) -> Outputs {
    let mut value = call.input(0)?.clone();
    let list = |name, index| match call.attributes.integers(name) {
        Some(list) => Ok(list),
        None => call.integers(index),
    };
    let (starts, ends) = (list("starts", 1)?, list("ends", 2)?);
    let rank = value.dims.len();
    let along = match (call.attributes.integers("axes"), call.optional(3)) {
        (Some(list), _) => axes(call, list, rank)?,
        (None, Some(_)) => axes(call, call.integers(3)?, rank)?,
        (None, None) => (0..starts.len().min(rank)).collect(),
    };
    let ones = vec![1; starts.len()];
    let steps = if call.optional(4).is_some() {
        call.integers(4)?
    } else {
        &ones
    };
    if [ends.len(), along.len(), steps.len()] != [starts.len(); 3] {
        return Err(call.misfit("starts, ends, axes and steps differ in number"));
    }
    for (i, axis) in along.into_iter().enumerate() {
        let range = range_of(starts[i], ends[i], steps[i], value.dims[axis]);
        let range = range.ok_or_else(|| call.misfit("a step of 0"))?;
        value = part(call, &value, axis, range)?;
    }
    Ok(vec![value])
}

/// Start, length and step of a slice of `side` places.
fn range_of(start: i64, end: i64, step: i64, side: usize) -> Option<(usize, usize, i64)> {
    let side = i64::try_from(side).ok()?;
    let place = |n: i64| if n < 0 { n.saturating_add(side) } else { n };
    let (start, end) = match step {
        1.. => (place(start).clamp(0, side), place(end).clamp(0, side)),
        0 => return None,
        _ => (
            place(start).clamp(-1, side - 1),
            place(end).clamp(-1, side - 1),
        ),
    };
    let length = match step {
        1.. => (end - start)
            .max(0)
            .unsigned_abs()
            .div_ceil(step.unsigned_abs()),
        _ => (start - end)
            .max(0)
            .unsigned_abs()
            .div_ceil(step.unsigned_abs()),
    };
    Some((start.max(0) as usize, length as usize, step))
}

fn gather(call: &Call) -> Outputs {
    let input = call.input(0)?;
    let indices = call.input(1)?;
    let axis = axis(call, call.attributes.integer("axis", 0), input.dims.len())?;
    let (before, after) = (&input.dims[..axis], &input.dims[axis + 1..]);
    let dims = [before, &indices.dims, after].concat();
    let rounds = rounds(&dims, before.len());
    let (side, inner) = (input.dims[axis], count(after).unwrap_or(0));
    let data = || {
        let places = indices.integers()?.iter().map(|index| {
            let index = if *index < 0 {
                index.checked_add(side as i64)?
            } else {
                *index
            };
            usize::try_from(index).ok().filter(|index| *index < side)
        });
        let places: Vec<usize> = places.collect::<Option<_>>()?;
        let places = &places;
        let all = (0..rounds).flat_map(|outer| {
            let place = move |index: &usize| (outer * side + index) * inner;
            places
                .iter()
                .map(place)
                .flat_map(|start| start..start + inner)
        });
        Some(input.data.as_ref()?.gathered(all))
    };
    call.output(dims, data)
}

/// Numbers added before and behind each axis.
fn pads(call: &Call, rank: usize) -> Result<Vec<(i64, i64)>, Problem> {
    let stated = match call.attributes.integers("pads") {
        Some(pads) => pads,
        None => call.integers(1)?,
    };
    let along = match call.optional(3) {
        Some(_) => axes(call, call.integers(3)?, rank)?,
        None => (0..rank).collect(),
    };
    if stated.len() != 2 * along.len() {
        return Err(call.misfit("pads"));
    }
    let (before, behind) = stated.split_at(along.len());
    let mut pads = vec![(0, 0); rank];
    for ((axis, before), behind) in along.into_iter().zip(before).zip(behind) {
        pads[axis] = (*before, *behind);
    }
    Ok(pads)
}

/// The number that is put around an array; `None` where it is computed from that.
fn padding(call: &Call) -> Option<Data> {
    if call
        .attributes
        .text("mode")
        .is_some_and(|m| m != b"constant")
    {
        return None;
    }
    match (call.optional(2), call.attributes.float("value")) {
        (Some(value), _) => value.data.as_deref().filter(|d| d.len() == 1).cloned(),
        (None, Some(value)) => Some(Data::F32(vec![value])),
        (None, None) => match call.input(0).ok()?.data.as_deref()? {
            Data::F32(_) => Some(Data::F32(vec![0.0])),
            Data::I64(_) => Some(Data::I64(vec![0])),
        },
    }
}

fn pad(call: &Call) -> Outputs {
    let input = call.input(0)?;
    let pads = pads(call, input.dims.len())?;
    let padded = input.dims.iter().zip(&pads).map(|(dim, (before, behind))| {
        let more = before.checked_add(*behind)?;
        usize::try_from(i64::try_from(*dim).ok()?.checked_add(more)?).ok()
    });
    let dims: Vec<usize> = padded
        .collect::<Option<_>>()
        .ok_or_else(|| call.misfit("pads"))?;
    let around = strides(&dims);
    call.output(dims.clone(), || {
        let fill = padding(call)?;
        let own = strides(&input.dims);
        let place = |index: usize| {
            let along = (0..dims.len()).map(|axis| {
                let here = index / around[axis].unsigned_abs() % dims[axis];
                let inside = usize::try_from(here as i64 - pads[axis].0).ok()?;
                (inside < input.dims[axis]).then(|| inside * own[axis].unsigned_abs())
            });
            along.sum::<Option<usize>>()
        };
        let places = (0..count(&dims)?).map(place);
        match (input.data.as_deref()?, fill) {
            (Data::F32(numbers), Data::F32(fill)) => {
                let all = places.map(|place| place.map_or(fill[0], |place| numbers[place]));
                Some(Data::F32(all.collect()))
            }
            (Data::I64(numbers), Data::I64(fill)) => {
                let all = places.map(|place| place.map_or(fill[0], |place| numbers[place]));
                Some(Data::I64(all.collect()))
            }
            _ => None,
        }
    })
}

fn tile(call: &Call) -> Outputs {
    let input = call.input(0)?;
    let repeats = sizes(call, call.integers(1)?)?;
    if repeats.len() != input.dims.len() {
        return Err(call.misfit("repeats"));
    }
    let dims = input.dims.iter().zip(&repeats);
    let dims: Vec<usize> = dims
        .map(|(dim, times)| dim.checked_mul(*times))
        .collect::<Option<_>>()
        .ok_or_else(|| call.misfit("too large"))?;
    let (around, own) = (strides(&dims), strides(&input.dims));
    call.output(dims.clone(), || {
        let place = |index: usize| {
            let along = (0..dims.len()).map(|axis| {
                let here = index / around[axis].unsigned_abs() % dims[axis];
                here % input.dims[axis] * own[axis].unsigned_abs()
            });
            along.sum()
        };
        Some(input.data.as_ref()?.gathered((0..count(&dims)?).map(place)))
    })
}
#[cfg(test)]
mod tests {
    use super::super::testing::{computed, floats, integers, with, with_integer};
    use super::*;
    use crate::onnx::testing::node;
    use std::time::{Duration, Instant};

    #[test]
    fn numbers_follow_their_places() {
        let x = floats(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let first = |node, inputs: &[Value]| computed(&node, inputs).unwrap().remove(0);
        let slice = node("Slice", &["x", "s", "e", "a", "p"], &["y"]);
        let one = |n| integers(&[1], &[n]);
        let every_second = [x.clone(), one(0), one(i64::MAX), one(-1), one(2)];
        assert_eq!(
            first(slice.clone(), &every_second),
            floats(&[2, 2], &[0.0, 2.0, 3.0, 5.0])
        );
        let backwards = [x.clone(), one(-1), one(i64::MIN), one(1), one(-1)];
        let wanted = floats(&[2, 3], &[2.0, 1.0, 0.0, 5.0, 4.0, 3.0]);
        assert_eq!(first(slice, &backwards), wanted);
        let gather = with_integer(node("Gather", &["x", "i"], &["y"]), "axis", 1);
        let ends = integers(&[2], &[-1, 0]);
        assert_eq!(
            first(gather, &[x.clone(), ends]),
            floats(&[2, 2], &[2.0, 0.0, 5.0, 3.0])
        );
        let concat = with_integer(node("Concat", &["x", "x"], &["y"]), "axis", 1);
        let twice = first(concat, &[x.clone(), x.clone()]);
        assert_eq!(twice.dims, [2, 6]);
        assert_eq!(
            twice.floats().unwrap()[..7],
            [0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 3.0]
        );
        let split = with(node("Split", &["x"], &["a", "b"]), &[("split", &[1, 2])]);
        let parts = computed(&with_integer(split, "axis", 1), &[x]).unwrap();
        assert_eq!(parts[1], floats(&[2, 2], &[1.0, 2.0, 4.0, 5.0]));
    }

    /// Empty tensors cost nothing, however many rounds they would take, and their strides are beyond all numbers.
    #[test]
    fn empty_tensors_may_have_long_axes() {
        const LONG: usize = (1 << 26) - 1;
        let empty = Value::new(vec![LONG, 0], Some(Data::F32(Vec::new())));
        let started = Instant::now();
        for _ in 0..10_000 {
            let gather = with_integer(node("Gather", &["x", "i"], &["y"]), "axis", 1);
            let none = integers(&[0], &[]);
            assert_eq!(computed(&gather, &[empty.clone(), none]).unwrap()[0], empty);
            let concat = with_integer(node("Concat", &["x", "x"], &["y"]), "axis", 1);
            let twice = computed(&concat, &[empty.clone(), empty.clone()]).unwrap();
            assert_eq!(twice[0], empty);
        }
        // Milliseconds, however busy the machine is; with all rounds of a long axis it would be half an hour.
        assert!(started.elapsed() < Duration::from_secs(60));
        let split = with(node("Split", &["x"], &["a", "b"]), &[("split", &[1, 1])]);
        let split = with_integer(split, "axis", 1);
        let long = Value::new(vec![0, 2, LONG, LONG, LONG], None);
        let parts = computed(&split, &[long]).unwrap();
        assert_eq!(parts[1].dims, [0, 1, LONG, LONG, LONG]);
        let last = with(
            node("Split", &["x"], &["a", "b"]),
            &[("split", &[LONG as i64 - 1, 1])],
        );
        let long = Value::new(vec![0, LONG, LONG, LONG, LONG], None);
        let parts = computed(&with_integer(last, "axis", 1), &[long]).unwrap();
        assert_eq!(parts[1].dims, [0, 1, LONG, LONG, LONG]);
    }

    #[test]
    fn arrays_are_padded_and_repeated() {
        let x = floats(&[1, 2], &[1.0, 2.0]);
        let pad = node("Pad", &["x", "p", "v", "a"], &["y"]);
        let padded = |pads: &[i64], more: &[Value]| {
            let inputs = [x.clone(), integers(&[pads.len()], pads)];
            computed(&pad, &[&inputs, more].concat()).map(|mut v| v.remove(0))
        };
        let wanted = floats(&[2, 3], &[1.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(padded(&[0, 0, 1, 1], &[]), Ok(wanted));
        let behind = [floats(&[], &[9.0]), integers(&[1], &[-1])];
        assert_eq!(
            padded(&[1, 0], &behind),
            Ok(floats(&[1, 3], &[9.0, 1.0, 2.0]))
        );
        assert_eq!(padded(&[0, -1, 0, 0], &[]), Ok(floats(&[1, 1], &[2.0])));
        assert!(matches!(padded(&[0, 0, 1], &[]), Err(Problem::Misfit(_))));
        let tile = node("Tile", &["x", "r"], &["y"]);
        let tiled = computed(&tile, &[x, integers(&[2], &[2, 2])]).unwrap();
        assert_eq!(
            tiled[0],
            floats(&[2, 4], &[1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0])
        );
    }

    #[test]
    fn an_axis_is_cut_once() {
        let slice = node("Slice", &["x", "s", "e", "a"], &["y"]);
        let cut = |axes: &[i64]| {
            let list = |n| integers(&[axes.len()], &vec![n; axes.len()]);
            let inputs = [list(0), list(1), integers(&[axes.len()], axes)];
            let x = floats(&[2, 2], &[0.0; 4]);
            computed(&slice, &[&[x], &inputs[..]].concat())
        };
        assert_eq!(cut(&[0, 1]).unwrap()[0].dims, [1, 1]);
        assert!(matches!(cut(&[0; 3]), Err(Problem::Misfit(_))));
    }

    #[test]
    fn absurd_steps_do_not_overflow() {
        let x = floats(&[3], &[0.0, 1.0, 2.0]);
        let slice = node("Slice", &["x", "s", "e", "a", "p"], &["y"]);
        let one = |n| integers(&[1], &[n]);
        for (step, wanted) in [(i64::MAX, 0.0), (i64::MIN, 2.0)] {
            let (start, end) = if step > 0 {
                (0, i64::MAX)
            } else {
                (i64::MAX, i64::MIN)
            };
            let inputs = [x.clone(), one(start), one(end), one(0), one(step)];
            assert_eq!(
                computed(&slice, &inputs).unwrap()[0],
                floats(&[1], &[wanted])
            );
        }
    }
}
