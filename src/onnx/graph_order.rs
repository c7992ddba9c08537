//! Which values of a graph others are made from.

use std::collections::{HashMap, HashSet};
use tract_onnx::pb::{GraphProto, NodeProto};

/// Returns whether `value` is made from `source`, or is it.
pub fn is_made_from(graph: &GraphProto, value: &str, source: &str) -> bool {
    let nodes = graph.node.iter();
    let makers: HashMap<&str, &NodeProto> = nodes
        .flat_map(|node| node.output.iter().map(move |name| (name.as_str(), node)))
        .collect();
    let (mut seen, mut open) = (HashSet::new(), vec![value]);
    while let Some(name) = open.pop() {
        if name == source {
            return true;
        }
        if seen.insert(name)
            && let Some(node) = makers.get(name)
        {
            open.extend(node.input.iter().map(String::as_str));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{model, node};

    #[test]
    fn values_are_followed_back() {
        let nodes = vec![
            node("Relu", &["x"], &["a"]),
            node("Add", &["a", "a"], &["b"]),
            node("Neg", &["x"], &["c"]),
        ];
        let graph = model(nodes, &[("x", &[1])], &[("b", &[1])]).graph.unwrap();
        assert!(is_made_from(&graph, "b", "a") && is_made_from(&graph, "b", "x"));
        assert!(!is_made_from(&graph, "a", "b") && !is_made_from(&graph, "b", "c"));
    }
}
