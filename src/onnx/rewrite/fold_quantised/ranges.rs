//! [`NonNegative`]: which values of a graph are known not to be below 0.

use std::collections::HashSet;
use tract_onnx::pb::NodeProto;

#[derive(Default)]
pub struct NonNegative(HashSet<String>);

impl NonNegative {
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    pub fn insert(&mut self, name: &str) {
        self.0.insert(name.to_owned());
    }

    /// Learns of the outputs of a node, whose inputs have been learnt before.
    pub fn learn(&mut self, node: &NodeProto) {
        let first = || node.input.first().is_some_and(|name| self.contains(name));
        let all = || node.input.iter().all(|name| self.contains(name));
        let known = match node.op_type.as_str() {
            "Relu" | "Sigmoid" | "HardSigmoid" | "Softmax" | "Abs" | "Exp" | "Sqrt"
            | "Softplus" => true,
            "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean"
            | "ReduceMax" | "Reshape" | "Transpose" | "Slice" | "Squeeze" | "Unsqueeze"
            | "Flatten" | "Gather" | "Split" | "Identity" | "SpaceToDepth" | "DepthToSpace"
            | "Upsample" => first(),
            // A cubic one swings below its input.
            "Resize" => {
                first()
                    && node
                        .attribute
                        .iter()
                        .all(|a| a.name != "mode" || a.s != b"cubic")
            }
            "Concat" | "Add" | "Mul" => all(),
            _ => false,
        };
        if known {
            self.0.extend(node.output.iter().cloned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;

    #[test]
    fn signs_are_followed_through_the_graph() {
        let mut known = NonNegative::default();
        let nodes = [
            node("Conv", &["x", "w"], &["c"]),
            node("Relu", &["c"], &["r"]),
            node("MaxPool", &["r"], &["m"]),
            node("Concat", &["r", "m"], &["both"]),
            node("Concat", &["c", "m"], &["mixed"]),
            node("Sub", &["r", "m"], &["difference"]),
        ];
        nodes.iter().for_each(|node| known.learn(node));
        for (name, wanted) in [
            ("c", false),
            ("r", true),
            ("m", true),
            ("both", true),
            ("mixed", false),
            ("difference", false),
        ] {
            assert_eq!(known.contains(name), wanted, "{name}");
        }
    }
}
