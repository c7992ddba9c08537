//! Folds a quantised graph to the float graph it stands for: weights become f32 constants, activations are no longer
//! rounded to integers.
//!
//! A quantised number q of scale s and zero point z stands for (q - z) * s. Quantisers write that in three forms, and
//! a graph may mix them: QDQ keeps the float operators and puts QuantizeLinear and DequantizeLinear between them
//! (`pairs`); QOperator has operators of integers, each with the scales of what it takes and gives (`operators`, which
//! makes QDQ of them); and dynamic quantisation measures the scale of an activation while running (`dynamic`, likewise).
//! Where integer arithmetic is slower than float arithmetic, which holds for tract, such a graph gains nothing by
//! being small, and loses time to every change of type.
//!
//! What folding leaves out is the rounding of activations, and that they saturate where calibration saw no larger
//! ones. What it keeps is a range that starts at 0, by which a quantiser expresses a Relu or Clip that it took out.
//!
//! The graph is changed as a whole or not at all: if any part is not understood, it stays as it is, with the reason.

mod draft;
mod dynamic;
mod operators;
mod pairs;
mod params;
mod ranges;

use super::{LONGEST_NAME, names};
use crate::onnx::parse;
use draft::Draft;
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, type_proto};

/// Why a graph is left as it is.
type Reason = String;

fn is_quantised(node: &NodeProto) -> bool {
    let op = node.op_type.as_str();
    matches!(op, "QuantizeLinear" | "DequantizeLinear") || is_of_integers(op) || is_dynamic(op)
}

/// Operators of the QOperator form.
pub fn is_of_integers(op: &str) -> bool {
    op.starts_with("QLinear") || op == "QGemm"
}

/// Operators of dynamic quantisation.
pub fn is_dynamic(op: &str) -> bool {
    matches!(
        op,
        "DynamicQuantizeLinear" | "ConvInteger" | "MatMulInteger"
    )
}

/// Whether there is anything to fold.
pub fn applies(graph: &GraphProto) -> bool {
    graph.node.iter().any(is_quantised)
}

/// The result of folding a graph.
#[derive(Debug, PartialEq)]
pub struct Done {
    pub said: String,
    /// Results of DequantizeLinear, and what holds the same value, not rounded, in the folded graph.
    pub renamed: HashMap<String, String>,
    /// Names that were those of integers, and the value that they stand for in the folded graph.
    pub integers: HashMap<String, String>,
}

/// Changes `graph`, if anything is to do. `opset` is the version of ONNX's own operators.
///
/// # Errors
/// What of the graph is not understood; it is then unchanged.
pub fn run(graph: &mut GraphProto, opset: i64) -> Result<Option<Done>, Reason> {
    let before = graph.node.iter().filter(|node| is_quantised(node)).count();
    if before == 0 {
        return Ok(None);
    }
    check_names(graph)?;
    let mut draft = Draft::new(graph);
    let nodes = operators::to_pairs(graph.node.clone(), &mut draft, opset)?;
    let nodes = dynamic::to_pairs(nodes, &mut draft)?;
    let kept = KeptNames::new(graph);
    let folded = pairs::fold(nodes, &mut draft, &kept, opset)?;
    let weights = folded.weights;
    let added = draft.into_added();
    let [renamed, integers] = replace(graph, folded, added, &kept)?;
    let left = graph.node.iter().filter(|node| is_quantised(node)).count();
    if left >= before {
        return Ok(None);
    }
    let said = format!(
        "folded the quantised graph to float: {weights} weights dequantised, {} of {before} quantising operators gone",
        before - left
    );
    Ok(Some(Done {
        said,
        renamed,
        integers,
    }))
}

fn check_names(graph: &GraphProto) -> Result<(), Reason> {
    let names = graph
        .node
        .iter()
        .flat_map(|n| n.input.iter().chain(&n.output));
    match names.map(String::len).max() {
        Some(length) if length > LONGEST_NAME => Err(format!(
            "it has a name of {length} bytes, at most {LONGEST_NAME} are expected"
        )),
        _ => Ok(()),
    }
}

/// Names that somebody else refers to.
struct KeptNames {
    outputs: HashSet<String>,
    /// Taken by graphs inside nodes.
    inside: HashSet<String>,
}

impl KeptNames {
    fn new(graph: &GraphProto) -> Self {
        Self {
            outputs: graph.output.iter().map(|o| o.name.clone()).collect(),
            inside: names::taken_inside(graph).map(str::to_owned).collect(),
        }
    }
}

/// Puts the folded nodes in the place of the old ones, unless something is missing then. What was renamed, and what the
/// integers stand for.
fn replace(
    graph: &mut GraphProto,
    folded: pairs::Folded,
    added: Vec<tract_onnx::pb::TensorProto>,
    kept: &KeptNames,
) -> Result<[HashMap<String, String>; 2], Reason> {
    let made: HashSet<&String> = folded.nodes.iter().flat_map(|n| &n.output).collect();
    let mut gone = graph.node.iter().flat_map(|node| &node.output);
    if let Some(name) = gone.find(|name| kept.inside.contains(*name) && !made.contains(name)) {
        return Err(format!("\"{name}\" is taken by a graph inside a node"));
    }
    let length = graph.initializer.len();
    let old = std::mem::replace(&mut graph.node, folded.nodes);
    graph.initializer.extend(added);
    if let Err(error) = parse::check_names(graph) {
        graph.node = old;
        graph.initializer.truncate(length);
        return Err(error.to_string());
    }
    for output in &mut graph.output {
        if folded.integers.contains_key(&output.name)
            && let Some(type_proto::Value::TensorType(tensor)) =
                output.r#type.as_mut().and_then(|kind| kind.value.as_mut())
        {
            tensor.elem_type = DataType::Float as i32;
        }
    }
    tidy(graph, &folded.integers);
    Ok([folded.renamed, folded.integers])
}

/// Removes what nothing takes any more, and notes on what has changed.
fn tidy(graph: &mut GraphProto, integers: &HashMap<String, String>) {
    let inputs = graph.node.iter().flat_map(|node| &node.input);
    let mut used: HashSet<String> = inputs.cloned().collect();
    used.extend(graph.output.iter().map(|output| output.name.clone()));
    used.extend(names::taken_inside(graph).map(str::to_owned));
    let mut removed = HashSet::new();
    graph.initializer.retain(|tensor| {
        let keep = used.contains(&tensor.name);
        if !keep {
            removed.insert(tensor.name.clone());
        }
        keep
    });
    graph.node.retain(|node| {
        node.op_type != "Constant" || node.output.iter().any(|name| used.contains(name))
    });
    // Old files list their constants as inputs too.
    graph.input.retain(|input| !removed.contains(&input.name));
    graph
        .value_info
        .retain(|value| used.contains(&value.name) && !integers.contains_key(&value.name));
    graph.quantization_annotation.clear();
}

#[cfg(test)]
mod tests;
