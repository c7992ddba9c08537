//! [`OpenVino`]: OpenVINO on the processor, through a library that is loaded when the first model asks for it.
//!
//! The bindings look for a `libopenvino_c.so` without a version, which pip's wheel does not have. So [`Library`] finds
//! the library, and the bindings get its path. They keep the first path and ignore later ones, as [`Once`] does.
//!
//! Each engine has its own core, because threads and precision are properties of a core. Input and outputs live in the
//! memory of one inference request, which is kept between runs: the input is copied in, outputs are copied out.
//!
//! Concurrent requests need one stream each; streams share the weights and have their own buffers. Without it two
//! workers are no faster than one (`tests/benches/figures/2026-11-23-epyc-2/README.md`).
//!
//! Threads are not pinned to processors, because that would undo the affinity of the calling thread. OpenVINO's default
//! on some processors is bfloat16, whose 8 bits of mantissa move boxes; it is never used.

mod convert;

use super::error::shortened;
use super::library::{Library, Machine, Once};
use super::{
    Engine, EngineError, EngineKind, EngineOptions, Form, Precision, arrange, caught, check_input,
    input_spec, run_caught, with_ranks,
};
use crate::base::tensor::{InputSpec, Tensor, TensorSpec};
use openvino::{
    CompiledModel, Core, DeviceType, InferRequest, InferenceError, PartialShape, PropertyKey,
    RwPropertyKey, SetupError,
};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const KIND: EngineKind = EngineKind::OpenVino;

/// How to find the library.
pub(super) const LIBRARY: Library = Library {
    engine: KIND,
    file: "libopenvino_c.so",
    variables: &[
        "OPENVINO_LIB_PATH",
        "OPENVINO_INSTALL_DIR",
        "INTEL_OPENVINO_DIR",
    ],
    below: &[
        "openvino/libs",
        "libs",
        "runtime/lib/intel64",
        "runtime/lib/aarch64",
        "runtime/lib/arm64",
        "lib",
    ],
    remedy: REMEDY,
    other_build: REMEDY,
    unfit: |_| None,
};

const REMEDY: &str = "run `python3 -m venv ~/venv && ~/venv/bin/pip install openvino` and set OPENVINO_LIB_PATH=~/venv";

/// Version of the loaded library.
static VERSION: Once<String> = Once::new();

pub(super) struct OpenVino {
    request: InferRequest,
    compiled: Arc<Mutex<Compiled>>,
    input: convert::Input,
    expected: TensorSpec,
    outputs: Vec<TensorSpec>,
}

/// The weights, shared by all engines of this model. Requests belong to the model and the model to the core, so fields
/// are dropped in this order.
struct Compiled {
    model: CompiledModel,
    _core: Core,
}

impl OpenVino {
    /// Opens one form of a model. Returns the engine, and its library in words.
    pub fn open(form: &Form, options: &EngineOptions) -> Result<(Self, String), EngineError> {
        let (version, path) = load_found()?;
        let engine = caught(KIND, || Self::load(&path, form, options))?;
        Ok((engine, format!("{} {version}", path.display())))
    }

    fn load(path: &Path, form: &Form, options: &EngineOptions) -> Result<Self, EngineError> {
        let mut core = core(path, options)?;
        let mut compiled = compile(&mut core, form.bytes, form.input)?;
        let expected = input_spec(form.input);
        let found = compiled
            .get_input_by_name(&expected.name)
            .and_then(|input| input.get_element_type())
            .map_err(refused)?;
        let Some(input) = convert::Input::new(found, expected.element) else {
            let name = &expected.name;
            return Err(refusal(format!(
                "its input {name} is {found}, expected {expected}"
            )));
        };
        let mut engine = Self {
            outputs: output_specs(&compiled, form.outputs)?,
            request: compiled.create_infer_request().map_err(refused)?,
            compiled: Arc::new(Mutex::new(Compiled {
                model: compiled,
                _core: core,
            })),
            input,
            expected,
        };
        engine.outputs = with_ranks(&mut engine, form.input)?;
        Ok(engine)
    }

    fn run_once(
        &mut self,
        input: &Tensor,
        outputs: &mut Vec<Tensor>,
    ) -> Result<(), InferenceError> {
        self.input
            .fill(&mut self.request.get_input_tensor()?, input)?;
        self.request.infer()?;
        for (index, (output, spec)) in arrange(outputs, &self.outputs).enumerate() {
            let native = self.request.get_output_tensor_by_index(index)?;
            convert::output(&native, spec, output)?;
        }
        Ok(())
    }
}

impl Engine for OpenVino {
    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn another(&self, _threads: usize, _bytes: &[u8]) -> Result<Box<dyn Engine>, EngineError> {
        caught(KIND, || {
            let request = self.compiled.lock().model.create_infer_request();
            Ok(Box::new(Self {
                request: request.map_err(refused)?,
                compiled: self.compiled.clone(),
                input: self.input,
                expected: self.expected.clone(),
                outputs: self.outputs.clone(),
            }) as Box<dyn Engine>)
        })
    }

    fn run_into(&mut self, input: &Tensor, outputs: &mut Vec<Tensor>) -> Result<(), EngineError> {
        check_input(input, &self.expected)?;
        run_caught(KIND, reason, || self.run_once(input, outputs))
    }
}

/// Loads the library that this machine has, unless one is loaded. Returns it with its path.
pub(super) fn load_found() -> Result<(String, PathBuf), EngineError> {
    let found = LIBRARY.find(&Machine::this());
    VERSION.get(KIND, found, |path| caught(KIND, || load_library(path)))
}

/// Loads the library for the life of the process, and returns its version.
fn load_library(path: &Path) -> Result<String, EngineError> {
    openvino_sys::library::load_from(path).map_err(|reason| unusable(path, &reason, None))?;
    Ok(openvino::version().build_number)
}

fn unusable(path: &Path, reason: &str, source: Option<super::Cause>) -> EngineError {
    EngineError::Library {
        engine: KIND,
        path: path.to_owned(),
        reason: shortened(reason),
        source,
    }
}

/// Creates a core with the settings for the models it will compile.
fn core(path: &Path, options: &EngineOptions) -> Result<Core, EngineError> {
    let cannot = |error: InferenceError| unusable(path, &reason(&error), Some(error.into()));
    let mut core = Core::new().map_err(|error| match error {
        SetupError::Inference(error) => cannot(error),
        SetupError::Loading(error) => unusable(path, &error.to_string(), Some(error.into())),
    })?;
    let capabilities = core
        .get_property(&DeviceType::CPU, &PropertyKey::DeviceCapabilities)
        .map_err(cannot)?;
    let at_once = options.at_once.max(1);
    let threads = (options.good_threads() * at_once).to_string();
    let at_once = at_once.to_string();
    let settings = [
        (RwPropertyKey::HintPerformanceMode, "LATENCY"),
        (RwPropertyKey::NumStreams, &at_once),
        (RwPropertyKey::InferenceNumThreads, &threads),
        (RwPropertyKey::HintEnableCpuPinning, "NO"),
        (
            RwPropertyKey::HintInferencePrecision,
            precision(options.precision, &capabilities)?,
        ),
    ];
    core.set_properties(&DeviceType::CPU, settings)
        .map_err(cannot)?;
    Ok(core)
}

/// Returns OpenVINO's name of the arithmetic, for a processor with these capabilities (a list of words).
fn precision(asked: Precision, capabilities: &str) -> Result<&'static str, EngineError> {
    let has_f16 = capabilities.split([' ', ',']).any(|word| word == "FP16");
    match asked {
        Precision::F32 => Ok("f32"),
        Precision::Auto if !has_f16 => Ok("f32"),
        Precision::Auto | Precision::F16 if has_f16 => Ok("f16"),
        _ => Err(EngineError::Precision {
            engine: KIND,
            asked,
            takes: "auto and f32 on this processor".into(),
        }),
    }
}

fn compile(core: &mut Core, bytes: &[u8], input: &InputSpec) -> Result<CompiledModel, EngineError> {
    let mut model = core.read_model_from_buffer(bytes, None).map_err(refused)?;
    let count = model.get_inputs_len().map_err(refused)?;
    if count != 1 {
        return Err(refusal(format!("it has {count} inputs, expected one")));
    }
    let port = model.get_input_by_index(0).map_err(refused)?;
    let dims = input.dims().map(|dim| dim as i64);
    let found = port.get_partial_shape().map_err(refused)?;
    if found.is_dynamic() {
        let shape = PartialShape::new_static(dims.len() as i64, &dims).map_err(refused)?;
        model.reshape_single_input(&shape).map_err(refused)?;
    } else {
        let found: Vec<_> = found
            .get_dimensions()
            .iter()
            .map(|dim| dim.get_min())
            .collect();
        if found != dims {
            return Err(refusal(format!(
                "its input is {found:?}, expected {dims:?}"
            )));
        }
    }
    core.compile_model(&model, DeviceType::CPU).map_err(refused)
}

/// Returns the outputs in the order of the file, which OpenVINO keeps, with the file's names, which it does not always
/// keep.
fn output_specs(
    compiled: &CompiledModel,
    names: &[String],
) -> Result<Vec<TensorSpec>, EngineError> {
    let count = compiled.get_output_size().map_err(refused)?;
    if count != names.len() {
        let (expected, names) = (names.len(), names.join(", "));
        return Err(refusal(format!(
            "it has {count} outputs, expected {expected} ({names})"
        )));
    }
    let spec = |(index, name): (usize, &String)| {
        let port = compiled.get_output_by_index(index).map_err(refused)?;
        let found = port.get_element_type().map_err(refused)?;
        let Some(element) = convert::element(found) else {
            return Err(refusal(format!("its output {name} is {found}")));
        };
        let shape = port.get_partial_shape().map_err(refused)?;
        let dims = match shape.get_rank().is_dynamic() {
            true => Vec::new(),
            false => shape.get_dimensions().iter().map(fixed).collect(),
        };
        Ok(TensorSpec {
            name: name.clone(),
            dims,
            element,
        })
    };
    names.iter().enumerate().map(spec).collect()
}

/// Returns a fixed dim, or 0 if the graph leaves it open.
fn fixed(dim: &openvino::Dimension) -> usize {
    match dim.get_min() == dim.get_max() {
        true => usize::try_from(dim.get_min()).unwrap_or(0),
        false => 0,
    }
}

fn refusal(reason: String) -> EngineError {
    EngineError::Load {
        engine: KIND,
        reason,
        source: None,
    }
}

/// Turns an error of OpenVINO while loading into ours; missing operators are named.
fn refused(error: InferenceError) -> EngineError {
    let names = error.message.as_deref().map(missing_operators);
    match names {
        Some(names) if !names.is_empty() => EngineError::Operator {
            engine: KIND,
            names,
        },
        _ => EngineError::Load {
            engine: KIND,
            reason: reason(&error),
            source: Some(error.into()),
        },
    }
}

/// Extracts the names of missing operators from one line, whose words differ between versions.
fn missing_operators(message: &str) -> Vec<String> {
    const BEGINS: [&str; 2] = [
        "No conversion rule found for operations:",
        "OpenVINO does not support the following ONNX operations:",
    ];
    let behind = |begin| message.split_once(begin).map(|(_, list)| list.trim_start());
    let list = BEGINS.into_iter().find_map(behind).unwrap_or_default();
    let names = list.lines().next().unwrap_or_default().split(',');
    let names = names.map(str::trim).filter(|name| !name.is_empty());
    names.map(Into::into).collect()
}

fn reason(error: &InferenceError) -> String {
    match &error.message {
        Some(message) => shortened(message),
        None => error.kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_named_as_openvino_lists_them() {
        let new =
            "failed:\n-- No conversion rule found for operations: a.One, Two\n\nTo facilitate ...";
        assert_eq!(missing_operators(new), ["a.One", "Two"]);
        let old = "OpenVINO does not support the following ONNX operations: a.One";
        assert_eq!(missing_operators(old), ["a.One"]);
        assert!(missing_operators("Check 'false' failed").is_empty());
    }

    #[test]
    fn f16_is_a_matter_of_the_processor() {
        let (with, without) = ("FP32 FP16 INT8 BIN", "BF16 WINOGRAD FP32 INT8 BIN");
        for (asked, on_arm, elsewhere) in [
            (Precision::Auto, Some("f16"), Some("f32")),
            (Precision::F32, Some("f32"), Some("f32")),
            (Precision::F16, Some("f16"), None),
        ] {
            assert_eq!(precision(asked, with).ok(), on_arm);
            assert_eq!(precision(asked, without).ok(), elsewhere);
        }
    }
}
