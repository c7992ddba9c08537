//! Tensors that a node unfolds from a constant: a size in the file that no weights back.
//!
//! Engines check weights against the bytes in the file, so a short file cannot lie about those. An engine whose own graph
//! knows the tensors between nodes checks those too ([`check_dims`]).

use super::name_of;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// Largest size of a single tensor in bytes.
pub const MAX_TENSOR_BYTES: u64 = 1 << 30;

/// Smallest size of a number in bytes, used where the type is not looked at.
const LEAST_ELEMENT_BYTES: u64 = 1;

/// Refuses nodes that would unfold a constant of absurd size, in the graph and in the graphs inside its nodes.
pub fn check(graph: &GraphProto) -> Result<(), String> {
    for node in &graph.node {
        // The input that holds the dims or repeats of the result.
        let sized_by = match node.op_type.as_str() {
            "ConstantOfShape" => 0,
            "Expand" | "Tile" => 1,
            _ => usize::MAX,
        };
        if let Some(dims) = node
            .input
            .get(sized_by)
            .and_then(|name| constant_i64(graph, name))
        {
            check_dims(&dims, LEAST_ELEMENT_BYTES, || name_of(node))?;
        }
        for attribute in &node.attribute {
            for inner in attribute.g.iter().chain(&attribute.graphs) {
                check(inner)?;
            }
        }
    }
    Ok(())
}

/// Refuses a tensor above the budget. `what` names it.
pub fn check_dims(
    dims: &[i64],
    element_bytes: u64,
    what: impl FnOnce() -> String,
) -> Result<(), String> {
    let bytes = dims.iter().try_fold(element_bytes, |bytes, &dim| {
        bytes.checked_mul(u64::try_from(dim).unwrap_or(0))
    });
    match bytes {
        Some(bytes) if bytes <= MAX_TENSOR_BYTES => Ok(()),
        _ => {
            let size = bytes.map_or("more bytes than can be counted".into(), |b| {
                format!("{b} bytes")
            });
            let what = what();
            Err(format!(
                "{what} has shape {dims:?}, {size}, expected at most {MAX_TENSOR_BYTES}"
            ))
        }
    }
}

/// Returns the integers of a constant of this graph, if there is one of this name.
fn constant_i64(graph: &GraphProto, name: &str) -> Option<Vec<i64>> {
    let initialiser = graph.initializer.iter().find(|tensor| tensor.name == name);
    let constant = || {
        let makes_it =
            |node: &&NodeProto| node.op_type == "Constant" && node.output.iter().any(|o| o == name);
        let node = graph.node.iter().find(makes_it)?;
        let is_value = |attribute: &&AttributeProto| attribute.name == "value";
        node.attribute.iter().find(is_value)?.t.as_ref()
    };
    initialiser.or_else(constant).map(integers)
}

/// Returns int64 numbers from either of the two fields that may hold them.
fn integers(tensor: &TensorProto) -> Vec<i64> {
    if tensor.int64_data.is_empty() {
        let (numbers, _) = tensor.raw_data.as_chunks::<8>();
        numbers
            .iter()
            .map(|&bytes| i64::from_le_bytes(bytes))
            .collect()
    } else {
        tensor.int64_data.clone()
    }
}
