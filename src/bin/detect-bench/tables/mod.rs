//! The tables of a report, each made once for all forms of it.

mod comparison;
mod machine;
mod run;

pub use comparison::{boxes, speed};
pub use machine::measured_on;
pub use run::{latency, machine_use, model, stages, throughput};
