//! The executor: runs the convolutional part of a network, fast, on the CPU.
//!
//! A [`Graph`](graph::Graph) describes the network.

mod error;
pub mod graph;

pub use error::{Error, Result};
