//! Whose turn it is, and what was measured: state machines that take the time as an argument.

pub mod mailbox;
pub mod pace;
pub mod stats;
