//! [`Head`]: what the graph does between its last convolutions and an output.
//!
//! The dims of an output do not tell whether its boxes are pixels or offsets in a grid. The operators do: whoever
//! makes pixels adds the coordinates of every cell, and YOLOX takes the exponential of the sizes besides.

use crate::onnx::proto::{GraphProto, NodeProto, TensorProto};
use std::collections::{HashMap, HashSet};

/// Operators met going back from an output until the convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Something is exponentiated.
    pub exponential: bool,
    /// Something that differs from cell to cell is added or subtracted.
    pub grid: bool,
    /// Candidates are chosen in the graph: what comes out is no table of all of them.
    pub selects: bool,
    /// Sides of boxes are distributions, of which a convolution takes the mean.
    pub distribution: bool,
    /// Something is raised to a power.
    pub powers: bool,
    /// Sigmoids; what lies behind them is not looked at.
    pub sigmoids: usize,
}

impl Head {
    /// Looks at the output `name`, whose rows or columns have `features` numbers for each candidate.
    pub fn trace(graph: &GraphProto, name: &str, features: usize) -> Self {
        let walk = Walk::new(graph);
        let mut head = Self::default();
        let mut seen = HashSet::new();
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            let Some(&(index, node)) = walk.makers.get(name) else {
                continue;
            };
            if !seen.insert(index) {
                continue;
            }
            match node.op_type.as_str() {
                "Conv" if walk.is_mean(node) => {
                    head.distribution = true;
                    continue;
                }
                "Conv" | "QLinearConv" | "ConvInteger" | "FusedConv" | "ConvTranspose"
                | "MatMul" | "Gemm" => continue,
                "Sigmoid" | "QLinearSigmoid" => {
                    head.sigmoids += 1;
                    continue;
                }
                "Exp" => head.exponential = true,
                "Pow" => head.powers = true,
                "Range" => head.grid = true,
                "TopK" | "NonMaxSuppression" => head.selects = true,
                // A bias has at most as many numbers as a candidate; a grid has some for every cell.
                "Add" | "Sub" | "QLinearAdd" => {
                    head.grid |= node
                        .input
                        .iter()
                        .any(|input| walk.constant_length(input) > features as u64);
                }
                _ => {}
            }
            open.extend(node.input.iter().map(String::as_str));
        }
        head
    }

    /// The boxes of all candidates, in pixels and not as offsets.
    pub fn is_decoded(self) -> bool {
        (self.exponential || self.grid) && !self.selects
    }
}

struct Walk<'a> {
    makers: HashMap<&'a str, (usize, &'a NodeProto)>,
    constants: HashMap<&'a str, u64>,
}

impl<'a> Walk<'a> {
    fn new(graph: &'a GraphProto) -> Self {
        let nodes = graph.node.iter().enumerate();
        let makers =
            nodes.flat_map(|(i, node)| node.output.iter().map(move |o| (o.as_str(), (i, node))));
        let constants = graph
            .initializer
            .iter()
            .map(|tensor| (tensor.name.as_str(), length(tensor)));
        Self {
            makers: makers.collect(),
            constants: constants.collect(),
        }
    }

    /// Whether a convolution takes the mean over what a softmax has made.
    fn is_mean(&self, node: &NodeProto) -> bool {
        let mut name = node.input.first();
        for _ in 0..4 {
            let maker = name.and_then(|name| self.makers.get(name.as_str()));
            match maker {
                Some((_, node)) if node.op_type == "Softmax" => return true,
                Some((_, node)) if ["Transpose", "Reshape"].contains(&node.op_type.as_str()) => {
                    name = node.input.first();
                }
                _ => return false,
            }
        }
        false
    }

    /// Numbers in a constant, also behind what only changes its form; 0 for anything else.
    fn constant_length(&self, name: &'a str) -> u64 {
        let mut name = name;
        // Bounded: a graph that is no model may run in a circle.
        for _ in 0..8 {
            if let Some(length) = self.constants.get(name) {
                return *length;
            }
            let Some((_, node)) = self.makers.get(name) else {
                return 0;
            };
            match (node.op_type.as_str(), node.input.first()) {
                ("Constant", _) => {
                    return node
                        .attribute
                        .iter()
                        .find_map(|a| a.t.as_ref())
                        .map_or(0, length);
                }
                (
                    "DequantizeLinear" | "Cast" | "Identity" | "Reshape" | "Unsqueeze",
                    Some(input),
                ) => name = input,
                _ => return 0,
            }
        }
        0
    }
}

/// Dims have been checked against the data, so the product does not overflow.
fn length(tensor: &TensorProto) -> u64 {
    tensor.dims.iter().map(|dim| *dim as u64).product()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{float_tensor, model, node};

    fn graph(nodes: Vec<NodeProto>, constants: &[(&str, usize)]) -> GraphProto {
        let mut graph = model(nodes, &[("x", &[1])], &[("y", &[1])]).graph.unwrap();
        for (name, n) in constants {
            graph
                .initializer
                .push(float_tensor(name, &[*n as i64], &vec![0.0; *n]));
        }
        graph
    }

    #[test]
    fn a_raw_head_only_joins_and_turns() {
        let graph = graph(
            vec![
                node("Exp", &["x"], &["e"]),
                node("Conv", &["e"], &["box"]),
                node("Conv", &["e"], &["c"]),
                node("Add", &["c", "bias"], &["d"]),
                node("Sigmoid", &["d"], &["score"]),
                node("Concat", &["box", "score"], &["j"]),
                node("Transpose", &["j"], &["y"]),
            ],
            &[("bias", 7)],
        );
        let head = Head::trace(&graph, "y", 7);
        assert_eq!(
            head,
            Head {
                sigmoids: 1,
                ..Head::default()
            },
            "what lies behind a convolution does not count"
        );
        assert!(!head.is_decoded());
    }

    #[test]
    fn a_grid_is_told_from_a_bias_also_when_it_is_quantised() {
        let nodes = |grid: &str| {
            vec![
                node("Conv", &["x"], &["c"]),
                node("DequantizeLinear", &["q"], &["dq"]),
                node("Add", &["c", grid], &["y"]),
            ]
        };
        let constants = [("big", 42), ("small", 7), ("q", 42)];
        assert!(Head::trace(&graph(nodes("big"), &constants), "y", 7).grid);
        assert!(Head::trace(&graph(nodes("dq"), &constants), "y", 7).grid);
        assert!(!Head::trace(&graph(nodes("small"), &constants), "y", 7).grid);
    }

    #[test]
    fn a_choice_of_candidates_is_no_table_of_all() {
        let nodes = vec![
            node("Exp", &["x"], &["e"]),
            node("TopK", &["e"], &["t"]),
            node("Gather", &["e", "t"], &["y"]),
        ];
        let head = Head::trace(&graph(nodes, &[]), "y", 7);
        assert!(head.selects && head.exponential && !head.is_decoded());
    }

    #[test]
    fn a_circle_ends() {
        let nodes = vec![
            node("Identity", &["y"], &["a"]),
            node("Add", &["a", "a"], &["y"]),
        ];
        assert_eq!(Head::trace(&graph(nodes, &[]), "y", 7), Head::default());
    }
}
