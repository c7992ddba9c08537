//! [`Engine`]: the border to whatever runs the graph. Bytes of a prepared ONNX in, tensors in, tensors out.
//!
//! Nothing of an engine but its errors crosses: a panic inside one is caught where it is called and comes out as
//! [`EngineError::Panic`].

mod shelf;
#[cfg(feature = "stub-engine")]
pub mod stub;
mod tract;

use crate::model::Model;
use crate::tensor::{Tensor, TensorSpec};
use std::error::Error;
use std::fmt;

/// A model loaded for inference.
pub trait Engine: Send {
    /// The outputs in model order, with their dims where the graph fixes them (0 where it does not).
    fn outputs(&self) -> &[TensorSpec];

    /// Runs the model on one input of the shape and type of the model's input spec.
    ///
    /// Outputs come in model order. Blocks for the whole inference. After an error the engine may be used again.
    ///
    /// # Errors
    /// [`EngineError::Shape`] if `input` differs from the model's input; [`EngineError::Run`] if the graph fails;
    /// [`EngineError::Panic`] if the engine does.
    fn run(&mut self, input: &Tensor) -> Result<Vec<Tensor>, EngineError>;

    /// A second one of the same model that runs beside this one and shares its weights.
    ///
    /// # Errors
    /// [`EngineError::Load`] if there is no memory for what is not shared.
    fn another(&self) -> Result<Box<dyn Engine>, EngineError>;
}

/// Which engine runs a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EngineKind {
    /// Built in, needs nothing.
    #[default]
    Tract,
    /// Canned answers, for tests.
    #[cfg(feature = "stub-engine")]
    Stub,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tract => "tract",
            #[cfg(feature = "stub-engine")]
            Self::Stub => "stub",
        })
    }
}

/// How an engine shall work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct EngineOptions {
    /// Threads for one inference; 0 = a good choice for this machine.
    pub threads: usize,
}

/// Loads a model.
///
/// Takes as long as the engine needs to optimise the graph, unless the same model is open already: then the weights are
/// shared with it. Threads that the engine starts inherit the processor
/// affinity of the calling thread.
///
/// # Errors
/// [`EngineError::Operator`] if the engine lacks an operator; [`EngineError::Load`] for whatever else is wrong with
/// the graph; [`EngineError::Panic`] if the engine panics on it.
pub fn open(
    kind: EngineKind,
    model: &Model,
    options: &EngineOptions,
) -> Result<Box<dyn Engine>, EngineError> {
    let tract = || tract::Tract::open(&model.bytes, &model.input, options);
    match kind {
        EngineKind::Tract => {
            let key = shelf::Key::new(kind, model, options);
            shelf::open(key, || Ok(Box::new(tract()?)))
        }
        #[cfg(feature = "stub-engine")]
        EngineKind::Stub => {
            let control = stub::Control::of(model.path.as_deref());
            let outputs = tract()?.outputs().to_vec();
            Ok(Box::new(stub::StubEngine::new(
                control,
                &model.input,
                outputs,
            )))
        }
    }
}

/// What an engine said, kept for [`Error::source`].
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a model could not be loaded or run.
#[derive(Debug)]
pub enum EngineError {
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
            Self::Load { source, .. } | Self::Run { source, .. } => source
                .as_ref()
                .map(|source| &**source as &(dyn Error + 'static)),
            Self::Operator { .. } | Self::Shape { .. } | Self::Panic { .. } => None,
        }
    }
}

/// Which engines might do what this one cannot, in words.
fn others(engine: EngineKind) -> &'static str {
    match engine {
        EngineKind::Tract => {
            "the engines onnxruntime and openvino know more operators and might do"
        }
        #[cfg(feature = "stub-engine")]
        EngineKind::Stub => "any engine might do",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Element;

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
