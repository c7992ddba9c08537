//! The machine: its processors, memory and temperature, which processors a thread may use, and its files.

pub mod affinity;
pub mod machine;
pub mod side_file;
