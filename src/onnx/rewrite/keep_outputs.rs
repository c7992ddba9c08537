//! Leaves out the outputs that nobody reads, with what leads to them alone.

use super::prune;
use tract_onnx::pb::GraphProto;

/// Changes `graph` to have only the outputs of these names, and says what was left out, if anything was.
pub fn run(graph: &mut GraphProto, names: &[String]) -> Option<String> {
    let (kept, left): (Vec<_>, Vec<_>) = std::mem::take(&mut graph.output)
        .into_iter()
        .partition(|output| names.contains(&output.name));
    graph.output = kept;
    let left: Vec<&str> = left.iter().map(|output| output.name.as_str()).collect();
    let said = (!left.is_empty()).then(|| format!("left out the outputs {}", left.join(", ")))?;
    prune::run(graph);
    Some(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{model, node};

    #[test]
    fn what_only_led_to_them_goes_with_them() {
        let nodes = vec![
            node("Relu", &["x"], &["a"]),
            node("Neg", &["a"], &["b"]),
            node("Abs", &["a"], &["c"]),
        ];
        let outputs: [(&str, &[i64]); 2] = [("b", &[1]), ("c", &[1])];
        let mut graph = model(nodes, &[("x", &[1])], &outputs).graph.unwrap();
        let all = ["b".to_owned(), "c".to_owned()];
        assert_eq!(run(&mut graph, &all), None);
        let said = run(&mut graph, &all[1..]).unwrap();
        assert!(said.ends_with("outputs b"), "{said}");
        let ops: Vec<&str> = graph.node.iter().map(|n| n.op_type.as_str()).collect();
        assert_eq!(ops, ["Relu", "Abs"]);
        assert_eq!(graph.output.len(), 1);
    }
}
