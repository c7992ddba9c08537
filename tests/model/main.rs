//! Model files: what is read in them, the forms in which one model is exported, and graphs rewritten for speed.

#[path = "../support/mod.rs"]
mod support;

mod files;
mod forms;
mod prepared_graphs;
