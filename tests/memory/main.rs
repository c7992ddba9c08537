//! Allocations and copies: by a frame, by a model file, by elements that share a model, and for a camera.
//!
//! A binary of its own: its global allocator counts, of all threads, so one test runs at a time.

#[path = "../support/mod.rs"]
mod support;

mod allocations;
mod camera;
mod counting;
mod models;
mod weights;
