//! [`NonNegative`]: which values of a graph are known not to be below 0.

use super::draft::Draft;
use crate::onnx::rewrite::constants;
use std::collections::HashSet;
use tract_onnx::pb::{NodeProto, TensorProto};

/// Most numbers of a constant that are looked at: one for each channel, but no map.
const MOST_NUMBERS: usize = 1024;

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
    pub fn learn(&mut self, node: &NodeProto, draft: &Draft) {
        let input = |index: usize| node.input.get(index).filter(|name| !name.is_empty());
        let is_known = |name: &String| {
            self.contains(name) || draft.constant(name).is_some_and(is_small_and_not_negative)
        };
        let first = || input(0).is_some_and(is_known);
        let any = || node.input.iter().any(is_known);
        let all = || node.input.iter().all(is_known);
        // A number that is an input in newer operator sets, an attribute in older ones.
        let limit = |index: usize, attribute: &str| match input(index) {
            Some(name) => Some(is_known(name)),
            None => {
                let mut attributes = node.attribute.iter();
                let found = attributes.find(|a| a.name == attribute);
                found.map(|attribute| attribute.f >= 0.0)
            }
        };
        let known = match node.op_type.as_str() {
            "Relu" | "Sigmoid" | "HardSigmoid" | "Softmax" | "Abs" | "Exp" | "Sqrt"
            | "Softplus" => true,
            "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean"
            | "ReduceMax" | "ReduceSum" | "Reshape" | "Transpose" | "Slice" | "Squeeze"
            | "Unsqueeze" | "Flatten" | "Gather" | "Split" | "Identity" | "SpaceToDepth"
            | "DepthToSpace" | "Upsample" | "Expand" | "Tile" | "LeakyRelu" | "Elu" | "PRelu"
            | "HardSwish" => first(),
            // A cubic one swings below its input.
            "Resize" => {
                first()
                    && node
                        .attribute
                        .iter()
                        .all(|a| a.name != "mode" || a.s != b"cubic")
            }
            "Clip" => (limit(1, "min") == Some(true) || first()) && limit(2, "max").unwrap_or(true),
            "Pad" => first() && limit(2, "value").unwrap_or(true),
            "Concat" | "Add" | "Mul" | "Div" | "Min" => all(),
            "Max" => any(),
            _ => false,
        };
        if known {
            self.0.extend(node.output.iter().cloned());
        }
    }
}

fn is_small_and_not_negative(constant: &TensorProto) -> bool {
    let lengths = [
        constant.raw_data.len() / size_of::<f32>(),
        constant.float_data.len(),
        constant.int32_data.len(),
    ];
    lengths.iter().all(|&length| length <= MOST_NUMBERS)
        && constants::floats(constant)
            .is_some_and(|numbers| numbers.iter().all(|number| *number >= 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{float_tensor, node};
    use tract_onnx::pb::{AttributeProto, GraphProto};

    fn with_number(mut node: NodeProto, name: &str, f: f32) -> NodeProto {
        node.attribute.push(AttributeProto {
            name: name.into(),
            f,
            ..Default::default()
        });
        node
    }

    #[test]
    fn signs_are_followed_through_the_graph() {
        let numbers: [(&str, &[i64], &[f32]); 4] = [
            ("zero", &[], &[0.0]),
            ("six", &[], &[6.0]),
            ("below", &[], &[-1.0]),
            ("each", &[2, 1, 1], &[0.5, 2.0]),
        ];
        let graph = GraphProto {
            initializer: numbers
                .map(|(name, dims, numbers)| float_tensor(name, dims, numbers))
                .into(),
            ..Default::default()
        };
        let draft = Draft::new(&graph);
        let mut known = NonNegative::default();
        let nodes = [
            (node("Conv", &["x", "w"], &["c"]), false),
            (node("Relu", &["c"], &["r"]), true),
            (node("MaxPool", &["r"], &["m"]), true),
            (node("Concat", &["r", "m"], &["both"]), true),
            (node("Concat", &["c", "m"], &["mixed"]), false),
            (node("Sub", &["r", "m"], &["difference"]), false),
            (node("Clip", &["c", "zero", "six"], &["relu6"]), true),
            (node("Clip", &["c", "", "six"], &["from_above"]), false),
            (node("Clip", &["r", "", "six"], &["less"]), true),
            (node("Clip", &["r", "", "below"], &["negative"]), false),
            (node("Clip", &["c", "below", "six"], &["around"]), false),
            (
                with_number(node("Clip", &["c"], &["old"]), "min", 0.0),
                true,
            ),
            (
                with_number(node("Clip", &["c"], &["old_below"]), "min", -1.0),
                false,
            ),
            (node("Mul", &["relu6", "each"], &["scaled"]), true),
            (node("Mul", &["relu6", "below"], &["turned"]), false),
            (node("Max", &["c", "zero"], &["at_least"]), true),
            (node("Min", &["c", "six"], &["at_most"]), false),
            (node("Pad", &["r", "pads"], &["padded"]), true),
            (node("Pad", &["r", "pads", "below"], &["framed"]), false),
        ];
        for (node, wanted) in nodes {
            known.learn(&node, &draft);
            assert_eq!(
                known.contains(&node.output[0]),
                wanted,
                "{}",
                node.output[0]
            );
        }
    }
}
