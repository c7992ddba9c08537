//! [`OnnxRuntime`]: ONNX Runtime on the processor, through a library that is loaded when the first model asks for it.
//!
//! The graph reads the input from our memory. Outputs of f32 are lent from ONNX Runtime's arena, which gets them back
//! before the next run; others are copied.
//!
//! Four choices differ from ONNX Runtime's defaults. The figures behind them are in
//! `tests/benches/figures/2026-11-24-xeon-2/README.md`.
//!
//! - **One session for each worker.** `Session::run` takes the session mutably, so workers with one session would wait
//!   for each other. A second session costs its weights and buffers once more.
//! - **Threads spin for 10 µs within an inference, and not between inferences.** The default spins for about a
//!   millisecond, and on between inferences. That heats a small machine and takes processors from the video. Libraries
//!   before 1.26 cannot be told how long, and spin until the inference ends.
//! - **Exact products of bytes on x86 without VNNI.** There the kernel for u8 x i8 adds pairs in 16 bits, which
//!   saturate and move boxes. So it is told to compute with u8 x u8, which is slower and exact.
//! - **SiLU in two operators before 1.25.** Those versions fuse x * Sigmoid(x) into an operator that leaves the blocked
//!   layout of convolutions on x86, and converts tensors back and forth. Kept apart, the two operators are faster.

mod convert;

use super::error::shortened;
use super::library::{Library, Machine, Once};
use super::{
    Engine, EngineError, EngineKind, EngineOptions, Form, arrange, caught, check_input, input_spec,
    run_caught, with_ranks,
};
use crate::base::tensor::{Tensor, TensorSpec};
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{Outlet, ValueType};
use std::path::{Path, PathBuf};

const KIND: EngineKind = EngineKind::OnnxRuntime;

/// Key of onnxruntime_session_options_config_keys.h, `kOrtSessionOptionsDisableSpecifiedOptimizers`.
const DISABLED_OPTIMIZERS: &str = "optimization.disable_specified_optimizers";

/// Keys for how threads wait, see the module. A library that does not know a key ignores it.
const WAITING: [(&str, &str); 2] = [
    ("session.force_spinning_stop", "1"),
    ("session.intra_op.spin_duration_us", "10"),
];

/// How to find the library.
pub(super) const LIBRARY: Library = Library {
    engine: KIND,
    file: "libonnxruntime.so",
    variables: &["ORT_DYLIB_PATH"],
    below: &["onnxruntime/capi", "capi", "lib"],
    remedy: "on Debian 13 or Raspberry Pi OS 13, but not on a Raspberry Pi 4 or older, install libonnxruntime1.21; \
             elsewhere run `python3 -m venv ~/venv && ~/venv/bin/pip install onnxruntime` and set ORT_DYLIB_PATH=~/venv",
    other_build: "run `python3 -m venv ~/venv && ~/venv/bin/pip install onnxruntime` and set ORT_DYLIB_PATH=~/venv",
    unfit: |version| unfit(version, has_half_precision()),
};

/// Says why a version cannot be loaded here. 1.21.0, Debian's and the others, has an initialiser that computes with vectors of
/// f16 numbers, whatever the processor: on an Arm core without them the process ends by SIGILL
/// (github.com/microsoft/onnxruntime/issues/23957). Earlier versions do not have it, later ones ask the processor.
fn unfit(version: &[u64], half_precision: bool) -> Option<&'static str> {
    let affected = matches!(version, [1, 21] | [1, 21, 0]);
    (affected && !half_precision).then_some(
        "version 1.21.0 executes half-precision instructions of ARMv8.2 (asimdhp) when it is loaded, and this processor, \
         such as that of a Raspberry Pi 4, has none",
    )
}

/// Returns whether an Arm processor has the half-precision instructions. Others need none for the same code.
fn has_half_precision() -> bool {
    #[cfg(target_arch = "aarch64")]
    {
        std::arch::is_aarch64_feature_detected!("fp16")
    }
    #[cfg(not(target_arch = "aarch64"))]
    {
        true
    }
}

static LOADED: Once<Loaded> = Once::new();

/// The loaded library.
#[derive(Clone)]
pub(super) struct Loaded {
    environment: Environment,
    /// Whether sessions compute x * Sigmoid(x) with two operators.
    parts_silu: bool,
}

pub(super) struct OnnxRuntime {
    loaded: Loaded,
    session: Session,
    input: convert::Input,
    expected: TensorSpec,
    outputs: Vec<TensorSpec>,
}

impl OnnxRuntime {
    /// Opens one form of a model. Returns the engine, and its library in words.
    pub fn open(form: &Form, options: &EngineOptions) -> Result<(Self, String), EngineError> {
        options.refuse_f16(KIND)?;
        let (loaded, path) = load_found()?;
        let engine = caught(KIND, || Self::load(loaded, form, options))?;
        Ok((engine, path.display().to_string()))
    }

    fn load(loaded: Loaded, form: &Form, options: &EngineOptions) -> Result<Self, EngineError> {
        let threads = options.good_threads();
        let session = loaded
            .session(form.bytes, threads)
            .map_err(|error| refused(&error))?;
        let expected = input_spec(form.input);
        let mut engine = Self {
            input: input(&session, &expected)?,
            outputs: output_specs(&session)?,
            loaded,
            session,
            expected,
        };
        engine.outputs = with_ranks(&mut engine, form.input)?;
        Ok(engine)
    }

    fn run_once(&mut self, input: &Tensor, outputs: &mut Vec<Tensor>) -> ort::Result<()> {
        for output in outputs.iter_mut() {
            output.data.give_back();
        }
        let value = self.input.value(input)?;
        let values = self.session.run([value])?;
        for ((output, spec), (_, value)) in arrange(outputs, &self.outputs).zip(values) {
            convert::output(value, spec, output)?;
        }
        Ok(())
    }
}

impl Engine for OnnxRuntime {
    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn another(&self, threads: usize, bytes: &[u8]) -> Result<Box<dyn Engine>, EngineError> {
        caught(KIND, || {
            let session = self.loaded.session(bytes, threads);
            Ok(Box::new(Self {
                loaded: self.loaded.clone(),
                session: session.map_err(|error| refused(&error))?,
                input: self.input.clone(),
                expected: self.expected.clone(),
                outputs: self.outputs.clone(),
            }) as Box<dyn Engine>)
        })
    }

    fn run_into(&mut self, input: &Tensor, outputs: &mut Vec<Tensor>) -> Result<(), EngineError> {
        check_input(input, &self.expected)?;
        run_caught(
            KIND,
            |error: &ort::Error| shortened(error.message()),
            || self.run_once(input, outputs),
        )
    }
}

/// Loads the library that this machine has, unless one is loaded. Returns it with its path.
pub(super) fn load_found() -> Result<(Loaded, PathBuf), EngineError> {
    let found = LIBRARY.find(&Machine::this());
    LOADED.get(KIND, found, |path| caught(KIND, || load_library(path)))
}

/// Loads the library for the life of the process, without telemetry or output: problems come back as errors.
fn load_library(path: &Path) -> Result<Loaded, EngineError> {
    let unusable = |source: super::Cause| EngineError::Library {
        engine: KIND,
        path: path.to_owned(),
        reason: shortened(&source.to_string()),
        source: Some(source),
    };
    let builder = ort::init_from(path).map_err(|error| unusable(error.into()))?;
    let environment = builder
        .with_name("gstdetect")
        .with_telemetry(false)
        .build()
        .map_err(|error| unusable(error.into()))?;
    environment.set_log_level(LogLevel::Fatal);
    Ok(Loaded {
        environment,
        parts_silu: cfg!(target_arch = "x86_64") && has_no_blocked_silu(path),
    })
}

/// Returns whether the library, by the version in its file name, fuses SiLU outside the blocked layout.
fn has_no_blocked_silu(path: &Path) -> bool {
    LIBRARY
        .version(path)
        .is_some_and(|version| version < vec![1, 25])
}

impl Loaded {
    fn session(&self, bytes: &[u8], threads: usize) -> ort::Result<Session> {
        let mut builder = Session::builder(&self.environment)?;
        if saturates() {
            builder = builder.with_precise_qmm()?;
        }
        if self.parts_silu {
            builder = builder.with_config_entry(DISABLED_OPTIMIZERS, "QuickGeluFusion")?;
        }
        for (key, value) in WAITING {
            builder = builder.with_config_entry(key, value)?;
        }
        builder
            .with_log_level(LogLevel::Fatal)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(threads)?
            .with_inter_threads(1)?
            .commit_from_memory(bytes)
    }
}

/// Returns whether sums of products of bytes saturate on this processor.
fn saturates() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        !(is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni"))
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Checks that the graph has one input that takes `expected`, and returns how to feed it.
fn input(session: &Session, expected: &TensorSpec) -> Result<convert::Input, EngineError> {
    let [input] = session.inputs() else {
        let names: Vec<_> = session.inputs().iter().map(|input| input.name()).collect();
        let (count, names) = (names.len(), names.join(", "));
        return Err(refusal(format!(
            "it has {count} inputs ({names}), expected one"
        )));
    };
    let found = input.dtype();
    if input.name() != expected.name {
        let (found, expected) = (input.name(), &expected.name);
        return Err(refusal(format!(
            "its input is {found}, expected {expected}"
        )));
    }
    let ValueType::Tensor { ty, shape, .. } = found else {
        return Err(refusal(format!(
            "its input is {found}, expected {expected}"
        )));
    };
    let takes = shape.len() == expected.dims.len()
        && (shape.iter().zip(&expected.dims)).all(|(&dim, &e)| dim < 0 || dim == e as i64);
    match convert::Input::new(*ty, expected.element) {
        Some(input) if takes => Ok(input),
        _ => Err(refusal(format!(
            "its input is {found}, expected {expected}"
        ))),
    }
}

fn output_specs(session: &Session) -> Result<Vec<TensorSpec>, EngineError> {
    let spec = |output: &Outlet| {
        let found = output.dtype();
        let known = match found {
            ValueType::Tensor { ty, shape, .. } => convert::element(*ty).map(|e| (e, shape)),
            _ => None,
        };
        let Some((element, shape)) = known else {
            return Err(refusal(format!("its output {} is {found}", output.name())));
        };
        Ok(TensorSpec {
            name: output.name().into(),
            dims: shape.iter().map(|&dim| dim.max(0) as usize).collect(),
            element,
        })
    };
    session.outputs().iter().map(spec).collect()
}

fn refusal(reason: String) -> EngineError {
    EngineError::Load {
        engine: KIND,
        reason,
        source: None,
    }
}

/// Turns an error of ONNX Runtime while loading into ours; a missing operator is named.
fn refused(error: &ort::Error) -> EngineError {
    match missing_operator(error.message()) {
        Some(name) => EngineError::Operator {
            engine: KIND,
            names: vec![name],
        },
        None => refusal(shortened(error.message())),
    }
}

/// Extracts the name of a missing operator from the three forms of ONNX Runtime's message.
fn missing_operator(message: &str) -> Option<String> {
    let (_, name) = [
        "Fatal error: ",
        "No Op registered for ",
        "Could not find an implementation for ",
    ]
    .into_iter()
    .find_map(|begin| message.split_once(begin))?;
    let ends = |c: char| c.is_whitespace() || c == '(';
    let name = name.split(ends).next().filter(|name| !name.is_empty())?;
    Some(name.replace(':', "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_needs_half_precision_is_refused_without_it() {
        for (version, affected) in [
            (&[1, 21, 0][..], true),
            (&[1, 21], true),
            (&[1, 21, 1], false),
            (&[1, 20, 1], false),
            (&[1, 32, 0], false),
            (&[], false),
        ] {
            let why = unfit(version, false);
            assert_eq!(why.is_some(), affected, "{version:?}");
            assert!(
                why.is_none_or(|why| why.contains("Raspberry Pi 4")),
                "{why:?}"
            );
            assert_eq!(unfit(version, true), None, "{version:?}");
        }
        assert!(LIBRARY.other_build.contains("pip install onnxruntime"));
    }

    #[test]
    fn silu_is_parted_before_1_25() {
        for (name, parted) in [
            ("libonnxruntime.so.1.21", true),
            ("libonnxruntime.so.1.24.4", true),
            ("libonnxruntime.so.1.25.0", false),
            ("libonnxruntime.so.1.32.0", false),
            ("libonnxruntime.so.2.0.0", false),
            ("libonnxruntime.so", false),
        ] {
            assert_eq!(has_no_blocked_silu(Path::new(name)), parted, "{name}");
        }
    }

    #[test]
    fn an_operator_is_named_as_onnx_runtime_names_it() {
        for (message, name) in [
            (
                "Fatal error: example:Foo(-1) is not a registered function/op",
                Some("example.Foo"),
            ),
            (
                "No Op registered for Foo with domain_version of 13",
                Some("Foo"),
            ),
            (
                "Could not find an implementation for Foo(11) node with name 'n'",
                Some("Foo"),
            ),
            ("Load model failed: Protobuf parsing failed.", None),
        ] {
            assert_eq!(missing_operator(message).as_deref(), name, "{message}");
        }
    }
}
