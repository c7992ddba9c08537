//! The engines whose libraries are loaded at run time, the form of a quantised model that each engine runs, and what the
//! built-in engine measures.
//!
//! A binary of its own: the libraries stay loaded until the process ends, and one of them in a process that should have none
//! would change what other tests find.

#[path = "../support/mod.rs"]
mod support;

mod choices;
mod cut_suppression;
mod field_cases;
mod forms;
mod loaded_libraries;
mod probes;
mod variations;
