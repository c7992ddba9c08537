//! Promises of time: what must be fast, steady or on time. They can fail on a machine that is busy with other things, so
//! `cargo test` leaves them out; `tests/measure.sh` runs each of them in a process of its own.

#[path = "../support/mod.rs"]
mod support;

mod camera;
mod delay;
mod detect_bench;
mod engines;
mod hot_swap;
mod live;
mod loading;
mod machine;
mod model_times;
mod passthrough;
mod tracker;
mod workers;

/// Measures until the promise is kept, `tries` times at the most, and prints every try. A processor that others use too stands
/// still now and then; what is slow by itself breaks every try.
fn kept_in_one_of(tries: u32, mut measure: impl FnMut() -> Result<(), String>) {
    for number in 1..=tries {
        match measure() {
            Ok(()) => return println!("try {number} of {tries}: kept"),
            Err(broken) => println!("try {number} of {tries}: broken: {broken}"),
        }
    }
    panic!("broken in each of {tries} tries");
}
