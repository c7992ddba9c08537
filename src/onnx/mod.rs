//! ONNX files: reading and checking them, what they say of themselves, and rewrites of their graph.
//!
//! A file's numbers are not to be trusted, and a release wraps silently. So clippy refuses every unchecked operation on them in
//! what reads and checks a file. `infer` and `rewrite` are excepted: they compute with places in numbers that are in memory,
//! whose counts were checked. `tests/fuzz` runs them with checks for overflow.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub(crate) mod budget;
mod decoded_size;
pub mod error;
pub mod facts;
pub(crate) mod file;
pub(crate) mod graph_order;
#[allow(
    clippy::arithmetic_side_effects,
    reason = "places in numbers that are in memory"
)]
pub(crate) mod infer;
mod kind;
pub mod outline;
pub(crate) mod parse;
pub(crate) mod python_literal;
#[allow(
    clippy::arithmetic_side_effects,
    reason = "places in numbers that are in memory"
)]
pub mod rewrite;
pub mod side_input;
pub(crate) mod tail;
pub mod tensor_file;
#[cfg(test)]
pub(crate) mod testing;
mod wire;

/// The messages of the ONNX format.
pub use tract_onnx::pb as proto;
