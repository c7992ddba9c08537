//! Errors of the executor.

use std::fmt;

/// Reason why a graph, a plan or a run was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The graph is malformed: an operator got operands that it cannot take.
    Graph(String),
    /// The plan would exceed one of the caller's [`Budget`](crate::convnet::Budget)s.
    Budget {
        /// The budget that ran out: "bytes of activations", "bytes of weights", "steps".
        what: &'static str,
        /// How much the plan needs.
        needed: usize,
        /// How much the caller allows.
        allowed: usize,
    },
    /// The data given to a run does not fit the plan.
    Data(String),
    /// The requested instruction set is not available on this machine.
    Kernels(String),
    /// The system refused a worker thread.
    Threads(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Graph(text)
            | Error::Data(text)
            | Error::Kernels(text)
            | Error::Threads(text) => f.write_str(text),
            Error::Budget {
                what,
                needed,
                allowed,
            } => write!(
                f,
                "the network needs {needed} {what}, {allowed} are allowed"
            ),
        }
    }
}

impl std::error::Error for Error {}

pub type Result<T> = std::result::Result<T, Error>;

/// Makes an [`Error::Graph`] from a format string.
macro_rules! graph_error {
    ($($arg:tt)*) => { $crate::convnet::error::Error::Graph(format!($($arg)*)) };
}
pub(crate) use graph_error;
