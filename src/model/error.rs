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

/// An example of a card; ends the message about a model that was not recognised.
const CARD_HELP: &str = "If it is one, say so in a card, the file x.detect.json beside x.onnx, for example \
    {\"decode\": \"yolov8\", \"num_classes\": 80, \"input\": {\"colour\": \"RGB\", \"mean\": [0, 0, 0], \
    \"std\": [255, 255, 255], \"resize_mode\": \"letterbox_center\", \"pad_value\": 114}}";

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Onnx(error @ OnnxError::NotADetector { .. }) => write!(f, "{error}. {CARD_HELP}"),
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
