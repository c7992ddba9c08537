//! What recognisers share: signs in a file that tell one family from another.

pub mod grid_cells;
pub mod head;
pub mod named_outputs;
pub mod pieces;
pub mod scale;
pub mod yolo;
