//! Refuses a graph that would take absurd memory or time, before an engine sees it.
//!
//! An engine multiplies sizes from a file, allocates, and unrolls before it can find them absurd: it dies, or never ends.
//! What is checked here holds for every engine:
//!
//! - [`structure`]: number of nodes, depth of graphs in nodes, loops without a bound, permutations, and divisions of
//!   constants that no processor can do.
//! - [`operators`]: for the built-in engine, operators that no detector has.
//! - [`windows`]: kernels, strides, pads and dilations against the maps that they slide over.
//! - [`sizes`]: bytes of every tensor and of all that are needed at a time, and the multiply-adds of an inference, from our
//!   own inference of dims.
//! - [`constants`]: tensors that a node makes out of a few numbers, in graphs inside nodes too.
//!
//! A size that only a run reveals is not covered.

mod constants;
mod operators;
mod sizes;
mod structure;
mod windows;

pub use constants::check_dims;
pub use operators::check as check_operators;

use super::infer::{self, Inference, SHAPES_BUDGET};
use crate::base::tensor::InputSpec;
use prost::Message;
use tract_onnx::pb::{ModelProto, NodeProto};

/// Refuses a model that is fed with `input`, or whose inference takes more than `most_compute` multiply-adds.
///
/// # Errors
/// One sentence that names the node, what it has and what it may have.
pub fn check_model(model: &ModelProto, input: &InputSpec, most_compute: u64) -> Result<(), String> {
    let Some(graph) = &model.graph else {
        return Ok(());
    };
    structure::check(graph)?;
    constants::check(graph)?;
    let opset = infer::opset(model);
    let shapes = Inference::of_shapes(graph, opset, input, SHAPES_BUDGET);
    sizes::check(graph, shapes, most_compute)
}

/// Checks the bytes of a file like [`check_model`]. Bytes that are not ONNX are left to the engine to refuse.
///
/// # Errors
/// As for [`check_model`].
pub fn check_file(bytes: &[u8], input: &InputSpec, most_compute: u64) -> Result<(), String> {
    match ModelProto::decode(bytes) {
        Ok(model) => check_model(&model, input, most_compute),
        Err(_) => Ok(()),
    }
}

/// Most letters of a name from a file in an error.
const MAX_NAME: usize = 80;

/// Returns operator and name of a node, for people.
fn name_of(node: &NodeProto) -> String {
    let name = match node.name.as_str() {
        "" => node.output.first().map_or("", String::as_str),
        name => name,
    };
    let short: String = name.chars().take(MAX_NAME).collect();
    let op: String = node.op_type.chars().take(MAX_NAME).collect();
    format!("{op} of node {short}")
}
