//! Makes a graph that was exported for pictures of one size take another.
//!
//! Most of a detector works at any size: convolutions slide over any map. What an exporter fixes are targets of
//! reshapes, sizes of resized maps and ends of slices; these are adapted. The dims of every tensor are computed at both
//! sizes on the way. Anything else that is meant for the old size (a grid, a position embedding) no longer fits, and is
//! reported as the reason.

use super::{constants, fix_shape, prune};
use crate::base::geometry::Size;
use crate::base::tensor::InputSpec;
use crate::onnx::infer::{Inference, Problem, SHAPES_BUDGET, SHAPES_ONLY, Value};
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, TensorShapeProto, type_proto};

/// Changes `graph`, which takes pictures of size `from`, to take `to`. Returns a sentence about it.
///
/// # Errors
/// The reason, in words; `graph` must not be used afterwards.
pub fn run(
    graph: &mut GraphProto,
    opset: i64,
    from: &InputSpec,
    to: &InputSpec,
) -> Result<String, String> {
    let mut follower = Follower::new(graph, opset, from, to);
    let mut added = Vec::new();
    for node in &mut graph.node {
        added.extend(follower.step(node)?);
    }
    let count = added.len();
    graph.initializer.extend(added);
    follower.check_outputs(graph)?;
    for output in &mut graph.output {
        let dims = follower
            .new
            .get(&output.name)
            .map(|value| value.dims.clone());
        let tensor = output.r#type.as_mut().and_then(|kind| kind.value.as_mut());
        if let (Some(dims), Some(type_proto::Value::TensorType(tensor))) = (dims, tensor) {
            tensor.shape = Some(shape(&dims));
        }
    }
    graph.value_info.clear();
    fix_shape::run(graph, to);
    prune::run(graph); // the constants that were replaced
    let (from, to) = (from.size, to.size);
    Ok(format!(
        "changed the input from {from} to {to}, with {count} shapes that follow from it"
    ))
}

/// Known properties of the tensors at both sizes.
struct Follower {
    old: Inference,
    new: Inference,
    from: Size,
    to: Size,
}

impl Follower {
    fn new(graph: &GraphProto, opset: i64, from: &InputSpec, to: &InputSpec) -> Self {
        let at = |input: &InputSpec| Inference::of_shapes(graph, opset, input, SHAPES_BUDGET);
        Self {
            old: at(from),
            new: at(to),
            from: from.size,
            to: to.size,
        }
    }

    /// Adds the outputs of a node, after replacing one of its inputs by a new constant if necessary.
    fn step(&mut self, node: &mut NodeProto) -> Result<Option<TensorProto>, String> {
        let Some(result) = node.output.first().cloned() else {
            return Ok(None);
        };
        let old = outcome(node, self.old.outputs(node))?;
        let mut added = None;
        if let Some((index, numbers)) = self.replacement(node, &old)? {
            let constant = constants::int64_tensor(format!("{result}_{index}_followed"), &numbers);
            node.input[index].clone_from(&constant.name);
            if let Some(value) = Value::from_tensor(&constant, SHAPES_ONLY) {
                self.new.set(&constant.name, value);
            }
            added = Some(constant);
        }
        self.old.record(node, old);
        let new = outcome(node, self.new.outputs(node))?;
        self.new.record(node, new);
        Ok(added)
    }

    /// Returns the input of a node that must be replaced, and its new value. `outputs` are those at the old size.
    fn replacement(
        &self,
        node: &NodeProto,
        outputs: &[Value],
    ) -> Result<Option<(usize, Vec<i64>)>, String> {
        let Some((old, new)) = self.both(node, 0) else {
            return Ok(None);
        };
        // Shapes that the graph computes follow by themselves.
        let stated = |index: usize| {
            let (old, new) = self.both(node, index)?;
            (old.integers() == new.integers())
                .then(|| old.integers())
                .flatten()
        };
        if old.dims == new.dims {
            return Ok(None);
        }
        match node.op_type.as_str() {
            "Reshape" => match stated(1) {
                Some(target) => self.reshape(node, (old, new), target, outputs),
                None => Ok(None),
            },
            "Resize" => match stated(3).filter(|sizes| !sizes.is_empty()) {
                Some(sizes) => scaled(old, new, sizes).map(|sizes| Some((3, sizes))),
                None => Ok(None),
            },
            "Slice" => self.slice(node, old, new),
            "Gather" => gather(node, old, new),
            _ => Ok(None),
        }
    }

    fn both(&self, node: &NodeProto, index: usize) -> Option<(&Value, &Value)> {
        let name = node.input.get(index)?;
        Some((self.old.get(name)?, self.new.get(name)?))
    }

    fn reshape(
        &self,
        node: &NodeProto,
        (old, new): (&Value, &Value),
        target: &[i64],
        outputs: &[Value],
    ) -> Result<Option<(usize, Vec<i64>)>, String> {
        let reached = outputs.first().map_or(&[][..], |value| &value.dims);
        let Some(wanted) = self.followed(&old.dims, &new.dims, reached) else {
            // A dim that the exporter left open adapts by itself.
            return match target.contains(&-1) {
                true => Ok(None),
                false => Err(format!(
                    "what {reached:?} of {:?} is to become of {:?} is not clear (Reshape)",
                    old.dims, new.dims
                )),
            };
        };
        let by_itself = self.new.outputs(node).and_then(Result::ok);
        if by_itself
            .is_some_and(|outputs| outputs.first().is_some_and(|value| value.dims == wanted))
        {
            return Ok(None);
        }
        Ok(Some((1, wanted.iter().map(|dim| *dim as i64).collect())))
    }

    /// Returns `reached`, the dims that `old` has become, once `old` becomes `new`: groups of dims that correspond
    /// change together.
    fn followed(&self, old: &[usize], new: &[usize], reached: &[usize]) -> Option<Vec<usize>> {
        let mut followed = Vec::with_capacity(reached.len());
        let (mut i, mut j) = (0, 0);
        while i < old.len() || j < reached.len() {
            let (from_i, from_j) = (i, j);
            i = old.len().min(i + 1);
            j = reached.len().min(j + 1);
            loop {
                let product =
                    |dims: &[usize]| dims.iter().fold(1_usize, |n, dim| n.saturating_mul(*dim));
                match product(&old[from_i..i]).cmp(&product(&reached[from_j..j])) {
                    std::cmp::Ordering::Less if i < old.len() => i += 1,
                    std::cmp::Ordering::Greater if j < reached.len() => j += 1,
                    std::cmp::Ordering::Equal => break,
                    _ => return None,
                }
            }
            let (block, after) = (&old[from_i..i], &new[from_i..i]);
            let into = &reached[from_j..j];
            followed.extend(if block == after {
                into.to_vec()
            } else {
                self.block(after.iter().fold(1, |n, dim| n.saturating_mul(*dim)), into)?
            });
        }
        Some(followed)
    }

    /// Returns `into` with the product `product`: one dim, or rows and columns.
    fn block(&self, product: usize, into: &[usize]) -> Option<Vec<usize>> {
        let mut dims = into.to_vec();
        let mut open = dims.iter_mut().filter(|dim| **dim > 1);
        let scale = |dim: usize, from: u32, to: u32| {
            let scaled = dim.checked_mul(to as usize)?;
            scaled
                .is_multiple_of(from as usize)
                .then_some(scaled / from as usize)
        };
        match (open.next(), open.next(), open.next()) {
            (Some(only), None, _) => *only = product,
            (Some(rows), Some(columns), None) => {
                *rows = scale(*rows, self.from.height, self.to.height)?;
                *columns = scale(*columns, self.from.width, self.to.width)?;
            }
            _ => return None,
        }
        (crate::onnx::infer::count(&dims) == Some(product)).then_some(dims)
    }

    /// Checks that slices of changed axes begin at the start and go to the end.
    fn slice(
        &self,
        node: &NodeProto,
        old: &Value,
        new: &Value,
    ) -> Result<Option<(usize, Vec<i64>)>, String> {
        let list = |index: usize| self.both(node, index).and_then(|(_, new)| new.integers());
        let part = || {
            format!(
                "it takes a part of {:?}, which would be {:?} (Slice)",
                old.dims, new.dims
            )
        };
        let (Some(starts), Some(ends)) = (list(1), list(2)) else {
            return Err(part());
        };
        let all: Vec<i64> = (0..starts.len() as i64).collect();
        let axes = list(3).unwrap_or(&all);
        let mut followed = ends.to_vec();
        for (i, end) in followed.iter_mut().enumerate() {
            let rank = old.dims.len() as i64;
            let axis = axes
                .get(i)
                .map(|axis| if *axis < 0 { *axis + rank } else { *axis });
            let axis = axis
                .and_then(|axis| usize::try_from(axis).ok())
                .ok_or_else(part)?;
            let (Some(before), Some(after)) = (old.dims.get(axis), new.dims.get(axis)) else {
                return Err(part());
            };
            if before == after {
                continue;
            }
            let step = list(4)
                .map_or(Some(1), |steps| steps.get(i).copied())
                .unwrap_or(1);
            let start = starts.get(i).copied().unwrap_or(0);
            if step < 1 || !(0..step).contains(&start) || *end < *before as i64 {
                return Err(part());
            }
            *end = i64::MAX;
        }
        Ok((followed != ends).then_some((2, followed)))
    }

    /// Checks that the outputs change about as the area does; otherwise they are no cells of the picture. (Only about,
    /// because a grid may have cells that reach over the border; decoders count them.)
    fn check_outputs(&self, graph: &GraphProto) -> Result<(), String> {
        let area = |size: Size| u128::from(size.width) * u128::from(size.height);
        let numbers = |value: &Value| {
            value
                .dims
                .iter()
                .fold(1_u128, |n, dim| n.saturating_mul(*dim as u128))
        };
        for output in &graph.output {
            let (Some(old), Some(new)) = (self.old.get(&output.name), self.new.get(&output.name))
            else {
                return Err(format!("the dims of output {} are not known", output.name));
            };
            let wanted = numbers(old).saturating_mul(area(self.to));
            let found = numbers(new).saturating_mul(area(self.from));
            if wanted.abs_diff(found) > wanted / 20 {
                return Err(format!(
                    "output {} of {:?} would be {:?}, which is not in proportion",
                    output.name, old.dims, new.dims
                ));
            }
        }
        Ok(())
    }
}

fn outcome(
    node: &NodeProto,
    outputs: Option<Result<Vec<Value>, Problem>>,
) -> Result<Vec<Value>, String> {
    match outputs {
        Some(Ok(outputs)) => Ok(outputs),
        Some(Err(problem)) => Err(problem.to_string()),
        None => Err(format!("an input of {} is not known", node.op_type)),
    }
}

/// Scales sizes by the proportion that they have to the dims of `old`.
fn scaled(old: &Value, new: &Value, sizes: &[i64]) -> Result<Vec<i64>, String> {
    let scale = |((size, old), new): ((&i64, &usize), &usize)| {
        let scaled = size.checked_mul(i64::try_from(*new).ok()?)?;
        let old = i64::try_from(*old).ok().filter(|old| *old > 0)?;
        (scaled % old == 0).then_some(scaled / old)
    };
    let all: Option<Vec<i64>> = sizes
        .iter()
        .zip(&old.dims)
        .zip(&new.dims)
        .map(scale)
        .collect();
    all.ok_or_else(|| {
        format!(
            "{:?} cannot be scaled as {:?} to {sizes:?} (Resize)",
            new.dims, old.dims
        )
    })
}

/// Refuses indices along a changed axis, because they belong to the old one.
fn gather(node: &NodeProto, old: &Value, new: &Value) -> Result<Option<(usize, Vec<i64>)>, String> {
    let axis = node
        .attribute
        .iter()
        .find(|attribute| attribute.name == "axis")
        .map_or(0, |a| a.i);
    let axis = if axis < 0 {
        axis + old.dims.len() as i64
    } else {
        axis
    };
    let side = |value: &Value| {
        usize::try_from(axis)
            .ok()
            .and_then(|axis| value.dims.get(axis).copied())
    };
    match side(old) == side(new) {
        true => Ok(None),
        false => Err(format!(
            "it picks places of {:?}, which would be {:?} (Gather)",
            old.dims, new.dims
        )),
    }
}

fn shape(dims: &[usize]) -> TensorShapeProto {
    let dim = dims.iter().map(|dim| Dimension {
        value: Some(dimension::Value::DimValue(*dim as i64)),
        ..Default::default()
    });
    TensorShapeProto { dim: dim.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::infer::Data;
    use crate::onnx::testing::{float_tensor, input_spec, int64_tensor, model, node, value, with};

    /// Changes from 64 x 32, the size of `input_spec`, to 96 x 64.
    fn run_on(graph: &mut GraphProto) -> Result<String, String> {
        let to = InputSpec {
            size: Size::new(96, 64),
            ..input_spec()
        };
        run(graph, 13, &input_spec(), &to)
    }

    fn graph(nodes: Vec<NodeProto>, constants: Vec<TensorProto>, output: &[i64]) -> GraphProto {
        let mut graph = model(nodes, &[("x", &[1, 3, 32, 64])], &[("y", output)])
            .graph
            .unwrap();
        graph.initializer = constants;
        graph
    }

    /// Returns the numbers of the constant that a node uses.
    fn taken(graph: &GraphProto, output: &str, index: usize) -> Vec<i64> {
        let node = graph
            .node
            .iter()
            .find(|node| node.output[0] == output)
            .unwrap();
        let tensor = graph
            .initializer
            .iter()
            .find(|tensor| tensor.name == node.input[index])
            .unwrap();
        match Value::from_tensor(tensor, 99).unwrap().data.as_deref() {
            Some(Data::I64(numbers)) => numbers.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_node_that_makes_nothing_is_passed_over() {
        let nodes = vec![
            node("Reshape", &["x", "flat"], &[]),
            node("Relu", &["x"], &["y"]),
        ];
        let constants = vec![int64_tensor("flat", &[1, 3, 2048])];
        let mut graph = graph(nodes, constants, &[1, 3, 32, 64]);
        assert!(run_on(&mut graph).is_ok());
    }

    #[test]
    fn targets_of_reshapes_follow() {
        let nodes = vec![
            node("Reshape", &["x", "flat"], &["f"]),
            node("Reshape", &["f", "back"], &["b"]),
            node("Reshape", &["b", "open"], &["y"]),
        ];
        let constants = vec![
            int64_tensor("flat", &[1, 3, 2048]),
            int64_tensor("back", &[0, 3, 32, 64]),
            int64_tensor("open", &[1, -1, 1, 3]),
        ];
        let mut graph = graph(nodes, constants, &[1, 2048, 1, 3]);
        graph.value_info = vec![value("f", &[1, 3, 2048])];
        let said = run_on(&mut graph).unwrap();
        assert!(
            said.contains("64x32 to 96x64") && said.contains("2 shapes"),
            "{said}"
        );
        assert_eq!(taken(&graph, "f", 1), [1, 3, 6144]);
        assert_eq!(taken(&graph, "b", 1), [1, 3, 64, 96]);
        assert_eq!(taken(&graph, "y", 1), [1, -1, 1, 3], "left as it was");
        assert_eq!(graph.input[0], value("x", &[1, 3, 64, 96]));
        assert_eq!(graph.output[0], value("y", &[1, 6144, 1, 3]));
        assert!(graph.value_info.is_empty());
        assert!(
            graph.initializer.iter().all(|tensor| tensor.name != "flat"),
            "replaced"
        );
    }

    #[test]
    fn a_target_that_is_not_clear_is_refused() {
        let nodes = vec![node("Reshape", &["x", "mixed"], &["y"])];
        let mut graph = graph(
            nodes,
            vec![int64_tensor("mixed", &[6, 32, 8, 4])],
            &[6, 32, 8, 4],
        );
        let why = run_on(&mut graph).unwrap_err();
        assert!(
            why.contains("not clear") && why.contains("[6, 32, 8, 4]"),
            "{why}"
        );
    }

    #[test]
    fn resized_maps_and_slices_follow() {
        let nodes = vec![
            node("Resize", &["x", "", "", "sizes"], &["r"]),
            node("Slice", &["r", "start", "end", "axis", "step"], &["y"]),
        ];
        let constants = vec![
            int64_tensor("sizes", &[1, 3, 64, 128]),
            int64_tensor("start", &[1]),
            int64_tensor("end", &[128]),
            int64_tensor("axis", &[-1]),
            int64_tensor("step", &[2]),
        ];
        let mut graph = graph(nodes, constants, &[1, 3, 64, 64]);
        run_on(&mut graph).unwrap();
        assert_eq!(taken(&graph, "r", 3), [1, 3, 128, 192]);
        assert_eq!(taken(&graph, "y", 2), [i64::MAX]);
        assert_eq!(graph.output[0], value("y", &[1, 3, 128, 96]));
    }

    #[test]
    fn a_part_of_the_picture_is_refused() {
        let nodes = vec![node("Slice", &["x", "start", "end", "axis"], &["y"])];
        let constants =
            [("start", 0), ("end", 32), ("axis", 3)].map(|(name, n)| int64_tensor(name, &[n]));
        let mut graph = graph(nodes, constants.to_vec(), &[1, 3, 32, 32]);
        let why = run_on(&mut graph).unwrap_err();
        assert!(why.contains("a part of"), "{why}");
        let nodes = vec![with(
            node("Gather", &["x", "start"], &["y"]),
            &[("axis", &[-1])],
        )];
        let mut graph = self::graph(nodes, vec![int64_tensor("start", &[0])], &[1, 3, 32, 1]);
        assert!(run_on(&mut graph).unwrap_err().contains("picks places"));
    }

    #[test]
    fn a_grid_of_the_old_size_is_refused() {
        let nodes = vec![node("Add", &["x", "grid"], &["y"])];
        let grid = float_tensor("grid", &[1, 1, 32, 64], &[0.0; 2048]);
        let mut graph = graph(nodes, vec![grid], &[1, 3, 32, 64]);
        let why = run_on(&mut graph).unwrap_err();
        assert!(
            why.contains("Add") && why.contains("[1, 1, 32, 64]"),
            "{why}"
        );
    }

    #[test]
    fn what_is_not_followed_is_refused() {
        let mut odd = graph(vec![node("TopK", &["x"], &["y"])], vec![], &[1]);
        assert!(run_on(&mut odd).unwrap_err().contains("TopK"));
        let mut pooled = graph(
            vec![node("GlobalAveragePool", &["x"], &["y"])],
            vec![],
            &[1, 3, 1, 1],
        );
        assert!(
            run_on(&mut pooled)
                .unwrap_err()
                .contains("not in proportion")
        );
    }
}
