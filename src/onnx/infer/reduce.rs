//! Operators that make one number of several, along some axes.

use super::forms::axes;
use super::value::{count, strides};
use super::{Call, Data, Problem, Value};

type Outputs = Result<Vec<Value>, Problem>;

pub fn outputs(call: &Call) -> Option<Outputs> {
    Some(match call.node.op_type.as_str() {
        "ReduceMax" => reduced(call, Some(Rule::new(f32::max, |a, b| Some(a.max(b))))),
        "ReduceMin" => reduced(call, Some(Rule::new(f32::min, |a, b| Some(a.min(b))))),
        "ReduceSum" => reduced(call, Some(Rule::new(|a, b| a + b, i64::checked_add))),
        "ReduceProd" => reduced(call, Some(Rule::new(|a, b| a * b, i64::checked_mul))),
        "ReduceMean" | "ReduceL1" | "ReduceL2" | "ReduceSumSquare" | "ReduceLogSumExp" => {
            reduced(call, None)
        }
        _ => return None,
    })
}

/// How two numbers become one.
struct Rule {
    floats: fn(f32, f32) -> f32,
    /// `None` where there is no such number.
    integers: fn(i64, i64) -> Option<i64>,
}

impl Rule {
    fn new(floats: fn(f32, f32) -> f32, integers: fn(i64, i64) -> Option<i64>) -> Self {
        Self { floats, integers }
    }
}

/// The reduced dims; the numbers too if there is a `rule`, and at least one for each that comes out.
fn reduced(call: &Call, rule: Option<Rule>) -> Outputs {
    let input = call.input(0)?;
    let dims = &input.dims;
    let stated = match call.attributes.integers("axes") {
        Some(axes) => Some(axes),
        None if call.optional(1).is_some() => Some(call.integers(1)?),
        None => None,
    };
    let gone = match stated {
        Some(stated) if !stated.is_empty() => axes(call, stated, dims.len())?,
        _ if call.attributes.integer("noop_with_empty_axes", 0) != 0 => vec![],
        _ => (0..dims.len()).collect(),
    };
    let keep = call.attributes.integer("keepdims", 1) != 0;
    let kept = |(axis, dim): (usize, &usize)| match (gone.contains(&axis), keep) {
        (true, true) => Some(1),
        (true, false) => None,
        (false, _) => Some(*dim),
    };
    let result: Vec<usize> = dims.iter().enumerate().filter_map(kept).collect();
    call.output(result.clone(), || {
        let rule = rule?;
        let data = input.data.as_deref()?;
        if count(&result) == Some(0) {
            return Some(data.gathered(std::iter::empty()));
        }
        numbers(data, dims, &gone, &rule)
    })
}

/// The numbers of an array of `dims` with the axes `gone` reduced; `None` where there is none to begin with.
fn numbers(data: &Data, dims: &[usize], gone: &[usize], rule: &Rule) -> Option<Data> {
    let part = |is_gone: bool| {
        let axes = (0..dims.len()).filter(|axis| gone.contains(axis) == is_gone);
        let steps = strides(dims);
        let (sides, steps): (Vec<usize>, Vec<isize>) =
            axes.map(|axis| (dims[axis], steps[axis])).unzip();
        // The places of an array are its own numbers.
        let places = Data::I64((0..data.len() as i64).collect());
        match places.strided(0, &sides, &steps) {
            Data::I64(places) if count(&sides) > Some(0) => Some(places),
            _ => None,
        }
    };
    let (along, starts) = (part(true)?, part(false)?);
    let places = |start: &i64| {
        let start = *start;
        along.iter().map(move |step| (start + step) as usize)
    };
    match data {
        Data::F32(numbers) => {
            let one = |start| places(start).map(|i| numbers[i]).reduce(rule.floats);
            starts.iter().map(one).collect::<Option<_>>().map(Data::F32)
        }
        Data::I64(numbers) => {
            let one = |start| {
                let mut own = places(start).map(|i| numbers[i]);
                let first = own.next()?;
                own.try_fold(first, rule.integers)
            };
            starts.iter().map(one).collect::<Option<_>>().map(Data::I64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{computed, dims_of, floats, integers, with};
    use crate::onnx::testing::node;

    #[test]
    fn numbers_along_axes_become_one() {
        let x = floats(&[2, 2, 2], &[1.0, 8.0, 3.0, 2.0, 5.0, 4.0, 7.0, 6.0]);
        let most = with(node("ReduceMax", &["x"], &["y"]), &[("axes", &[-1])]);
        let most = computed(&most, std::slice::from_ref(&x)).unwrap().remove(0);
        assert_eq!(most, floats(&[2, 2, 1], &[8.0, 3.0, 5.0, 7.0]));
        let least = node("ReduceMin", &["x", "a"], &["y"]);
        let least = computed(&least, &[x.clone(), integers(&[2], &[0, 2])]);
        assert_eq!(least.unwrap()[0], floats(&[1, 2, 1], &[1.0, 2.0]));
        let all = computed(&node("ReduceSum", &["x"], &["y"]), &[x]).unwrap();
        assert_eq!(all[0], floats(&[1, 1, 1], &[36.0]));
        let product = computed(
            &node("ReduceProd", &["x"], &["y"]),
            &[integers(&[3], &[2, 3, 4])],
        );
        assert_eq!(product.unwrap()[0], integers(&[1], &[24]));
        let mean = with(node("ReduceMean", &["x"], &["y"]), &[("axes", &[-1, 2])]);
        assert_eq!(dims_of(&mean, &[&[1, 4, 5, 6]]), [1, 4, 1, 1]);
    }

    #[test]
    fn of_no_numbers_there_is_no_highest() {
        let none = floats(&[0, 2], &[]);
        let most = with(node("ReduceMax", &["x"], &["y"]), &[("axes", &[0])]);
        let found = computed(&most, std::slice::from_ref(&none)).unwrap();
        assert_eq!(
            (&found[0].dims[..], found[0].data.is_some()),
            (&[1, 2][..], false)
        );
    }
}
