//! [`Rewritten`]: a graph on its way to a plan. [`Readers`]: which of its nodes read what another one computes.

use crate::convnet::graph::*;

/// A graph on its way to a plan.
pub struct Rewritten {
    pub nodes: Vec<Node>,
    pub inputs: Vec<TensorId>,
    pub outputs: Vec<Output>,
}

/// Readers of each node. Nodes that no output needs do not count.
pub struct Readers {
    /// For each node the needed ones that read it, once for each operand.
    users: Vec<Vec<usize>>,
    is_output: Vec<bool>,
    needed: Vec<bool>,
}

impl Readers {
    pub fn new(nodes: &[Node], outputs: &[Output]) -> Self {
        let n = nodes.len();
        let (mut needed, mut is_output) = (vec![false; n], vec![false; n]);
        for tensor in outputs.iter().flat_map(|o| &o.parts) {
            is_output[tensor.index()] = true;
            needed[tensor.index()] = true;
        }
        let mut users = vec![Vec::new(); n];
        for i in (0..n).rev() {
            if needed[i] {
                for tensor in &nodes[i].inputs {
                    needed[tensor.index()] = true;
                    users[tensor.index()].push(i);
                }
            }
        }
        Readers {
            users,
            is_output,
            needed,
        }
    }

    /// Nodes that read node `i`, once for each operand.
    pub fn users(&self, i: usize) -> &[usize] {
        &self.users[i]
    }

    pub fn is_output(&self, i: usize) -> bool {
        self.is_output[i]
    }

    /// True if an output depends on node `i`.
    pub fn is_needed(&self, i: usize) -> bool {
        self.needed[i]
    }

    /// Returns the node that alone reads node `i`; `None` also if `i` is an output.
    pub fn sole(&self, i: usize) -> Option<usize> {
        match self.users[i][..] {
            [user] if !self.is_output[i] => Some(user),
            _ => None,
        }
    }
}
