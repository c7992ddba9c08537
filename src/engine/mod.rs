//! [`Engine`]: the border to whatever runs the graph. Bytes of a prepared ONNX in, tensors in, tensors out.
//!
//! Only errors of an engine cross the border. A panic inside an engine is caught at the call and becomes
//! [`EngineError::Panic`].
//!
//! `tract` is built in. `onnxruntime` and `openvino` are libraries that `library` looks for when a model asks for
//! them, never before. A process has at most one of each, until it ends. `auto` measures which engine is fastest.
//! Either library, and every model for it, is tried in a child process first, see [`probe`].

mod auto;
mod budget;
mod cache_folder;
mod error;
mod library;
mod onnxruntime;
mod openvino;
pub mod panics;
pub mod probe;
mod quantised_form;
#[cfg(feature = "stub-engine")]
pub mod stub;
mod tract;
mod weight_cache;

pub use error::{Cause, EngineError};

use crate::base::tensor::{InputSpec, Tensor, TensorSpec};
use crate::model::Model;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A model loaded for inference.
pub trait Engine: Send {
    /// Returns the outputs in model order, with 0 for dims that the graph leaves open.
    fn outputs(&self) -> &[TensorSpec];

    /// Runs the model on one input with the shape and type of the model's input spec.
    ///
    /// `outputs` become those of the model, in its order; their memory is reused. Blocks for the whole inference. After
    /// an error the engine can be used again, but `outputs` are meaningless.
    ///
    /// # Errors
    /// [`EngineError::Shape`] if `input` differs from the model's input; [`EngineError::Run`] if the graph fails;
    /// [`EngineError::Panic`] if the engine panics.
    fn run_into(&mut self, input: &Tensor, outputs: &mut Vec<Tensor>) -> Result<(), EngineError>;

    /// Runs the model like [`Self::run_into`], with new memory for the outputs.
    ///
    /// # Errors
    /// The same as for [`Self::run_into`].
    fn run(&mut self, input: &Tensor) -> Result<Vec<Tensor>, EngineError> {
        let mut outputs = Vec::new();
        self.run_into(input, &mut outputs)?;
        Ok(outputs)
    }

    /// Creates another instance for concurrent inference.
    ///
    /// It shares the weights where the engine can; otherwise it loads them from `bytes`, which must be the ones this
    /// engine was opened with. It gets `threads` of its own unless threads are shared too.
    ///
    /// # Errors
    /// [`EngineError::Load`] if memory for the unshared part runs out.
    fn another(&self, threads: usize, bytes: &[u8]) -> Result<Box<dyn Engine>, EngineError>;

    /// Frees this engine's thread-local buffers. Call it before moving the engine to another thread.
    fn release_thread(&mut self) {}
}

/// Which engine runs a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EngineKind {
    /// The built-in engine, which needs nothing.
    #[default]
    Tract,
    /// ONNX Runtime, if its library is installed.
    OnnxRuntime,
    /// OpenVINO, if its library is installed.
    OpenVino,
    /// The fastest of these for the model and the machine.
    Auto,
    /// Canned answers for tests.
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

/// Arithmetic of an inference, where engine and processor offer a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// 16 bits if the processor computes with them and the engine would choose them, otherwise 32.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
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

/// Settings of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct EngineOptions {
    /// Threads for one inference; 0 = a good choice for this machine.
    pub threads: usize,
    /// Arithmetic to use.
    pub precision: Precision,
    /// Inferences at the same time, each by its own instance with `threads` threads; 0 and 1 = one.
    pub at_once: usize,
    /// Most multiply-adds of an inference; none = [`DEFAULT_MAX_COMPUTE`].
    pub max_compute: Option<u64>,
}

/// Multiply-adds that an inference may take: twenty minutes on one core of a Raspberry Pi 5. YOLOv8x at 1280 takes 10^12 / 2.
pub const DEFAULT_MAX_COMPUTE: u64 = 10_000_000_000_000;

/// Upper limit of the default: the cores of a Raspberry Pi. Two threads of the built-in engine analyse 1.6 times the frames
/// of one; more were not measured.
const MAX_GOOD_THREADS: usize = 4;

impl EngineOptions {
    /// Returns the most multiply-adds of an inference.
    fn most_compute(&self) -> u64 {
        self.max_compute.unwrap_or(DEFAULT_MAX_COMPUTE)
    }

    /// Returns the threads for one inference. The default is one for each processor that the calling thread may use, up
    /// to [`MAX_GOOD_THREADS`].
    pub(crate) fn good_threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_GOOD_THREADS)),
            n => n,
        }
    }

    /// Refuses f16, for an engine with fixed arithmetic.
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

/// A loaded model and its engine.
pub struct Opened {
    /// The engine, ready to run.
    pub engine: Box<dyn Engine>,
    /// Which engine it is; never [`EngineKind::Auto`].
    pub kind: EngineKind,
    /// The engine runs [`Model::quantised`] instead of [`Model::bytes`].
    pub quantised: bool,
    /// Why this engine, its library, and which form of a quantised model it runs, in words.
    pub reason: String,
}

/// Loads a model.
///
/// Takes as long as the engine needs to optimise the graph. If the same model is already open, tract and OpenVINO share
/// its weights. [`EngineKind::Auto`] needs another second to measure, unless the user's cache folder holds an earlier
/// result. Threads of the engine inherit the processor affinity of the calling thread.
///
/// # Errors
/// [`EngineError::NotInstalled`], [`EngineError::Library`] and [`EngineError::OtherLibrary`] if the engine's library is
/// not available; [`EngineError::Precision`] for arithmetic that the engine or processor lacks;
/// [`EngineError::Operator`] if the engine lacks an operator; [`EngineError::TooLarge`] for a tensor beyond the budget;
/// [`EngineError::Load`] for any other fault of the graph;
/// [`EngineError::Panic`] if the engine panics.
pub fn open(
    kind: EngineKind,
    model: &Model,
    options: &EngineOptions,
) -> Result<Opened, EngineError> {
    if kind == EngineKind::Auto {
        return auto::open(model, options);
    }
    let chosen = open_one(kind, model, options, true)?;
    Ok(chosen.opened(kind, "asked for".into()))
}

/// An engine, and its library, or what runs inside of it, in words.
type WithLibrary = (Box<dyn Engine>, Option<String>);

/// One form of a model, and what is known of it.
#[derive(Clone, Copy)]
struct Form<'a> {
    bytes: &'a [u8],
    input: &'a InputSpec,
    /// Names of the outputs, in the order of the model.
    outputs: &'a [String],
    /// Multiply-adds of an inference.
    multiply_adds: u64,
}

/// Opens one engine other than `auto` with the form of the model that suits it. `by_name`: the user asks for this engine.
fn open_one(
    kind: EngineKind,
    model: &Model,
    options: &EngineOptions,
    by_name: bool,
) -> Result<quantised_form::Chosen, EngineError> {
    quantised_form::open(kind, model, options.precision, |quantised, precision| {
        let options = EngineOptions {
            precision,
            ..*options
        };
        open_form(kind, model, quantised, &options, by_name)
    })
}

/// Opens one engine other than `auto` with one form of the model.
fn open_form(
    kind: EngineKind,
    model: &Model,
    quantised: bool,
    options: &EngineOptions,
    by_name: bool,
) -> Result<WithLibrary, EngineError> {
    let bytes: &[u8] = model.bytes_of_form(quantised);
    let form = Form {
        bytes,
        input: &model.input,
        outputs: &model.outputs,
        multiply_adds: budget::check(kind, model.weighed(quantised), options)?,
    };
    let shared = |kind, load: &dyn Fn() -> Result<WithLibrary, EngineError>| {
        let key = weight_cache::Key::new(kind, bytes, &model.input, options);
        weight_cache::open(key, options.good_threads(), bytes, load)
    };
    match kind {
        EngineKind::Tract | EngineKind::Auto => shared(EngineKind::Tract, &|| {
            let tract = tract::Tract::open(bytes, &model.input, options)?;
            let description = tract.description();
            Ok((Box::new(tract), description))
        }),
        // Not shared: each engine is a session of its own.
        EngineKind::OnnxRuntime => {
            let untried = probe::check(kind, &form, options, by_name)?;
            let (engine, library) = onnxruntime::OnnxRuntime::open(&form, options)?;
            Ok((Box::new(engine), Some(library + &untried)))
        }
        EngineKind::OpenVino => shared(kind, &|| {
            let untried = probe::check(kind, &form, options, by_name)?;
            let (engine, library) = openvino::OpenVino::open(&form, options)?;
            Ok((Box::new(engine), Some(library + &untried)))
        }),
        #[cfg(feature = "stub-engine")]
        EngineKind::Stub => {
            let control = stub::Control::for_model(model.path.as_deref());
            let tract = tract::Tract::open_for_outputs(bytes, &model.input, options)?;
            let outputs = tract.outputs().to_vec();
            let engine = stub::StubEngine::new(control, &model.input, outputs);
            Ok((Box::new(engine), None))
        }
    }
}

/// Returns name, dims and type of a model's input.
fn input_spec(input: &InputSpec) -> TensorSpec {
    TensorSpec {
        name: input.name.clone(),
        dims: input.dims().to_vec(),
        element: input.element,
    }
}

/// Runs `work`, one inference, and turns its error or a panic in it into ours. `reason` puts an error into words.
fn run_caught<E: Into<Cause>>(
    engine: EngineKind,
    reason: impl FnOnce(&E) -> String,
    work: impl FnOnce() -> Result<(), E>,
) -> Result<(), EngineError> {
    caught(engine, || {
        work().map_err(|error| EngineError::Run {
            engine,
            reason: reason(&error),
            source: Some(error.into()),
        })
    })
}

/// Refuses an input with another shape or type than `expected`, or with another count of numbers than its dims say.
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

/// Gives `outputs` one tensor for each of `specs`, with its name. Numbers are left as they are.
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

/// Returns the outputs of a loaded engine. Where the graph says nothing about a shape, a run finds the number of dims.
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

/// Runs `work` and turns a panic in it into an error. Engines and their bindings panic on some odd models.
///
/// The engine must not expose half-made state after a panic.
fn caught<T>(
    engine: EngineKind,
    work: impl FnOnce() -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    let call = AssertUnwindSafe(|| panics::expected(work));
    catch_unwind(call).unwrap_or_else(|payload| {
        let text = (payload.downcast_ref::<&str>().map(ToString::to_string))
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "without a message".into());
        Err(EngineError::Panic { engine, text })
    })
}
