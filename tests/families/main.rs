//! Micro models of every family, against what a small implementation in numpy finds.

#[path = "../support/mod.rs"]
mod support;

mod chosen_by_the_graph;
mod grids;
mod tables;
