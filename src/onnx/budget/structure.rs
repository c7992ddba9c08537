//! Numbers of nodes and loops, permutations, and divisions of constants.

use super::name_of;
use crate::onnx::infer::Attributes;
use crate::onnx::parse;
use std::collections::HashMap;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// Most nodes of a model, those of graphs in nodes included. The largest detectors have some thousands; tract takes ten
/// seconds for sixty thousand.
const MAX_NODES: usize = 20_000;
/// Most graphs in one another.
const MAX_DEPTH: usize = 8;
/// Most passes of a loop.
const MAX_TRIPS: i64 = 10_000;
/// Most nodes that an inference runs, where those in a loop count for each of its passes.
const MAX_RUNS: u64 = 10_000_000;

/// Operators that make their output from nothing but numbers in the file, or from chance: no detector has them.
const FOREIGN: [&str; 10] = [
    "MelWeightMatrix",
    "HannWindow",
    "HammingWindow",
    "BlackmanWindow",
    "DFT",
    "STFT",
    "RandomNormal",
    "RandomUniform",
    "Multinomial",
    "ImageDecoder",
];

pub fn check(graph: &GraphProto) -> Result<(), String> {
    check_nested(graph, 0, 1, &mut Counts::default())
}

/// Nodes of a model.
#[derive(Default)]
struct Counts {
    nodes: usize,
    /// Nodes that an inference runs.
    runs: u64,
}

/// Checks a graph that runs so many times in an inference.
fn check_nested(
    graph: &GraphProto,
    depth: usize,
    passes: u64,
    counts: &mut Counts,
) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!(
            "graphs lie in one another more than {MAX_DEPTH} deep"
        ));
    }
    counts.nodes = counts.nodes.saturating_add(graph.node.len());
    if counts.nodes > MAX_NODES {
        let nodes = counts.nodes;
        return Err(format!(
            "the graph has {nodes} nodes or more, expected at most {MAX_NODES}"
        ));
    }
    let runs = passes.saturating_mul(graph.node.len() as u64);
    counts.runs = counts.runs.saturating_add(runs);
    if counts.runs > MAX_RUNS {
        let runs = counts.runs;
        return Err(format!(
            "loops in one another run {runs} nodes or more, expected at most {MAX_RUNS}"
        ));
    }
    let constants = Constants::new(graph);
    for node in &graph.node {
        let inner_passes = passes.saturating_mul(check_node(node, &constants)?);
        for attribute in &node.attribute {
            for inner in attribute.g.iter().chain(&attribute.graphs) {
                check_nested(inner, depth.saturating_add(1), inner_passes, counts)?;
            }
        }
    }
    Ok(())
}

/// Returns how often a graph inside the node runs for each run of the node.
fn check_node(node: &NodeProto, constants: &Constants) -> Result<u64, String> {
    match node.op_type.as_str() {
        "Loop" => check_loop(node, constants),
        "Transpose" => check_permutation(node).map(|()| 1),
        "Div" | "Mod" => check_division(node, constants).map(|()| 1),
        op if FOREIGN.contains(&op) => Err(format!(
            "{} makes a tensor of any size, and no detector needs it",
            name_of(node)
        )),
        _ => Ok(1),
    }
}

/// Integers among the constants of one graph, by name.
struct Constants<'a>(HashMap<&'a str, &'a TensorProto>);

impl<'a> Constants<'a> {
    fn new(graph: &'a GraphProto) -> Self {
        let initializers = graph.initializer.iter().map(|t| (t.name.as_str(), t));
        let nodes = graph.node.iter().filter(|node| node.op_type == "Constant");
        let nodes = nodes.filter_map(|node| {
            let tensor = Attributes::new(node).tensor("value")?;
            Some((node.output.first()?.as_str(), tensor))
        });
        Self(initializers.chain(nodes).collect())
    }

    /// Returns the integers of a constant of type int64 or int32.
    fn integers(&self, name: Option<&String>) -> Option<Vec<i64>> {
        let tensor = self.0.get(name?.as_str())?;
        const INT32: i32 = tract_onnx::pb::tensor_proto::DataType::Int32 as i32;
        if tensor.data_type == INT32 {
            let raw = tensor.raw_data.as_chunks::<4>().0;
            let raw = raw.iter().map(|&bytes| i32::from_le_bytes(bytes).into());
            return Some(
                raw.chain(tensor.int32_data.iter().map(|&n| n.into()))
                    .collect(),
            );
        }
        parse::integers(tensor)
    }
}

/// Refuses a loop whose number of passes the file does not bound, and returns that number.
fn check_loop(node: &NodeProto, constants: &Constants) -> Result<u64, String> {
    let trips = constants.integers(node.input.first());
    match trips.as_deref() {
        Some(&[trips]) if trips <= MAX_TRIPS => Ok(u64::try_from(trips).unwrap_or_default()),
        Some(&[trips]) => Err(format!(
            "{} has {trips} passes, expected at most {MAX_TRIPS}",
            name_of(node)
        )),
        _ => Err(format!(
            "{} has no constant number of passes, expected at most {MAX_TRIPS}",
            name_of(node)
        )),
    }
}

fn check_permutation(node: &NodeProto) -> Result<(), String> {
    let Some(order) = Attributes::new(node).integers("perm") else {
        return Ok(());
    };
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    if sorted.iter().enumerate().all(|(i, axis)| *axis == i as i64) {
        return Ok(());
    }
    let shown = &order[..order.len().min(8)];
    Err(format!(
        "{} has the order of axes {shown:?}, expected each axis once",
        name_of(node)
    ))
}

/// Refuses a division of integers by a constant 0, and of the smallest integer by a constant -1: processors trap.
fn check_division(node: &NodeProto, constants: &Constants) -> Result<(), String> {
    let Some(divisor) = constants.integers(node.input.get(1)) else {
        return Ok(());
    };
    if divisor.contains(&0) {
        return Err(format!("{} divides integers by 0", name_of(node)));
    }
    let smallest = |n: &i64| *n == i64::MIN || *n == i64::from(i32::MIN);
    let dividend = constants.integers(node.input.first());
    // a dividend that the graph computes may be the smallest integer too, but no detector negates by a division
    if divisor.contains(&-1) && dividend.is_none_or(|numbers| numbers.iter().any(smallest)) {
        return Err(format!(
            "{} divides integers by -1, and the smallest one has no opposite",
            name_of(node)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{int64_tensor, node, with};
    use tract_onnx::pb::AttributeProto;

    fn graph(nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> GraphProto {
        GraphProto {
            node: nodes,
            initializer: constants,
            ..Default::default()
        }
    }

    fn refusal(node: NodeProto, constants: Vec<TensorProto>) -> Option<String> {
        check(&graph(vec![node], constants)).err()
    }

    #[test]
    fn a_transpose_must_have_each_axis_once() {
        let order = |order| with(node("Transpose", &["x"], &["y"]), &[("perm", order)]);
        assert_eq!(refusal(order(&[0, 2, 1, 3]), vec![]), None);
        for wrong in [&[0, 1, 2, 2][..], &[0, 1, 4, 2], &[-1, 0, 1, 2]] {
            let refused = refusal(order(wrong), vec![]).expect("refused");
            assert!(refused.contains("expected each axis once"), "{refused}");
        }
        assert_eq!(refusal(node("Transpose", &["x"], &["y"]), vec![]), None);
    }

    #[test]
    fn a_loop_must_have_a_bound() {
        let trips = |n| vec![int64_tensor("n", &[n])];
        let looped = || node("Loop", &["n", "on"], &["y"]);
        assert_eq!(refusal(looped(), trips(100)), None);
        assert!(refusal(looped(), trips(1 << 62)).is_some());
        assert!(refusal(looped(), vec![]).is_some());
        assert!(refusal(node("Loop", &["", "on"], &["y"]), vec![]).is_some());
    }

    #[test]
    fn passes_of_loops_in_one_another_multiply() {
        let looped = |inner: GraphProto| {
            let mut node = node("Loop", &["n", "on"], &["y"]);
            node.attribute.push(AttributeProto {
                g: Some(inner),
                ..Default::default()
            });
            graph(vec![node], vec![int64_tensor("n", &[1_000])])
        };
        let body = graph(vec![node("Relu", &["x"], &["y"])], vec![]);
        assert_eq!(check(&looped(looped(body.clone()))), Ok(()));
        let refused = check(&looped(looped(looped(body)))).expect_err("refused");
        assert!(refused.contains("loops in one another"), "{refused}");
    }

    #[test]
    fn divisions_that_trap_are_refused() {
        let divide = || node("Div", &["a", "b"], &["y"]);
        let of = |a: i64, b: i64| vec![int64_tensor("a", &[a]), int64_tensor("b", &[b])];
        assert_eq!(refusal(divide(), of(7, 2)), None);
        assert_eq!(refusal(divide(), of(7, -1)), None);
        assert!(refusal(divide(), of(i64::MIN, -1)).is_some());
        assert!(refusal(divide(), of(7, 0)).is_some());
        assert!(refusal(divide(), vec![int64_tensor("b", &[-1])]).is_some());
        let floats = crate::onnx::testing::float_tensor("b", &[1], &[0.0]);
        assert_eq!(refusal(divide(), vec![floats]), None);
    }

    #[test]
    fn nodes_and_depth_are_counted_through_graphs_in_nodes() {
        let many = |n: usize| graph(vec![node("Relu", &["x"], &["y"]); n], vec![]);
        assert!(check(&many(MAX_NODES)).is_ok());
        let inside = |inner: GraphProto| {
            let mut branch = node("If", &["x"], &["y"]);
            branch.attribute.push(AttributeProto {
                g: Some(inner),
                ..Default::default()
            });
            graph(vec![branch], vec![])
        };
        assert!(check(&inside(many(MAX_NODES))).is_err());
        let deep = |n: usize| (0..n).fold(many(1), |inner, _| inside(inner));
        assert!(check(&deep(MAX_DEPTH)).is_ok());
        assert!(check(&deep(MAX_DEPTH + 1)).is_err());
    }

    #[test]
    fn operators_without_a_bound_are_refused_by_name() {
        let refused = refusal(node("MelWeightMatrix", &["a"], &["y"]), vec![]);
        assert!(refused.is_some_and(|r| r.starts_with("MelWeightMatrix of node")));
    }
}
