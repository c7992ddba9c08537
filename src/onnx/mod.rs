//! ONNX files: reading and checking them, what they say of themselves, and rewrites of their graph.

pub(crate) mod budget;
pub mod error;
pub mod facts;
pub(crate) mod file;
pub(crate) mod graph_order;
pub(crate) mod infer;
mod kind;
pub mod outline;
pub(crate) mod parse;
pub(crate) mod python_literal;
pub mod rewrite;
pub mod side_input;
pub(crate) mod tail;
pub mod tensor_file;
#[cfg(test)]
pub(crate) mod testing;
mod wire;

/// The messages of the ONNX format.
pub use tract_onnx::pb as proto;
