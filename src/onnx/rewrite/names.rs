//! Names of the values of a graph: existing ones, how often they are used, and new ones.

use std::collections::{HashMap, HashSet};
use tract_onnx::pb::{GraphProto, NodeProto};

/// Returns the names in a graph, without the graphs inside its nodes: outputs of nodes, constants and inputs.
pub fn outside(graph: &GraphProto) -> impl Iterator<Item = &str> {
    let made = graph.node.iter().flat_map(|node| &node.output);
    let constants = graph.initializer.iter().map(|tensor| &tensor.name);
    let inputs = graph.input.iter().map(|input| &input.name);
    made.chain(constants).chain(inputs).map(String::as_str)
}

/// Returns the names that the graphs inside its nodes use, wherever they come from.
pub fn taken_inside(graph: &GraphProto) -> impl Iterator<Item = &str> {
    fn taken<'a>(node: &'a NodeProto, names: &mut Vec<&'a str>) {
        let attributes = node.attribute.iter();
        for inner in attributes.flat_map(|a| a.g.iter().chain(&a.graphs)) {
            names.extend(inner.output.iter().map(|o| o.name.as_str()));
            for node in &inner.node {
                names.extend(node.input.iter().map(String::as_str));
                taken(node, names);
            }
        }
    }
    let mut names = Vec::new();
    graph.node.iter().for_each(|node| taken(node, &mut names));
    names.into_iter()
}

/// Returns the names that a node and the graphs inside of it take.
pub fn takes(node: &NodeProto) -> Vec<String> {
    let mut names = node.input.clone();
    let attributes = node.attribute.iter();
    let inner = attributes.flat_map(|a| a.g.iter().chain(&a.graphs));
    for inner in inner {
        names.extend(inner.output.iter().map(|output| output.name.clone()));
        names.extend(inner.node.iter().flat_map(takes));
    }
    names
}

/// Counts how often each value is used: by nodes, as an output, by graphs inside nodes.
pub fn uses(graph: &GraphProto) -> HashMap<&str, usize> {
    let outputs = graph.output.iter().map(|output| output.name.as_str());
    let taken = graph.node.iter().flat_map(|node| &node.input);
    let taken = taken.map(String::as_str).chain(outputs);
    let mut uses = HashMap::new();
    for name in taken.chain(taken_inside(graph)) {
        *uses.entry(name).or_default() += 1;
    }
    uses
}

/// Returns the node that makes each value.
pub fn makers(graph: &GraphProto) -> HashMap<&str, &NodeProto> {
    let nodes = graph.node.iter();
    nodes
        .flat_map(|node| node.output.iter().map(move |name| (name.as_str(), node)))
        .collect()
}

/// Creates names that nothing in a graph has.
pub struct Unused {
    taken: HashSet<String>,
    next: usize,
}

impl Unused {
    pub fn in_graph(graph: &GraphProto) -> Self {
        let taken = outside(graph).chain(taken_inside(graph));
        Self {
            taken: taken.map(str::to_owned).collect(),
            next: 0,
        }
    }

    /// Returns a name that begins with `stem`, each only once.
    pub fn name(&mut self, stem: &str) -> String {
        loop {
            let name = format!("{stem}_{}", self.next);
            self.next += 1;
            if !self.taken.contains(&name) {
                return name;
            }
        }
    }
}
