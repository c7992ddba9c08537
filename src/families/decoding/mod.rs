//! [`Decoder`], and what decoders share: outputs checked and read, grids of cells, candidates.

pub(crate) mod candidates;
pub(crate) mod chosen_rows;
mod decoder;
pub(crate) mod distribution;
pub(crate) mod face_priors;
pub(crate) mod grid;
pub(crate) mod maps;
pub(crate) mod output;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod whole_numbers;

pub use candidates::Labelling;
pub use decoder::{DecodeError, Decoder};
