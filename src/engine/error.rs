//! [`EngineError`]: a model could not be loaded or run, in words for the user.

use super::{EngineKind, Precision};
use crate::base::tensor::TensorSpec;
use std::error::Error;
use std::fmt;
use std::path::PathBuf;

/// An engine's own error, kept for [`Error::source`].
pub type Cause = Box<dyn Error + Send + Sync>;

/// The reason why a model could not be loaded or run.
#[derive(Debug)]
pub enum EngineError {
    /// The engine's library was not found.
    NotInstalled {
        /// The engine.
        engine: EngineKind,
        /// The environment variable that names a place, and that place, if one is set.
        pointed_at: Option<(&'static str, PathBuf)>,
        /// Instructions for the user: what to install, and how to name its place.
        remedy: &'static str,
    },
    /// The engine's library cannot be used.
    Library {
        /// The engine.
        engine: EngineKind,
        /// Path of the library.
        path: PathBuf,
        /// The problem, in words.
        reason: String,
        /// The engine's own error.
        source: Option<Cause>,
    },
    /// The process has already loaded another library of this engine, and can have only one.
    OtherLibrary {
        /// The engine.
        engine: EngineKind,
        /// Path that was asked for.
        asked: PathBuf,
        /// Path that is loaded.
        loaded: PathBuf,
    },
    /// The engine or the processor does not offer this arithmetic.
    Precision {
        /// The engine.
        engine: EngineKind,
        /// The precision that was asked for.
        asked: Precision,
        /// The precisions it offers, in words.
        takes: String,
    },
    /// The engine refused the graph.
    Load {
        /// The engine.
        engine: EngineKind,
        /// The problem, in words.
        reason: String,
        /// The engine's own error.
        source: Option<Cause>,
    },
    /// A tensor of the model is beyond what any engine is given.
    TooLarge {
        /// The engine.
        engine: EngineKind,
        /// The tensor, its size and the limit.
        reason: String,
    },
    /// The graph has operators that the engine lacks.
    Operator {
        /// The engine.
        engine: EngineKind,
        /// The operators.
        names: Vec<String>,
    },
    /// The input does not have the model's shape or type.
    Shape {
        /// The input that was given.
        found: TensorSpec,
        /// The input that the model takes.
        expected: TensorSpec,
    },
    /// The graph failed on this input.
    Run {
        /// The engine.
        engine: EngineKind,
        /// The problem, in words.
        reason: String,
        /// The engine's own error.
        source: Option<Cause>,
    },
    /// A child process that tried the model was not done in time.
    Slow {
        /// The engine.
        engine: EngineKind,
        /// How long it was given, in words.
        reason: String,
    },
    /// No child process could try the model first, and the user has not asked for this engine.
    Untried {
        /// The engine.
        engine: EngineKind,
        /// Why there was no child.
        reason: String,
    },
    /// The engine panicked.
    Panic {
        /// The engine.
        engine: EngineKind,
        /// Text of the panic.
        text: String,
    },
}

impl EngineError {
    /// Returns which engines may run the model that this one cannot, in words.
    fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Load { engine, .. }
            | Self::Operator { engine, .. }
            | Self::Run { engine, .. }
            | Self::Panic { engine, .. } => Some(others(*engine)),
            _ => None,
        }
    }

    /// Writes what happened, without advice.
    pub(super) fn summary(&self) -> impl fmt::Display {
        struct Summary<'a>(&'a EngineError);
        impl fmt::Display for Summary<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.write(f)
            }
        }
        Summary(self)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled {
                engine,
                pointed_at,
                remedy,
            } => write_absent(f, *engine, pointed_at.as_ref(), remedy),
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
                "this process has already loaded {} for {engine}, so it cannot load {}",
                loaded.display(),
                asked.display()
            ),
            Self::Precision {
                engine,
                asked,
                takes,
            } => write!(
                f,
                "{engine} does not offer precision {asked}, expected {takes}"
            ),
            Self::Load { engine, reason, .. }
            | Self::Slow { engine, reason }
            | Self::TooLarge { engine, reason } => {
                write!(f, "{engine} refuses the model: {reason}")
            }
            Self::Operator { engine, names } => {
                let plural = if names.len() == 1 { "" } else { "s" };
                let names = names.join(", ");
                write!(
                    f,
                    "{engine} lacks the operator{plural} {names} of this model"
                )
            }
            Self::Shape { found, expected } => write!(f, "input is {found}, expected {expected}"),
            Self::Run { engine, reason, .. } => {
                write!(f, "{engine} cannot run the model: {reason}")
            }
            Self::Untried { engine, reason } => write_untried(f, *engine, reason),
            Self::Panic { engine, text } => write!(f, "{engine} panicked: {text}"),
        }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)?;
        match self.advice() {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
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
            | Self::TooLarge { .. }
            | Self::Operator { .. }
            | Self::Shape { .. }
            | Self::Slow { .. }
            | Self::Untried { .. }
            | Self::Panic { .. } => None,
        }
    }
}

/// Writes that a library was not found, where it was looked for, and what to do.
fn write_absent(
    f: &mut fmt::Formatter<'_>,
    engine: EngineKind,
    pointed_at: Option<&(&'static str, PathBuf)>,
    remedy: &str,
) -> fmt::Result {
    write!(f, "the library of {engine} was not found")?;
    if let Some((variable, path)) = pointed_at {
        write!(f, " (not at {}, which {variable} names)", path.display())?;
    }
    write!(f, ": {remedy}")
}

/// Writes why an engine was left out, and how to use it all the same.
fn write_untried(f: &mut fmt::Formatter<'_>, engine: EngineKind, reason: &str) -> fmt::Result {
    write!(
        f,
        "{engine} is not used, for no child process can try the model first: {reason} (engine={engine} uses it all the same)"
    )
}

/// Shortens an engine's message to one readable line; some messages contain whole nodes.
pub(super) fn shortened(message: &str) -> String {
    const LONGEST: usize = 300;
    let words: Vec<_> = message.split_whitespace().collect();
    let text = words.join(" ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Returns in words which engines might run what this one cannot.
fn others(engine: EngineKind) -> &'static str {
    match engine {
        EngineKind::Tract => {
            "the engines onnxruntime and openvino have more operators and may run it"
        }
        EngineKind::OnnxRuntime => "the engine openvino may run it",
        EngineKind::OpenVino => "the engine onnxruntime may run it",
        EngineKind::Auto => "no engine on this machine can run it",
        #[cfg(feature = "stub-engine")]
        EngineKind::Stub => "another engine may run it",
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
             the engines onnxruntime and openvino have more operators and may run it"
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
        assert_eq!(
            load.to_string(),
            "tract refuses the model: odd; \
             the engines onnxruntime and openvino have more operators and may run it"
        );
        assert_eq!(load.summary().to_string(), "tract refuses the model: odd");
        for (engine, other) in [
            (EngineKind::Tract, "onnxruntime and openvino"),
            (EngineKind::OnnxRuntime, "openvino"),
            (EngineKind::OpenVino, "onnxruntime"),
        ] {
            let text = "odd".to_owned();
            let run = EngineError::Run {
                engine,
                reason: text.clone(),
                source: None,
            };
            for error in [run, EngineError::Panic { engine, text }] {
                let told = error.to_string();
                assert!(
                    told.contains(other) && told.ends_with("may run it"),
                    "{told}"
                );
            }
        }
        let reason = "a tensor of a terabyte".to_owned();
        let large = EngineError::TooLarge { engine, reason }.to_string();
        assert!(large.ends_with("terabyte"), "no engine may run it: {large}");
        assert_eq!(
            load.source().map(ToString::to_string).as_deref(),
            Some("deeper")
        );
    }
}
