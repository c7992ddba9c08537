//! [`Decoder`], and what decoders share: outputs checked and read, grids of cells, candidates.

pub(crate) mod box_form;
pub(crate) mod candidates;
pub(crate) mod chosen_rows;
mod decoder;
pub(crate) mod distribution;
mod extras;
pub(crate) mod face_priors;
pub(crate) mod grid;
pub(crate) mod maps;
pub(crate) mod output;
pub(crate) mod score_form;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod whole_numbers;

pub use box_form::{BoxForm, BoxFormat, BoxScale};
pub use candidates::Labelling;
pub use decoder::{DecodeError, Decoder};
pub use extras::Extras;
pub use score_form::ScoreActivation;
