//! [`ModelError`]: why a model cannot be opened.

use crate::families::FamilyError;
use crate::onnx::error::OnnxError;
use std::fmt;
use std::path::PathBuf;

/// Why a model cannot be opened.
#[derive(Debug)]
pub enum ModelError {
    /// The file cannot be used as a model.
    Onnx(OnnxError),
    /// More than one family fits.
    Ambiguous {
        /// Each reading with its evidence.
        readings: Vec<String>,
    },
    /// Several outputs can be read, and nothing tells which is meant.
    Outputs {
        /// Each output with the way it can be read.
        tables: Vec<String>,
        /// Their names.
        names: Vec<String>,
    },
    /// A value of the card, or the card as a whole.
    Card {
        /// Path of the file.
        path: PathBuf,
        /// The fault and its place.
        what: String,
    },
    /// A file of labels that cannot be read.
    Labels {
        /// Path of the file.
        path: PathBuf,
        /// The fault and its place.
        what: String,
    },
}

impl From<OnnxError> for ModelError {
    fn from(error: OnnxError) -> Self {
        Self::Onnx(error)
    }
}

impl From<FamilyError> for ModelError {
    fn from(error: FamilyError) -> Self {
        match error {
            FamilyError::Onnx(error) => Self::Onnx(error),
            FamilyError::Ambiguous { readings } => Self::Ambiguous { readings },
            FamilyError::Card { path, what } => Self::Card { path, what },
        }
    }
}

/// Ends the message about a model that was not recognised: the cards with which it would be, if there are any.
fn card_help(cards: &[String]) -> String {
    const CARD: &str = "the file x.detect.json beside x.onnx";
    if cards.is_empty() {
        return format!("No card, {CARD}, would change that");
    }
    format!(
        "If it is one, say so in a card, {CARD}: {}. The guide tells the keys for how pictures are prepared",
        cards.join(" or ")
    )
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Onnx(error @ OnnxError::NotADetector { cards, .. }) => {
                write!(f, "{error}. {}", card_help(cards))
            }
            Self::Onnx(error) => error.fmt(f),
            Self::Ambiguous { readings } => {
                let readings = readings.clone();
                FamilyError::Ambiguous { readings }.fmt(f)
            }
            Self::Outputs { tables, names } => {
                let names: Vec<String> = (names.iter())
                    .map(|name| format!("{{\"output\": \"{name}\"}}"))
                    .collect();
                write!(
                    f,
                    "{} outputs can be read, and nothing in the file tells which is meant: {}. A card, the file \
                     x.detect.json beside x.onnx, decides: {}",
                    tables.len(),
                    tables.join("; "),
                    names.join(" or ")
                )
            }
            Self::Card { path, what } => write!(f, "card {}: {what}", path.display()),
            Self::Labels { path, what } => write!(f, "labels {}: {what}", path.display()),
        }
    }
}

impl std::error::Error for ModelError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Onnx(error) => error.source(),
            Self::Ambiguous { .. }
            | Self::Outputs { .. }
            | Self::Card { .. }
            | Self::Labels { .. } => None,
        }
    }
}
