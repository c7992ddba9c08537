//! Signs in a file that tell one family from another: shared by the recognisers.

pub mod conventions;
pub mod face_priors;
pub mod grid_cells;
pub mod head;
pub mod lone;
pub mod named_outputs;
pub mod objectness;
pub mod paddle;
pub mod pieces;
pub mod scale;
pub mod table;
#[cfg(test)]
pub mod testing;
pub mod ultralytics;
