//! What decoders share: outputs checked and read, grids of cells, candidates.

pub mod candidates;
pub mod grid;
pub mod maps;
pub mod output;
pub mod whole_numbers;
