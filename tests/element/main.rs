//! The element `detect` in one process, most of it driven by the gates of the stub engine: one module per promise.

#[path = "../support/mod.rs"]
mod support;

mod ahead;
mod choice;
mod clock;
mod delay;
mod errors;
mod file;
mod flow;
mod formats;
mod latency;
mod locks;
mod messages;
mod metas;
mod modes;
mod numbers;
mod one_picture;
mod pace;
mod passthrough;
mod pool;
mod queue;
mod sizes;
mod stuck;
mod swap;
mod tracking;
mod unstamped;
