//! What is allocated: by a frame, by a model file, and by elements that share a model.
//!
//! A binary of its own: its global allocator counts, of all threads, so one test runs at a time.

#[path = "../support/mod.rs"]
mod support;

mod allocations;
mod counting;
mod models;
mod weights;
