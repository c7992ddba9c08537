//! [`FamilyError`]: why a model is not of one family, or a card does not fit it.

use crate::onnx::error::OnnxError;
use std::fmt;
use std::path::PathBuf;

/// Why a model is not of one family, or a card does not fit it.
#[derive(Debug)]
pub enum FamilyError {
    /// No family fits, or the file has more classes than a detector has.
    Onnx(OnnxError),
    /// More than one family fits.
    Ambiguous {
        /// Each reading with its evidence.
        readings: Vec<String>,
    },
    /// A value of the card, or the card as a whole.
    Card {
        /// Path of the file.
        path: PathBuf,
        /// The fault and its place.
        what: String,
    },
}

impl From<OnnxError> for FamilyError {
    fn from(error: OnnxError) -> Self {
        Self::Onnx(error)
    }
}

impl fmt::Display for FamilyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Onnx(error) => error.fmt(f),
            Self::Ambiguous { readings } => write!(
                f,
                "the model can be read in {} ways: {}. A card, the file x.detect.json beside x.onnx, decides with \
                 the keys decode, transposed and input.colour, mean, std, resize_mode",
                readings.len(),
                readings.join("; or ")
            ),
            Self::Card { path, what } => write!(f, "card {}: {what}", path.display()),
        }
    }
}

impl std::error::Error for FamilyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Onnx(error) => error.source(),
            Self::Ambiguous { .. } | Self::Card { .. } => None,
        }
    }
}
