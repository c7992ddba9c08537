//! The child's side: [`run_as_child`]; and what goes to and fro: [`Request`] and [`Answer`].
//!
//! A request is the length of its head as 8 bytes (little-endian), the head as JSON, and the bytes of the model. An answer
//! is a line at the start, one once the library is loaded, and one with the outcome.

use crate::base::geometry::Size;
use crate::base::tensor::{ColourOrder, Element, InputSpec, Interpolation, Layout, ResizeMode};
use crate::engine::{
    Engine, EngineError, EngineKind, EngineOptions, Form, Precision, onnxruntime, openvino,
};
use crate::host::child::limit_this_process;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Address space of a child. Both engines reserve more than they take.
const ADDRESS_SPACE: u64 = 6 << 30;

/// Copies of the model that an engine makes at most while it optimises.
const COPIES: u64 = 8;

/// The line that says that the request was understood. What ends the child from here on is the engine's doing.
const BEGAN: &str = "began";

/// The line that says that the library is loaded.
const LOADED: &str = "loaded";

/// Tells a child how to open a model. The model follows apart.
pub(super) struct Request {
    kind: EngineKind,
    input: InputSpec,
    outputs: Vec<String>,
    threads: usize,
    precision: Precision,
    /// Seconds of processor time after which it ends itself, if nobody watches it any more.
    seconds: u64,
}

impl Request {
    pub fn new(kind: EngineKind, form: &Form, options: &EngineOptions, limit: Duration) -> Self {
        Self {
            kind,
            input: form.input.clone(),
            outputs: form.outputs.to_vec(),
            threads: options.good_threads(),
            precision: options.precision,
            seconds: limit.as_secs().saturating_add(2),
        }
    }

    /// Writes everything before the bytes of the model.
    pub fn head(&self) -> Vec<u8> {
        let json = json!({
            "engine": self.kind.to_string(),
            "input": self.input.name,
            "width": self.input.size.width,
            "height": self.input.size.height,
            "nhwc": self.input.layout == Layout::Nhwc,
            "u8": self.input.element == Element::U8,
            "outputs": self.outputs,
            "threads": self.threads,
            "precision": self.precision.to_string(),
            "seconds": self.seconds,
        })
        .to_string();
        let mut head = (json.len() as u64).to_le_bytes().to_vec();
        head.extend(json.into_bytes());
        head
    }

    /// Reads a request. Returns it with the bytes of the model.
    pub fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (head, model) = rest.split_at_checked(length)?;
        let head: Value = serde_json::from_slice(head).ok()?;
        let text = |key: &str| head.get(key)?.as_str();
        let number = |key: &str| head.get(key)?.as_u64();
        let flag = |key: &str| head.get(key)?.as_bool();
        let pixels = |key: &str| u32::try_from(number(key)?).ok();
        let outputs = head.get("outputs")?.as_array()?.iter();
        let kinds = [EngineKind::OnnxRuntime, EngineKind::OpenVino];
        let precisions = [Precision::Auto, Precision::F32, Precision::F16];
        let request = Self {
            kind: *kinds
                .iter()
                .find(|k| Some(&*k.to_string()) == text("engine"))?,
            input: InputSpec {
                name: text("input")?.into(),
                size: Size {
                    width: pixels("width")?,
                    height: pixels("height")?,
                },
                layout: if flag("nhwc")? {
                    Layout::Nhwc
                } else {
                    Layout::Nchw
                },
                element: if flag("u8")? {
                    Element::U8
                } else {
                    Element::F32
                },
                // The rest is about pictures; the child has none.
                colour: ColourOrder::Rgb,
                mean: [0.0; 3],
                std: [1.0; 3],
                resize: ResizeMode::Stretch,
                pad_value: 0.0,
                interpolation: Interpolation::Linear,
            },
            outputs: outputs
                .map(|o| Some(o.as_str()?.to_owned()))
                .collect::<Option<_>>()?,
            threads: usize::try_from(number("threads")?).ok()?,
            precision: *precisions
                .iter()
                .find(|p| Some(&*p.to_string()) == text("precision"))?,
            seconds: number("seconds")?,
        };
        Some((request, model))
    }

    /// Loads the library and opens the model, then runs it once. `loaded` is called in between.
    fn open(&self, model: &[u8], loaded: impl FnOnce()) -> Result<(), EngineError> {
        let form = Form {
            bytes: model,
            input: &self.input,
            outputs: &self.outputs,
            multiply_adds: 0,
        };
        let options = EngineOptions {
            threads: self.threads,
            precision: self.precision,
            at_once: 1,
            // The plugin has checked the budget.
            max_compute: None,
        };
        let mut engine: Box<dyn Engine> = match self.kind {
            EngineKind::OpenVino => {
                openvino::load_found()?;
                loaded();
                Box::new(openvino::OpenVino::open(&form, &options)?.0)
            }
            _ => {
                onnxruntime::load_found()?;
                loaded();
                Box::new(onnxruntime::OnnxRuntime::open(&form, &options)?.0)
            }
        };
        // An error here is one of the first frame, which the element reports.
        let _ = engine.run(&self.input.blank());
        Ok(())
    }
}

/// How far a child came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It said nothing that we know: it is no program of this build, or could not begin.
    Nothing,
    /// It began to load the library, and no more is known.
    Began,
    /// The library was loaded, and no more is known.
    Loaded,
    /// The model was opened and run, or the engine gave an error that this process will give too.
    Survived,
    /// The engine refuses the model.
    Refused(Refusal),
}

/// An error of the engine.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Reason(String),
    Operators(Vec<String>),
}

impl Refusal {
    /// Returns the error that the engine gave in the child.
    pub fn in_name_of(self, engine: EngineKind) -> EngineError {
        match self {
            Self::Reason(reason) => EngineError::Load {
                engine,
                reason,
                source: None,
            },
            Self::Operators(names) => EngineError::Operator { engine, names },
        }
    }
}

impl Answer {
    pub fn read(said: &[u8]) -> Self {
        let text = String::from_utf8_lossy(said);
        // A library may print lines of its own.
        let lines = || text.lines().map(str::trim);
        let outcome = lines().rev().find_map(|line| {
            let value: Value = serde_json::from_str(line).ok()?;
            let names = value.get("operators").and_then(Value::as_array);
            if let Some(names) = names {
                let names = names.iter().filter_map(Value::as_str).map(str::to_owned);
                return Some(Self::Refused(Refusal::Operators(names.collect())));
            }
            if let Some(reason) = value.get("refused").and_then(Value::as_str) {
                return Some(Self::Refused(Refusal::Reason(reason.to_owned())));
            }
            value.get("survived")?.as_bool()?.then_some(Self::Survived)
        });
        match outcome {
            Some(outcome) => outcome,
            None if lines().any(|line| line == LOADED) => Self::Loaded,
            None if lines().any(|line| line == BEGAN) => Self::Began,
            None => Self::Nothing,
        }
    }
}

/// Writes what happened as the line that [`Answer::read`] takes.
fn outcome(opened: &Result<(), EngineError>) -> Value {
    match opened {
        Err(EngineError::Operator { names, .. }) => json!({"operators": names}),
        Err(EngineError::Load { reason, .. }) => json!({"refused": reason}),
        Err(EngineError::Panic { text, .. }) => json!({"refused": format!("it panicked: {text}")}),
        // Not of the model: this process comes to the same.
        Ok(()) | Err(_) => json!({"survived": true}),
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Does what the program `gst-detect-probe` does: reads a request from standard input, opens the model within limits, and
/// writes the answer to standard output.
pub fn run_as_child() -> ExitCode {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    let Some((request, model)) = read.ok().and_then(|_| Request::read(&bytes)) else {
        eprintln!(
            "gst-detect-probe tries a model before the plugin opens it. The element detect starts it by itself; it takes no \
             arguments, and expects a model on standard input."
        );
        return ExitCode::from(2);
    };
    let memory = ADDRESS_SPACE.saturating_add(COPIES.saturating_mul(model.len() as u64));
    limit_this_process(memory, request.seconds);
    say(BEGAN);
    let opened = request.open(model, || say(LOADED));
    say(&outcome(&opened).to_string());
    // Without destructors: a library that dies of them has done its work.
    std::process::exit(0)
}
