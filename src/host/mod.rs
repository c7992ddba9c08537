//! The machine: its processors, memory and temperature, and which processors a thread may use.

pub mod affinity;
pub mod machine;
