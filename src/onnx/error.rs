//! [`OnnxError`]: why a file cannot be used as a model.

use crate::base::geometry::Size;
use std::path::PathBuf;
use std::{fmt, io};

/// Why a file cannot be used as a model.
#[derive(Debug)]
pub enum OnnxError {
    /// No such file.
    NotFound {
        /// Path of the file.
        path: PathBuf,
    },
    /// The file exists but cannot be read: permission, a disk error.
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The path is a folder, a device or a pipe.
    NotAFile {
        /// Path of the file.
        path: PathBuf,
    },
    /// The file has no bytes.
    Empty {
        /// Path of the file.
        path: PathBuf,
    },
    /// No ONNX model.
    NotOnnx {
        /// The reason.
        why: String,
    },
    /// The end of the ONNX file is missing.
    Truncated {
        /// Size that was found.
        found: u64,
        /// The reason.
        why: String,
    },
    /// Weights are in a second file that cannot be read.
    ExternalData {
        /// Name of the second file.
        file: String,
        /// The reason.
        why: String,
    },
    /// A file or tensor is beyond the allocation budget.
    TooLarge {
        /// The input, file or tensor.
        what: String,
        /// Size that was found.
        found: String,
        /// Most that is allowed.
        limit: String,
    },
    /// The file is ONNX, but nothing in it looks like a known detector.
    NotADetector {
        /// The reason.
        why: String,
        /// Inputs of the graph, for people.
        inputs: String,
        /// Outputs of the graph, for people.
        outputs: String,
        /// Cards, in JSON, with which it would be read; none if no card would help.
        cards: Vec<String>,
    },
    /// A detector that we know but cannot feed: batch, number type.
    Unsupported {
        /// The input, file or tensor.
        what: String,
    },
    /// An input size that the model does not take.
    InputSize {
        /// Size that was asked for.
        asked: Size,
        /// Sizes that the model takes, for people.
        takes: String,
    },
    /// A rewrite is needed, but writing the file anew would lose something.
    Lossy {
        /// The rewrites, for people.
        needed: String,
        /// Numbers of the fields that would be lost.
        fields: Vec<String>,
    },
}

impl fmt::Display for OnnxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { path } => write!(f, "there is no file {}", path.display()),
            Self::Read { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            Self::NotAFile { path } => {
                write!(
                    f,
                    "{} is not a regular file, expected an ONNX file",
                    path.display()
                )
            }
            Self::Empty { path } => write!(f, "{} is empty, expected an ONNX file", path.display()),
            Self::NotOnnx { why } => write!(f, "not an ONNX model: {why}"),
            Self::Truncated { found, why } => {
                write!(
                    f,
                    "the ONNX model ends too early, after {found} bytes: {why}"
                )
            }
            Self::ExternalData { file, why } => {
                write!(
                    f,
                    "the model keeps weights in a second file, \"{file}\": {why}"
                )
            }
            Self::TooLarge { what, found, limit } => {
                write!(f, "{what} is too large: {found}, at most {limit}")
            }
            Self::NotADetector {
                why,
                inputs,
                outputs,
                ..
            } => write!(
                f,
                "no detector that is known here: {why}. Inputs: {inputs}. Outputs: {outputs}"
            ),
            Self::Unsupported { what } => f.write_str(what),
            Self::InputSize { asked, takes } => {
                write!(
                    f,
                    "input size {asked} was asked for, but the model takes {takes}"
                )
            }
            Self::Lossy { needed, fields } => write!(
                f,
                "{needed}, and the file cannot be written anew without losing what is not understood in it: {}",
                fields.join(", ")
            ),
        }
    }
}

impl std::error::Error for OnnxError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            _ => None,
        }
    }
}
