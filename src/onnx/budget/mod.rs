//! Refuses a graph that would take absurd memory or time, before an engine sees it.
//!
//! An engine multiplies sizes from a file, allocates, and unrolls before it can find them absurd: it dies, or never ends.
//! What is checked here holds for every engine:
//!
//! - [`structure`]: number of nodes, depth of graphs in nodes, loops without a bound, permutations, and divisions of
//!   constants that no processor can do.
//! - [`operators`]: for the built-in engine, operators that no detector has.
//! - [`ranks`]: dims that operators on maps need.
//! - [`windows`]: kernels, strides, pads and dilations against the maps that they slide over.
//! - [`sizes`]: bytes of every tensor and of all that are needed at a time, and the multiply-adds of an inference, from our
//!   own inference of dims.
//! - [`inner`]: what graphs inside nodes know, and how often they run.
//! - [`constants`]: tensors that a node makes out of a few numbers, in graphs inside nodes too.
//!
//! A size that only a run reveals is not covered.

mod constants;
mod inner;
mod operators;
mod ranks;
mod sizes;
mod structure;
mod windows;

pub use constants::check_dims;
pub use operators::check as check_operators;

use super::infer::{self, Inference, SHAPES_BUDGET};
use crate::base::tensor::InputSpec;
use tract_onnx::pb::{ModelProto, NodeProto};

/// Demand of an inference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demand {
    /// Multiply-adds, where the dims can be followed.
    pub multiply_adds: u64,
    /// Operator and name of the node that takes most of them.
    heaviest: String,
}

/// The demand of an inference, or the reason why the model is refused whatever it may take.
pub type Weighed = Result<Demand, String>;

impl Demand {
    /// Refuses a model whose inference takes more than `most` multiply-adds.
    ///
    /// # Errors
    /// One sentence with both numbers and the node that takes most.
    pub fn check(&self, most: u64) -> Result<(), String> {
        if self.multiply_adds <= most {
            return Ok(());
        }
        Err(format!(
            "an inference takes {} multiply-adds, most of them in {}, expected at most {most}; max-compute raises that",
            self.multiply_adds, self.heaviest
        ))
    }
}

/// Returns what an inference takes of a model that is fed with `input`.
///
/// # Errors
/// One sentence that names a node, what it has and what it may have, if the model is refused whatever it may take.
pub fn weigh(model: &ModelProto, input: &InputSpec) -> Weighed {
    let Some(graph) = &model.graph else {
        return Ok(Demand::default());
    };
    structure::check(graph)?;
    constants::check(graph)?;
    let opset = infer::opset(model);
    sizes::weigh(
        graph,
        Inference::of_shapes(graph, opset, input, SHAPES_BUDGET),
    )
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
