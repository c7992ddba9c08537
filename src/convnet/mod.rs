//! The executor: runs the convolutional part of a network, fast, on the CPU.
//!
//! A [`Graph`](graph::Graph) describes the network. A [`Plan`] is made of it once per input size: it chooses kernels,
//! packs weights and gives every tensor its place in one arena. A [`Session`] owns the memory of one run at a time
//! and, if there are several, its threads.
//!
//! The way from graph to plan, one file each in `plan/`:
//!
//! | file | what it does |
//! |---|---|
//! | limits | moves ReLU and Clip to where they cost nothing, and drops those that change nothing |
//! | simplify | replaces compositions (x · sigmoid(x), Focus, padding) by one operator |
//! | stage | lists what is computed; follows channels symbolically; fuses scale, activations and residual |
//! | precision | decides which stages compute with f16, if any may |
//! | choice | picks direct or Winograd for each 3x3 convolution, by what was measured or by estimate |
//! | measure | times direct and Winograd on this machine, before a plan is made ([`Choices::measure`]) |
//! | place | decides in which lanes channels lie, and which blocks each stage reads; widens borders |
//! | memory | gives buffers places in the arena by their lives |
//! | bind, convolution, lanes | turn views into offsets and pack weights |
//!
//! ```
//! # use gstdetect::convnet::{graph::*, *};
//! # use std::sync::Arc;
//! # fn main() -> Result<()> {
//! let mut graph = Graph::new();
//! let x = graph.input(Shape::new(1, 2, 2))?;
//! let y = graph.activate(x, Activation::Relu)?;
//! graph.output(y, Layout::Planar)?;
//! let mut session = Session::new(Arc::new(Plan::new(&graph, &Options::default())?));
//! let mut out = [0.; 4];
//! session.run(&[Input::F32(&[-1., 2., -3., 4.])], &mut [&mut out])?;
//! assert_eq!(out, [0., 2., 0., 4.]);
//! # Ok(())
//! # }
//! ```

mod arena;
mod error;
pub mod graph;
mod guard;
mod kernels;
mod layout;
mod plan;
mod pool;
mod session;

pub use error::{Error, Result};
pub use guard::{Verdict, plan_in_f16, verdict};
pub use plan::{Algorithm, Budget, Choices, HalfPrecision, Measured, Options, Plan, WeightCache};
pub use pool::OnStart;
pub use session::Session;

#[cfg(test)]
mod tests;
