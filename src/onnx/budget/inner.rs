//! Graphs inside nodes: what they know when they begin, how often they run, and what they leave.

use crate::onnx::infer::{Attributes, Inference, Value};
use tract_onnx::pb::{GraphProto, NodeProto};

/// Has `weigh` look at each graph inside a node, with what is known inside of it and how often it runs for each run of the
/// node. Returns what is known of the node's outputs: `None` if the node has no graph, or leaves an output unknown.
pub fn outputs(
    node: &NodeProto,
    shapes: &mut Inference,
    mut weigh: impl FnMut(&GraphProto, &mut Inference, u64) -> Result<(), String>,
) -> Result<Option<Vec<Value>>, String> {
    let attributes = node.attribute.iter();
    let graphs = attributes.flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs));
    let mut known = None;
    for graph in graphs {
        let (given, times) = given(node, graph, shapes);
        let left = shapes.inside(|shapes| {
            shapes.constants(graph);
            for (name, value) in given {
                shapes.set(name, value);
            }
            weigh(graph, shapes, times)?;
            let left = graph
                .output
                .iter()
                .map(|output| shapes.get(&output.name).cloned());
            Ok::<_, String>(left.collect::<Vec<_>>())
        })?;
        let left = behind(node, left, times);
        known = larger(known, left);
    }
    Ok(known)
}

/// Returns what the inputs of a graph inside a node are, as far as it is known, and how often the graph runs.
fn given<'a>(
    node: &NodeProto,
    graph: &'a GraphProto,
    shapes: &Inference,
) -> (Vec<(&'a str, Value)>, u64) {
    let value = |index: usize| node.input.get(index).and_then(|name| shapes.get(name));
    let bare = |value: &Value| Value::new(value.dims.clone(), None);
    let names = graph.input.iter().map(|input| input.name.as_str());
    match node.op_type.as_str() {
        "Loop" => {
            let trips = value(0).and_then(Value::integers);
            let trips = trips.and_then(|trips| u64::try_from(*trips.first()?).ok());
            // The number of the pass, whether to go on, and what is carried.
            let known = |index: usize| match index {
                0 | 1 => Some(Value::new(Vec::new(), None)),
                carried => value(carried).map(bare),
            };
            let named = names.enumerate();
            let given = named.filter_map(|(index, name)| Some((name, known(index)?)));
            (given.collect(), trips.unwrap_or(1))
        }
        "Scan" => {
            let states = states_of_scan(node);
            let times = value(states).and_then(|first| first.dims.first().copied());
            let known = |index: usize| {
                let whole = value(index)?;
                match index < states {
                    true => Some(bare(whole)),
                    false => Some(Value::new(whole.dims.get(1..)?.to_vec(), None)),
                }
            };
            let named = names.enumerate();
            let given = named.filter_map(|(index, name)| Some((name, known(index)?)));
            (given.collect(), times.map_or(1, |n| n as u64))
        }
        _ => (Vec::new(), 1),
    }
}

/// Returns how many inputs of a Scan are carried from pass to pass; the others are taken apart.
fn states_of_scan(node: &NodeProto) -> usize {
    let scanned = Attributes::new(node).integer("num_scan_inputs", 0);
    let scanned = usize::try_from(scanned).unwrap_or(0);
    node.input.len().saturating_sub(scanned)
}

/// Returns the outputs of a node from those of its graph; `None` if one is unknown.
fn behind(node: &NodeProto, left: Vec<Option<Value>>, times: u64) -> Option<Vec<Value>> {
    let stack = |value: Value| {
        let times = usize::try_from(times).unwrap_or(usize::MAX);
        Value::new([&[times], &value.dims[..]].concat(), None)
    };
    let (skipped, carried) = match node.op_type.as_str() {
        // Whether to go on is no output of the node. Behind what is carried come results of all passes.
        "Loop" => (1, node.input.len().saturating_sub(2)),
        "Scan" => (0, states_of_scan(node)),
        "If" => (0, usize::MAX),
        _ => return None,
    };
    let outputs = left.into_iter().skip(skipped).enumerate();
    let outputs = outputs.map(|(index, value)| {
        let value = Value::new(value?.dims, None);
        Some(if index < carried { value } else { stack(value) })
    });
    outputs.collect()
}

/// Returns the larger of what two branches leave.
fn larger(a: Option<Vec<Value>>, b: Option<Vec<Value>>) -> Option<Vec<Value>> {
    let numbers = |values: &Vec<Value>| {
        let counts = values.iter().map(|v| crate::onnx::infer::count(&v.dims));
        counts
            .map(|n| n.unwrap_or(usize::MAX))
            .fold(0, usize::saturating_add)
    };
    match (a, b) {
        (Some(a), Some(b)) => Some(if numbers(&a) >= numbers(&b) { a } else { b }),
        (a, b) => a.or(b),
    }
}
