//! Gives nodes names of their own where two would share one.
//!
//! In ONNX the name of a node is a note, may be missing, and need not be unique. tract wants unique names, takes the
//! name of the first output where there is none, and names inputs and constants in the same way.

use std::collections::HashSet;
use tract_onnx::pb::GraphProto;

/// Changes `graph` and says what was done, if anything was to do.
pub fn run(graph: &mut GraphProto) -> Option<String> {
    let inputs = graph.input.iter().map(|input| &input.name);
    let constants = graph.initializer.iter().map(|tensor| &tensor.name);
    let mut taken: HashSet<String> = inputs.chain(constants).cloned().collect();
    let mut changed = 0_usize;
    for node in &mut graph.node {
        let first = node.output.first().map_or("", String::as_str);
        let name = if node.name.is_empty() {
            first
        } else {
            &node.name
        };
        if taken.insert(name.to_owned()) {
            continue;
        }
        changed += 1;
        node.name = format!("{first}/{}", node.op_type);
        let mut count = changed;
        while !taken.insert(node.name.clone()) {
            node.name = format!("{first}/{}_{count}", node.op_type);
            count += 1;
        }
    }
    (changed > 0).then(|| format!("gave {changed} nodes names of their own"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{model, node};
    use tract_onnx::pb::NodeProto;

    fn named(name: &str, output: &str) -> NodeProto {
        NodeProto {
            name: name.into(),
            ..node("Relu", &["x"], &[output])
        }
    }

    #[test]
    fn only_names_that_are_taken_are_changed() {
        let nodes = vec![
            named("y", "a"),
            named("", "y"),
            named("x", "b"),
            named("alone", "c"),
        ];
        let mut graph = model(nodes, &[("x", &[1])], &[("y", &[1])]).graph.unwrap();
        assert!(run(&mut graph).unwrap().contains("2 nodes"));
        let names: Vec<_> = graph.node.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["y", "y/Relu", "b/Relu", "alone"]);
        assert_eq!(run(&mut graph), None, "a second run finds nothing");
    }
}
