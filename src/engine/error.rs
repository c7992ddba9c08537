//! [`EngineError`]: why a model could not be loaded or run, in words for the user.

use super::{EngineKind, Precision};
use crate::base::tensor::TensorSpec;
use std::error::Error;
use std::fmt;
use std::path::PathBuf;

/// What an engine said, kept for [`Error::source`].
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a model could not be loaded or run.
#[derive(Debug)]
pub enum EngineError {
    /// The library of the engine was found nowhere.
    NotInstalled {
        engine: EngineKind,
        /// The variable of the environment that says where it is, and the place, if one does.
        pointed_at: Option<(&'static str, PathBuf)>,
        /// What to install, and how to say where it is.
        remedy: &'static str,
    },
    /// The library of the engine cannot be used.
    Library {
        engine: EngineKind,
        path: PathBuf,
        reason: String,
        source: Option<Cause>,
    },
    /// The process has loaded another library of the engine before, and can have but one.
    OtherLibrary {
        engine: EngineKind,
        asked: PathBuf,
        loaded: PathBuf,
    },
    /// Engine or processor has no such arithmetic.
    Precision {
        engine: EngineKind,
        asked: Precision,
        /// What can be had, in words.
        takes: String,
    },
    /// The graph was refused.
    Load {
        engine: EngineKind,
        reason: String,
        source: Option<Cause>,
    },
    /// The graph has operators that the engine lacks.
    Operator {
        engine: EngineKind,
        names: Vec<String>,
    },
    /// The input is not the model's.
    Shape {
        found: TensorSpec,
        expected: TensorSpec,
    },
    /// The graph failed on this input.
    Run {
        engine: EngineKind,
        reason: String,
        source: Option<Cause>,
    },
    /// The engine panicked, with this text.
    Panic { engine: EngineKind, text: String },
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled {
                engine,
                pointed_at,
                remedy,
            } => {
                write!(f, "the library of {engine} is not on this machine")?;
                if let Some((variable, path)) = pointed_at {
                    write!(f, " (not at {}, which {variable} names)", path.display())?;
                }
                write!(f, ": {remedy}")
            }
            Self::Library {
                engine,
                path,
                reason,
                ..
            } => {
                let path = path.display();
                write!(
                    f,
                    "the library of {engine}, {path}, cannot be used: {reason}"
                )
            }
            Self::OtherLibrary {
                engine,
                asked,
                loaded,
            } => write!(
                f,
                "this process has loaded {} for {engine}, and cannot load {} beside it",
                loaded.display(),
                asked.display()
            ),
            Self::Precision {
                engine,
                asked,
                takes,
            } => write!(
                f,
                "precision {asked} cannot be had of {engine}, which takes {takes}"
            ),
            Self::Load { engine, reason, .. } => write!(f, "{engine} refuses the model: {reason}"),
            Self::Operator { engine, names } => {
                let plural = if names.len() == 1 { "" } else { "s" };
                let names = names.join(", ");
                write!(
                    f,
                    "{engine} lacks the operator{plural} {names} of this model; {}",
                    others(*engine)
                )
            }
            Self::Shape { found, expected } => write!(f, "input is {found}, expected {expected}"),
            Self::Run { engine, reason, .. } => {
                write!(f, "{engine} cannot run the model: {reason}")
            }
            Self::Panic { engine, text } => write!(f, "{engine} panicked: {text}"),
        }
    }
}

impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Load { source, .. } | Self::Run { source, .. } | Self::Library { source, .. } => {
                source
                    .as_ref()
                    .map(|source| &**source as &(dyn Error + 'static))
            }
            Self::NotInstalled { .. }
            | Self::OtherLibrary { .. }
            | Self::Precision { .. }
            | Self::Operator { .. }
            | Self::Shape { .. }
            | Self::Panic { .. } => None,
        }
    }
}

/// An engine's message in one line of readable length: some print whole nodes.
pub(super) fn shortened(message: &str) -> String {
    const LONGEST: usize = 300;
    let words: Vec<_> = message.split_whitespace().collect();
    let text = words.join(" ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Which engines might do what this one cannot, in words.
fn others(engine: EngineKind) -> &'static str {
    match engine {
        EngineKind::Tract => {
            "the engines onnxruntime and openvino know more operators and might do"
        }
        EngineKind::OnnxRuntime => "the engine openvino might do",
        EngineKind::OpenVino => "the engine onnxruntime might do",
        EngineKind::Auto => "no engine on this machine has it",
        #[cfg(feature = "stub-engine")]
        EngineKind::Stub => "any engine might do",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tensor::Element;

    #[test]
    fn errors_name_what_was_met() {
        let engine = EngineKind::Tract;
        let one = EngineError::Operator {
            engine,
            names: vec!["GroupNorm".into()],
        };
        assert_eq!(
            one.to_string(),
            "tract lacks the operator GroupNorm of this model; \
             the engines onnxruntime and openvino know more operators and might do"
        );
        let two = EngineError::Operator {
            engine,
            names: vec!["A".into(), "B".into()],
        };
        assert!(two.to_string().contains("operators A, B"), "{two}");
        let spec = |dims: &[usize]| TensorSpec {
            name: "x".into(),
            dims: dims.to_vec(),
            element: Element::F32,
        };
        let shape = EngineError::Shape {
            found: spec(&[1, 2]),
            expected: spec(&[1, 3]),
        };
        assert_eq!(
            shape.to_string(),
            "input is x [1, 2] float32, expected x [1, 3] float32"
        );
        let load = EngineError::Load {
            engine,
            reason: "odd".into(),
            source: Some("deeper".into()),
        };
        assert_eq!(load.to_string(), "tract refuses the model: odd");
        assert_eq!(
            load.source().map(ToString::to_string).as_deref(),
            Some("deeper")
        );
    }
}
