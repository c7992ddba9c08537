//! Takes out what no output needs any more.

use super::names::{self, takes};
use std::collections::HashSet;
use tract_onnx::pb::GraphProto;

/// Removes nodes, constants and notes that lead to no output.
pub fn run(graph: &mut GraphProto) {
    let needed = needed(graph);
    graph
        .node
        .retain(|node| node.output.iter().any(|name| needed.contains(name)));
    graph
        .initializer
        .retain(|tensor| needed.contains(&tensor.name));
    graph
        .value_info
        .retain(|value| needed.contains(&value.name));
    // Constants may be listed as inputs; the picture stays.
    let constants: HashSet<&String> = graph
        .initializer
        .iter()
        .map(|tensor| &tensor.name)
        .collect();
    let makers: HashSet<&String> = graph.node.iter().flat_map(|node| &node.input).collect();
    graph
        .input
        .retain(|input| constants.contains(&input.name) || makers.contains(&input.name));
    let is_needed = |note: &tract_onnx::pb::TensorAnnotation| {
        note.tensor_name
            .as_ref()
            .is_none_or(|name| needed.contains(name))
    };
    graph.quantization_annotation.retain(is_needed);
}

/// Names of the tensors that the outputs come from, with all that graphs inside nodes take from outside.
fn needed(graph: &GraphProto) -> HashSet<String> {
    let makers = names::makers(graph);
    let mut needed = HashSet::new();
    let mut open: Vec<String> = graph
        .output
        .iter()
        .map(|output| output.name.clone())
        .collect();
    while let Some(name) = open.pop() {
        let maker = makers.get(name.as_str());
        if needed.insert(name)
            && let Some(node) = maker
        {
            open.extend(takes(node));
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{float_tensor, model, node, value};

    #[test]
    fn what_leads_nowhere_goes() {
        let nodes = vec![
            node("Add", &["x", "c"], &["y"]),
            node("Mul", &["y", "d"], &["z"]),
            node("Relu", &["z"], &["end"]),
        ];
        let mut graph = model(
            nodes,
            &[("x", &[1]), ("c", &[1]), ("d", &[1])],
            &[("y", &[1])],
        )
        .graph
        .unwrap();
        graph.initializer = vec![
            float_tensor("c", &[1], &[0.0]),
            float_tensor("d", &[1], &[0.0]),
        ];
        graph.value_info = vec![value("y", &[1]), value("z", &[1])];
        run(&mut graph);
        let names = |list: &[tract_onnx::pb::ValueInfoProto]| {
            list.iter()
                .map(|value| value.name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(graph.node.len(), 1);
        assert_eq!(graph.initializer.len(), 1);
        assert_eq!(names(&graph.value_info), ["y"]);
        assert_eq!(names(&graph.input), ["x", "c"]);
    }
}
