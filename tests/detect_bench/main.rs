//! `detect-bench` as a program, started as a user starts it.

#[path = "../support/mod.rs"]
mod support;

mod commands;
mod hostile;
mod machines;
mod run;
