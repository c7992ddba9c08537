//! Helpers of the recognisers' tests.

use crate::families::card::Card;
use crate::families::family::Family;
use crate::onnx::facts::Facts;
use crate::onnx::proto::NodeProto;
use crate::onnx::testing::model;
use std::path::Path;

pub fn card(text: &str) -> Card {
    Card::parse(Path::new("x.detect.json"), text.as_bytes()).expect("a card")
}

pub type Outputs<'a> = &'a [(&'a str, &'a [i64])];

/// The facts of a graph of `nodes` that takes a picture `x` of dims `input`.
pub fn with_facts_of<T>(
    nodes: Vec<NodeProto>,
    input: &[i64],
    outputs: Outputs,
    look: impl FnOnce(&Facts) -> T,
) -> T {
    let model = model(nodes, &[("x", input)], outputs);
    let graph = model.graph.as_ref().expect("just made");
    look(&Facts::new(&model, graph).expect("it takes a picture"))
}

pub fn with_facts<T>(input: &[i64], outputs: Outputs, look: impl FnOnce(&Facts) -> T) -> T {
    with_facts_of(Vec::new(), input, outputs, look)
}

/// Returns a family as readings hold it.
pub fn boxed(family: impl Family) -> Box<dyn Family> {
    Box::new(family)
}
