//! Micro models of every family, against what a small implementation in numpy finds.

#[path = "../support/mod.rs"]
mod support;

mod exports;
mod micro_models;
mod tables;
