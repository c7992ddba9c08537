//! [`Engine`]: the border to whatever runs the graph. Bytes of a prepared ONNX in, tensors in, tensors out.
//!
//! Nothing of an engine but its errors crosses: a panic inside one is caught where it is called and comes out as
//! [`EngineError::Panic`].
//!
//! `tract` is built in. `onnxruntime` and `openvino` are libraries that [`library`] looks for when a model asks for
//! them, never before; a process has at most one of each, until its end. `auto` measures which of them is fastest.

mod auto;
mod error;
mod form;
mod library;
mod onnxruntime;
mod openvino;
mod shelf;
#[cfg(feature = "stub-engine")]
pub mod stub;
mod tract;

pub use error::{Cause, EngineError};

use crate::base::tensor::{InputSpec, Tensor, TensorSpec};
use crate::model::Model;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A model loaded for inference.
pub trait Engine: Send {
    /// The outputs in model order, with their dims where the graph fixes them (0 where it does not).
    fn outputs(&self) -> &[TensorSpec];

    /// Runs the model on one input of the shape and type of the model's input spec.
    ///
    /// `outputs` become those of the model, in its order; the memory of what they were is used again. Blocks for the
    /// whole inference. After an error the engine may be used again, and `outputs` are of no use.
    ///
    /// # Errors
    /// [`EngineError::Shape`] if `input` differs from the model's input; [`EngineError::Run`] if the graph fails;
    /// [`EngineError::Panic`] if the engine does.
    fn run_into(&mut self, input: &Tensor, outputs: &mut Vec<Tensor>) -> Result<(), EngineError>;

    /// As [`Self::run_into`], into new memory.
    ///
    /// # Errors
    /// Those of [`Self::run_into`].
    fn run(&mut self, input: &Tensor) -> Result<Vec<Tensor>, EngineError> {
        let mut outputs = Vec::new();
        self.run_into(input, &mut outputs)?;
        Ok(outputs)
    }

    /// A second one of the same model that runs at the same time as this one, with `threads` of its own where threads
    /// are not shared too. It shares the weights where the engine can; one that cannot makes it of `bytes`, those that
    /// this one was made of.
    ///
    /// # Errors
    /// [`EngineError::Load`] if there is no memory for what is not shared.
    fn another(&self, threads: usize, bytes: &[u8]) -> Result<Box<dyn Engine>, EngineError>;

    /// Lets go of what the calling thread, which has run it, keeps for it: before another thread does.
    fn release_thread(&mut self) {}
}

/// Which engine runs a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EngineKind {
    /// Built in, needs nothing.
    #[default]
    Tract,
    /// ONNX Runtime, where its library is installed.
    OnnxRuntime,
    /// OpenVINO, where its library is installed.
    OpenVino,
    /// The fastest of these for the model and machine.
    Auto,
    /// Canned answers, for tests.
    #[cfg(feature = "stub-engine")]
    Stub,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tract => "tract",
            Self::OnnxRuntime => "onnxruntime",
            Self::OpenVino => "openvino",
            Self::Auto => "auto",
            #[cfg(feature = "stub-engine")]
            Self::Stub => "stub",
        })
    }
}

/// The arithmetic of an inference, where engine and processor have a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// 16 bits where the processor computes with them and the engine would by itself, else 32.
    #[default]
    Auto,
    F32,
    F16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::F16 => "f16",
        })
    }
}

/// How an engine shall work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct EngineOptions {
    /// Threads for one inference; 0 = a good choice for this machine.
    pub threads: usize,
    pub precision: Precision,
    /// Inferences at the same time, each by an engine of its own with as many threads; 0 and 1 = one.
    pub at_once: usize,
}

/// All cores of a Raspberry Pi; more were not measured.
const MAX_GOOD_THREADS: usize = 4;

impl EngineOptions {
    /// Threads for one inference. 0 are one for each processor that the calling thread may use, at most
    /// [`MAX_GOOD_THREADS`].
    pub(crate) fn good_threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_GOOD_THREADS)),
            n => n,
        }
    }

    /// For an engine whose arithmetic is fixed.
    fn refuse_f16(&self, engine: EngineKind) -> Result<(), EngineError> {
        match self.precision {
            Precision::Auto | Precision::F32 => Ok(()),
            Precision::F16 => Err(EngineError::Precision {
                engine,
                asked: self.precision,
                takes: "auto and f32".into(),
            }),
        }
    }
}

/// A loaded model, and what there is to tell of its engine.
pub struct Opened {
    pub engine: Box<dyn Engine>,
    /// What runs the model; never [`EngineKind::Auto`].
    pub kind: EngineKind,
    /// It runs [`Model::quantised`], not [`Model::bytes`].
    pub quantised: bool,
    /// Why this one, which library it is, and which form of a quantised model it runs, in words.
    pub reason: String,
}

/// Loads a model.
///
/// Takes as long as the engine needs to optimise the graph, unless the same model is open already: then the weights are
/// shared with it, but not by ONNX Runtime. [`EngineKind::Auto`] takes a second more for measuring, unless the user's
/// cache folder tells what was measured before. Threads that the engine starts inherit the processor affinity of the
/// calling thread.
///
/// # Errors
/// [`EngineError::NotInstalled`], [`EngineError::Library`] and [`EngineError::OtherLibrary`] if the engine's library
/// cannot be had; [`EngineError::Precision`] for arithmetic that engine or processor has not;
/// [`EngineError::Operator`] if the engine lacks an operator; [`EngineError::Load`] for whatever else is wrong with the
/// graph; [`EngineError::Panic`] if the engine panics on it.
pub fn open(
    kind: EngineKind,
    model: &Model,
    options: &EngineOptions,
) -> Result<Opened, EngineError> {
    if kind == EngineKind::Auto {
        return auto::open(model, options);
    }
    let chosen = open_one(kind, model, options)?;
    Ok(chosen.opened(kind, "asked for".into()))
}

/// An engine, and its library in words where it has one.
type WithLibrary = (Box<dyn Engine>, Option<String>);

/// One engine that is not `auto`, of the form of the model that suits it.
fn open_one(
    kind: EngineKind,
    model: &Model,
    options: &EngineOptions,
) -> Result<form::Chosen, EngineError> {
    form::open(kind, model, options.precision, |bytes, precision| {
        let options = EngineOptions {
            precision,
            ..*options
        };
        open_form(kind, model, bytes, &options)
    })
}

/// As [`open_one`], of `bytes`, one form of the model.
fn open_form(
    kind: EngineKind,
    model: &Model,
    bytes: &[u8],
    options: &EngineOptions,
) -> Result<WithLibrary, EngineError> {
    let tract = || tract::Tract::open(bytes, &model.input, options);
    let shared = |kind, load: &dyn Fn() -> Result<WithLibrary, EngineError>| {
        let key = shelf::Key::new(kind, bytes, &model.input, options);
        shelf::open(key, options.good_threads(), bytes, load)
    };
    match kind {
        EngineKind::Tract | EngineKind::Auto => {
            shared(EngineKind::Tract, &|| Ok((Box::new(tract()?), None)))
        }
        // Not from the shelf: each engine is a session of its own.
        EngineKind::OnnxRuntime => {
            tract::check_constants(kind, bytes)?;
            let (engine, library) = onnxruntime::OnnxRuntime::open(model, bytes, options)?;
            Ok((Box::new(engine), Some(library)))
        }
        EngineKind::OpenVino => shared(kind, &|| {
            tract::check_constants(kind, bytes)?;
            let (engine, library) = openvino::OpenVino::open(model, bytes, options)?;
            Ok((Box::new(engine), Some(library)))
        }),
        #[cfg(feature = "stub-engine")]
        EngineKind::Stub => {
            let control = stub::Control::of(model.path.as_deref());
            let outputs = tract()?.outputs().to_vec();
            let engine = stub::StubEngine::new(control, &model.input, outputs);
            Ok((Box::new(engine), None))
        }
    }
}

/// What a model's input looks like.
fn input_spec(input: &InputSpec) -> TensorSpec {
    TensorSpec {
        name: input.name.clone(),
        dims: input.dims().to_vec(),
        element: input.element,
    }
}

/// Refuses an input that is not of `expected` shape and type, or whose numbers are not as many as its dims say.
fn check_input(input: &Tensor, expected: &TensorSpec) -> Result<(), EngineError> {
    let as_expected = input.dims == expected.dims
        && input.data.element() == expected.element
        && input.data.len() == input.dims.iter().product::<usize>();
    if as_expected {
        Ok(())
    } else {
        Err(EngineError::Shape {
            found: input.spec(),
            expected: expected.clone(),
        })
    }
}

/// Makes `outputs` as many as there are `specs`, and gives each its name; numbers are still what they were.
fn arrange<'a>(
    outputs: &'a mut Vec<Tensor>,
    specs: &'a [TensorSpec],
) -> impl Iterator<Item = (&'a mut Tensor, &'a TensorSpec)> {
    outputs.resize_with(specs.len(), || Tensor::empty(""));
    for (output, spec) in outputs.iter_mut().zip(specs) {
        if output.name != spec.name {
            output.name.clone_from(&spec.name);
        }
    }
    outputs.iter_mut().zip(specs)
}

/// The outputs of a loaded engine. Without dims are numbers, and outputs of whose shape the graph says nothing: a run
/// tells how many dims those have.
fn with_ranks(engine: &mut dyn Engine, input: &InputSpec) -> Result<Vec<TensorSpec>, EngineError> {
    let mut outputs = engine.outputs().to_vec();
    if outputs.iter().any(|output| output.dims.is_empty()) {
        let found = engine.run(&input.blank())?;
        for (output, found) in outputs.iter_mut().zip(&found) {
            if output.dims.is_empty() {
                output.dims = vec![0; found.dims.len()];
            }
        }
    }
    Ok(outputs)
}

/// Runs `work`; a panic in it, which engines and their bindings answer to some odd models with, becomes an error.
///
/// Whoever looks at the engine after a panic must see no half-made state.
fn caught<T>(
    engine: EngineKind,
    work: impl FnOnce() -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let text = (payload.downcast_ref::<&str>().map(ToString::to_string))
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "without a message".into());
        Err(EngineError::Panic { engine, text })
    })
}
