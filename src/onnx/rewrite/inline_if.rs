//! Puts the branch that is taken in the place of an If whose condition is known once the dims of the input are.
//!
//! Tracers write such an If for "remove the axis if it is one". An engine that reads both branches may stumble over the
//! one that is never taken, and no rewrite looks into either.

use super::names;
use crate::base::tensor::InputSpec;
use crate::onnx::infer::{Attributes, Inference, SHAPES_BUDGET, Value};
use std::collections::HashSet;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// Changes `graph`, which takes `input`, and says what was done, if anything was to do.
pub fn run(graph: &mut GraphProto, opset: i64, input: &InputSpec) -> Option<String> {
    if !graph.node.iter().any(|node| super::is(node, "If")) {
        return None;
    }
    let mut inliner = Inliner {
        shapes: Inference::of_shapes(graph, opset, input, SHAPES_BUDGET),
        taken: names::outside(graph).map(str::to_owned).collect(),
        nodes: Vec::with_capacity(graph.node.len()),
        constants: Vec::new(),
        inlined: 0,
    };
    for node in std::mem::take(&mut graph.node) {
        inliner.place(node);
    }
    graph.node = inliner.nodes;
    graph.initializer.extend(inliner.constants);
    let count = inliner.inlined;
    (count > 0).then(|| format!("took the one branch of {count} Ifs whose condition is known"))
}

struct Inliner {
    shapes: Inference,
    /// Names that a value of a branch must not have.
    taken: HashSet<String>,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    inlined: usize,
}

impl Inliner {
    fn place(&mut self, node: NodeProto) {
        match self.branch(&node) {
            Some(branch) => {
                self.inlined += 1;
                self.inline(&node, branch);
            }
            None => {
                let _ = self.shapes.compute(&node);
                self.nodes.push(node);
            }
        }
    }

    /// The branch of an If that is always taken, if its values have names of their own.
    fn branch(&self, node: &NodeProto) -> Option<GraphProto> {
        if !super::is(node, "If") {
            return None;
        }
        let condition = self
            .shapes
            .get(node.input.first()?)
            .and_then(Value::integers)?;
        let taken = match condition {
            [0] => "else_branch",
            _ => "then_branch",
        };
        let branch = Attributes::new(node).get(taken)?.g.clone()?;
        let free = names::outside(&branch).all(|name| !self.taken.contains(name));
        let fits = branch.output.len() == node.output.len() && branch.sparse_initializer.is_empty();
        (free && fits).then_some(branch)
    }

    fn inline(&mut self, node: &NodeProto, branch: GraphProto) {
        self.taken
            .extend(names::outside(&branch).map(str::to_owned));
        self.shapes.constants(&branch);
        self.constants.extend(branch.initializer);
        for inner in branch.node {
            self.place(inner);
        }
        for (name, output) in node.output.iter().zip(&branch.output) {
            self.place(NodeProto {
                op_type: "Identity".into(),
                name: format!("{}/{name}", node.name),
                input: vec![output.name.clone()],
                output: vec![name.clone()],
                ..Default::default()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{input_spec, int64_tensor, model, node};
    use tract_onnx::pb::AttributeProto;

    fn branch(nodes: Vec<NodeProto>, output: &str) -> Option<GraphProto> {
        model(nodes, &[], &[(output, &[])]).graph
    }

    /// Whether the picture has as many dims as `rank` says decides between two branches.
    fn graph(rank: i64) -> GraphProto {
        let mut choice = node("If", &["is_picture"], &["chosen"]);
        let inner = vec![
            node("Relu", &["x"], &["positive"]),
            node("Neg", &["positive"], &["turned"]),
        ];
        for (name, graph) in [
            ("then_branch", branch(inner, "turned")),
            ("else_branch", branch(vec![], "x")),
        ] {
            choice.attribute.push(AttributeProto {
                name: name.into(),
                g: graph,
                ..Default::default()
            });
        }
        let nodes = vec![
            node("Shape", &["x"], &["shape"]),
            node("Size", &["shape"], &["rank"]),
            node("Equal", &["rank", "wanted"], &["is_picture"]),
            choice,
            node("Abs", &["chosen"], &["y"]),
        ];
        let dims = input_spec().dims().map(|dim| dim as i64);
        let mut graph = model(nodes, &[("x", &dims)], &[("y", &[])]).graph.unwrap();
        graph.initializer = vec![int64_tensor("wanted", &[rank])];
        graph
    }

    fn ops(graph: &GraphProto) -> Vec<&str> {
        graph.node[3..].iter().map(|n| n.op_type.as_str()).collect()
    }

    #[test]
    fn the_branch_that_is_taken_remains() {
        let mut taken = graph(4);
        let said = run(&mut taken, 13, &input_spec()).unwrap();
        assert!(said.contains("1 Ifs"), "{said}");
        assert_eq!(ops(&taken), ["Relu", "Neg", "Identity", "Abs"]);
        assert_eq!(taken.node[5].output, ["chosen"]);
        let mut other = graph(3);
        run(&mut other, 13, &input_spec()).unwrap();
        assert_eq!(ops(&other), ["Identity", "Abs"]);
        assert_eq!(other.node[3].input, ["x"]);
    }

    #[test]
    fn near_misses_are_left_alone() {
        type Change = fn(&mut GraphProto);
        let changes: [(&str, Change); 2] = [
            ("a condition of the picture", |g| {
                g.node[2].input[0] = "x".into()
            }),
            ("a name that is taken", |g| {
                g.node.insert(0, node("Neg", &["x"], &["positive"]));
                g.node.swap(0, 1);
            }),
        ];
        for (what, change) in changes {
            let mut graph = graph(4);
            change(&mut graph);
            let before = graph.clone();
            assert_eq!(run(&mut graph, 13, &input_spec()), None, "{what}");
            assert_eq!(graph, before, "{what}");
        }
    }
}
