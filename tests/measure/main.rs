//! Promises of time: what must be fast, steady or on time. They can fail on a machine that is busy with other things, so
//! `cargo test` leaves them out; `tests/measure.sh` runs each in a process of its own, and again when it fails.

#[path = "../support/mod.rs"]
mod support;

mod camera;
mod live;
mod model_times;
mod workers;
