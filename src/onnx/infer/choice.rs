//! Operators that pick numbers by their places: sorting, gathering and scattering.

use super::forms::axis;
use super::value::{count, strides};
use super::{Call, Data, Problem, Value};

type Outputs = Result<Vec<Value>, Problem>;

pub fn outputs(call: &Call) -> Option<Outputs> {
    Some(match call.node.op_type.as_str() {
        "NonZero" => non_zero(call),
        "TopK" => top_k(call),
        "ArgMax" => extreme_place(call, |a, b| a > b),
        "ArgMin" => extreme_place(call, |a, b| a < b),
        "GatherND" => gather_nd(call),
        "GatherElements" => gather_elements(call),
        "ScatterND" => scatter_nd(call),
        "ScatterElements" | "Scatter" => scatter_elements(call),
        _ => return None,
    })
}

/// An array as rounds over the axes before one, places along it, and numbers behind it.
struct Lanes {
    outer: usize,
    side: usize,
    inner: usize,
}

impl Lanes {
    fn new(dims: &[usize], axis: usize) -> Self {
        Self {
            outer: count(&dims[..axis]).unwrap_or(0),
            side: dims[axis],
            inner: count(&dims[axis + 1..]).unwrap_or(0),
        }
    }

    /// Each place before and behind the axis, as the index of the first number of its lane.
    fn starts(&self) -> impl Iterator<Item = usize> {
        let (step, inner) = (self.side * self.inner, self.inner);
        let empty = self.side == 0;
        (0..self.outer)
            .filter(move |_| !empty)
            .flat_map(move |outer| (0..inner).map(move |lane| outer * step + lane))
    }
}

/// The number at a place, in a form that can be compared.
fn number(data: &Data, place: usize) -> f64 {
    match data {
        Data::F32(numbers) => numbers[place].into(),
        Data::I64(numbers) => numbers[place] as f64,
    }
}

fn non_zero(call: &Call) -> Outputs {
    let input = call.input(0)?;
    let data = input.data.as_deref();
    let data = data.ok_or_else(|| call.unknown("of computed numbers"))?;
    let found: Vec<usize> = (0..data.len())
        .filter(|place| number(data, *place) != 0.0)
        .collect();
    let steps = strides(&input.dims);
    call.output(vec![input.dims.len(), found.len()], || {
        let along = steps.iter().zip(&input.dims);
        let places = along.flat_map(|(step, side)| {
            let at = |place: &usize| (*place / step.unsigned_abs() % side) as i64;
            found.iter().map(at).collect::<Vec<_>>()
        });
        Some(Data::I64(places.collect()))
    })
}

fn top_k(call: &Call) -> Outputs {
    let input = call.input(0)?;
    let axis = axis(call, call.attributes.integer("axis", -1), input.dims.len())?;
    let wanted = match call.optional(1) {
        Some(_) => call.integers(1)?.first().copied(),
        None => call.attributes.get("k").map(|k| k.i),
    };
    let wanted = wanted
        .and_then(|k| usize::try_from(k).ok())
        .filter(|k| *k <= input.dims[axis])
        .ok_or_else(|| call.misfit("there are not as many as it takes"))?;
    let mut dims = input.dims.clone();
    dims[axis] = wanted;
    let known = count(&dims).is_some_and(|n| n <= call.limit);
    let Some(data) = input.data.as_deref().filter(|_| known) else {
        return Ok(vec![Value::new(dims.clone(), None), Value::new(dims, None)]);
    };
    let lanes = Lanes::new(&input.dims, axis);
    let falling = call.attributes.integer("largest", 1) != 0;
    let (mut places, mut indices) = (vec![0; data_count(&dims)], vec![0; data_count(&dims)]);
    for (lane, start) in lanes.starts().enumerate() {
        let at = |index: &usize| number(data, start + index * lanes.inner);
        let mut order: Vec<usize> = (0..lanes.side).collect();
        // A stable sort: of equal numbers the first comes first.
        order.sort_by(|a, b| match falling {
            true => at(b).total_cmp(&at(a)),
            false => at(a).total_cmp(&at(b)),
        });
        let first = lane / lanes.inner * wanted * lanes.inner + lane % lanes.inner;
        for (rank, index) in order.into_iter().take(wanted).enumerate() {
            places[first + rank * lanes.inner] = start + index * lanes.inner;
            indices[first + rank * lanes.inner] = index as i64;
        }
    }
    let numbers = data.gathered(places.into_iter());
    Ok(vec![
        Value::new(dims.clone(), Some(numbers)),
        Value::new(dims, Some(Data::I64(indices))),
    ])
}

/// The numbers of dims that have been counted before.
fn data_count(dims: &[usize]) -> usize {
    count(dims).unwrap_or(0)
}

/// Place of the number that is before all others; the first of equal ones, or the last.
fn extreme_place(call: &Call, before: fn(f64, f64) -> bool) -> Outputs {
    let input = call.input(0)?;
    let axis = axis(call, call.attributes.integer("axis", 0), input.dims.len())?;
    let mut dims = input.dims.clone();
    match call.attributes.integer("keepdims", 1) {
        0 => drop(dims.remove(axis)),
        _ => dims[axis] = 1,
    }
    let lanes = Lanes::new(&input.dims, axis);
    let last = call.attributes.integer("select_last_index", 0) != 0;
    if lanes.side == 0 && count(&dims) != Some(0) {
        return Err(call.misfit("there is no number to find"));
    }
    call.output(dims, || {
        let data = input.data.as_deref()?;
        let best = |start: usize| {
            let at = |index: usize| number(data, start + index * lanes.inner);
            (1..lanes.side).fold(0, |best, index| {
                let equal = last && at(index) == at(best);
                if before(at(index), at(best)) || equal {
                    index
                } else {
                    best
                }
            })
        };
        Some(Data::I64(
            lanes.starts().map(|start| best(start) as i64).collect(),
        ))
    })
}

/// A place counted from either end of an axis.
fn place(index: i64, side: usize) -> Option<usize> {
    let index = if index < 0 {
        index.checked_add(side as i64)?
    } else {
        index
    };
    usize::try_from(index).ok().filter(|index| *index < side)
}

/// Where the parts begin that tuples of indices name: `dims` without the first `batch` axes, which are gone through in
/// turn, and the length of a part.
fn parts_of(
    dims: &[usize],
    batch: usize,
    indices: &Value,
    numbers: &[i64],
) -> Option<(Vec<usize>, usize)> {
    let width = *indices.dims.last()?;
    let named = dims.get(batch..batch.checked_add(width)?)?;
    let steps = strides(dims);
    let length = count(&dims[batch + width..])?;
    let rounds = count(&dims[..batch])?;
    let tuples = count(&indices.dims[..indices.dims.len() - 1])?;
    let each = tuples.checked_div(rounds).unwrap_or(0).max(1);
    let whole = count(&dims[batch..])?;
    let start = |tuple: usize| {
        let own = &numbers[tuple * width..][..width];
        let along = own.iter().zip(named).zip(&steps[batch..]);
        along
            .map(|((index, side), step)| Some(place(*index, *side)? * step.unsigned_abs()))
            .try_fold(tuple / each * whole, |sum, part| Some(sum + part?))
    };
    let starts = (0..tuples).map(start).collect::<Option<_>>()?;
    Some((starts, length))
}

fn gather_nd(call: &Call) -> Outputs {
    let (input, indices) = (call.input(0)?, call.input(1)?);
    let batch = usize::try_from(call.attributes.integer("batch_dims", 0)).unwrap_or(usize::MAX);
    let width = indices.dims.last().copied().unwrap_or(0);
    let behind = batch
        .checked_add(width)
        .and_then(|from| input.dims.get(from..))
        .filter(|_| batch < indices.dims.len() && indices.dims[..batch] == input.dims[..batch]);
    let behind = behind.ok_or_else(|| call.misfit("the indices do not fit"))?;
    let dims = [&indices.dims[..indices.dims.len() - 1], behind].concat();
    call.output(dims, || {
        let (starts, length) = parts_of(&input.dims, batch, indices, indices.integers()?)?;
        let places = starts
            .iter()
            .flat_map(|start| *start..*start + length)
            .collect::<Vec<_>>();
        Some(input.data.as_ref()?.gathered(places.into_iter()))
    })
}

/// `old` with the parts of `new` at their places, as the attribute `reduction` says; `None` where it says something else
/// than to replace or to add.
fn scattered(
    call: &Call,
    old: &Data,
    new: &Data,
    places: impl Iterator<Item = usize>,
) -> Option<Data> {
    let adds = match call.attributes.text("reduction") {
        None | Some(b"none") => false,
        Some(b"add") => true,
        Some(_) => return None,
    };
    match (old.clone(), new) {
        (Data::F32(mut numbers), Data::F32(new)) => {
            for (place, new) in places.zip(new) {
                numbers[place] = if adds { numbers[place] + new } else { *new };
            }
            Some(Data::F32(numbers))
        }
        (Data::I64(mut numbers), Data::I64(new)) => {
            for (place, new) in places.zip(new) {
                numbers[place] = if adds {
                    numbers[place].checked_add(*new)?
                } else {
                    *new
                };
            }
            Some(Data::I64(numbers))
        }
        _ => None,
    }
}

fn scatter_nd(call: &Call) -> Outputs {
    let (input, indices, updates) = (call.input(0)?, call.input(1)?, call.input(2)?);
    call.output(input.dims.clone(), || {
        let (starts, length) = parts_of(&input.dims, 0, indices, indices.integers()?)?;
        let new = updates.data.as_deref()?;
        let places = starts.iter().flat_map(|start| *start..*start + length);
        (starts.len() * length == new.len())
            .then(|| scattered(call, input.data.as_deref()?, new, places))?
    })
}

/// For each index along an axis of an array of `dims`, the place that it names.
fn element_places(dims: &[usize], axis: usize, indices: &Value) -> Option<Vec<usize>> {
    let steps = strides(dims);
    let own = strides(&indices.dims);
    let fits = indices.dims.len() == dims.len()
        && (0..dims.len()).all(|i| i == axis || indices.dims[i] <= dims[i]);
    let numbers = indices.integers().filter(|_| fits)?;
    let at = |(index, number): (usize, &i64)| {
        let named = place(*number, dims[axis])?;
        let along = (0..dims.len()).map(|i| {
            let here = index / own[i].unsigned_abs() % indices.dims[i];
            steps[i].unsigned_abs() * if i == axis { named } else { here }
        });
        Some(along.sum())
    };
    numbers.iter().enumerate().map(at).collect()
}

fn gather_elements(call: &Call) -> Outputs {
    let (input, indices) = (call.input(0)?, call.input(1)?);
    let axis = axis(call, call.attributes.integer("axis", 0), input.dims.len())?;
    call.output(indices.dims.clone(), || {
        let places = element_places(&input.dims, axis, indices)?;
        Some(input.data.as_ref()?.gathered(places.into_iter()))
    })
}

fn scatter_elements(call: &Call) -> Outputs {
    let (input, indices, updates) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let axis = axis(call, call.attributes.integer("axis", 0), input.dims.len())?;
    call.output(input.dims.clone(), || {
        let places = element_places(&input.dims, axis, indices)?;
        let new = updates
            .data
            .as_deref()
            .filter(|n| n.len() == places.len())?;
        scattered(call, input.data.as_deref()?, new, places.into_iter())
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{computed, floats, integers, with_integer};
    use super::*;
    use crate::onnx::testing::node;

    fn first(op: &str, inputs: &[Value]) -> Value {
        computed(&node(op, &["a", "b", "c"], &["y"]), inputs)
            .unwrap()
            .remove(0)
    }

    #[test]
    fn places_of_numbers_are_found() {
        let x = floats(&[2, 3], &[0.0, 2.0, -1.0, 0.0, 0.0, 5.0]);
        let found = first("NonZero", std::slice::from_ref(&x));
        assert_eq!(found, integers(&[2, 3], &[0, 0, 1, 1, 2, 2]));
        let of_none = first("NonZero", &[floats(&[1, 2], &[0.0, 0.0])]);
        assert_eq!(of_none, integers(&[2, 0], &[]));
        let unknown = computed(
            &node("NonZero", &["x"], &["y"]),
            &[Value::new(vec![3], None)],
        );
        assert!(matches!(unknown, Err(Problem::Unknown(_))));
        let most = with_integer(node("ArgMax", &["x"], &["y"]), "axis", 1);
        let most = computed(&most, std::slice::from_ref(&x)).unwrap().remove(0);
        assert_eq!(most, integers(&[2, 1], &[1, 2]));
        let equal = floats(&[3], &[4.0, 4.0, 1.0]);
        let first_of_equal = computed(
            &with_integer(node("ArgMax", &["x"], &["y"]), "keepdims", 0),
            &[equal],
        );
        assert_eq!(first_of_equal.unwrap()[0], integers(&[], &[0]));
    }

    #[test]
    fn the_highest_come_first_and_of_equal_ones_the_first() {
        let x = floats(&[2, 2, 2], &[1.0, 8.0, 3.0, 2.0, 5.0, 5.0, 5.0, 9.0]);
        let node = with_integer(node("TopK", &["x", "k"], &["v", "i"]), "axis", 1);
        let found = computed(&node, &[x, integers(&[1], &[2])]).unwrap();
        assert_eq!(
            found[0],
            floats(&[2, 2, 2], &[3.0, 8.0, 1.0, 2.0, 5.0, 9.0, 5.0, 5.0])
        );
        assert_eq!(found[1], integers(&[2, 2, 2], &[1, 0, 0, 1, 0, 1, 1, 0]));
        let beyond = computed(&node, &[floats(&[1, 1], &[0.0]), integers(&[1], &[2])]);
        assert!(matches!(beyond, Err(Problem::Misfit(_))));
    }

    #[test]
    fn tuples_name_parts() {
        let x = floats(&[2, 2, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        let rows = first("GatherND", &[x.clone(), integers(&[2, 2], &[1, 0, 0, -1])]);
        assert_eq!(rows, floats(&[2, 2], &[4.0, 5.0, 2.0, 3.0]));
        let by_batch = with_integer(node("GatherND", &["x", "i"], &["y"]), "batch_dims", 1);
        let by_batch = computed(&by_batch, &[x.clone(), integers(&[2, 1], &[1, 0])]);
        assert_eq!(by_batch.unwrap()[0], floats(&[2, 2], &[2.0, 3.0, 4.0, 5.0]));
        let outside = first("GatherND", &[x.clone(), integers(&[1, 1], &[2])]);
        assert_eq!((&outside.dims[..], outside.data), (&[1, 2, 2][..], None));
        let parts = [integers(&[1, 2], &[1, 0]), floats(&[1, 2], &[-1.0, -2.0])];
        let found = first("ScatterND", &[&[x], &parts[..]].concat());
        let wanted = [0.0, 1.0, 2.0, 3.0, -1.0, -2.0, 6.0, 7.0];
        assert_eq!(found, floats(&[2, 2, 2], &wanted));
    }

    #[test]
    fn indices_name_elements_along_an_axis() {
        let x = floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let along = |op| with_integer(node(op, &["x", "i", "u"], &["y"]), "axis", 1);
        let places = integers(&[2, 1], &[-1, 0]);
        let taken = computed(&along("GatherElements"), &[x.clone(), places.clone()]).unwrap();
        assert_eq!(taken[0], floats(&[2, 1], &[2.0, 3.0]));
        let new = floats(&[2, 1], &[8.0, 9.0]);
        let set = computed(&along("ScatterElements"), &[x, places, new]).unwrap();
        assert_eq!(set[0], floats(&[2, 2], &[1.0, 8.0, 9.0, 4.0]));
    }
}
