//! The machine: its processors, memory and temperature, which processors a thread may use, and its files and fonts.

pub mod affinity;
pub mod child;
pub mod fonts;
pub mod machine;
pub mod memory;
pub mod side_file;
pub mod slowness;
pub mod vectors;
