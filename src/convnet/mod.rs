//! The executor: runs the convolutional part of a network, fast, on the CPU.
//!
//! A [`Graph`](graph::Graph) describes the network. A [`Plan`] is made of it once per input size: it chooses kernels,
//! packs weights and gives every tensor its place in one arena. A [`Session`] owns the memory of one run at a time
//! and, if there are several, its threads.

mod arena;
mod error;
pub mod graph;
mod kernels;
mod layout;
mod plan;
mod pool;
mod session;

pub use error::{Error, Result};
pub use plan::{Algorithm, Budget, Choices, Options, Plan, WeightCache};
pub use pool::OnStart;
pub use session::Session;

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
