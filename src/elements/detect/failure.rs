//! [`Failure`]: an error or a warning as GStreamer posts it, with a sentence for people, a detail for developers, domain and
//! code.

use super::watch::NotLoaded;
use crate::base::classes::ClassesError;
use crate::base::text::shortened;
use crate::detector::{DetectError, OpenError};
use crate::engine::EngineError;
use crate::host::affinity::AffinityError;
use crate::model::{ModelError, OnnxError};
use gst::glib;
use std::any::Any;
use std::io::{self, ErrorKind};

/// Most letters of a sentence, and of a detail.
const MOST_LETTERS: usize = 4000;

/// Domain and code of GStreamer's errors.
#[derive(Debug, Clone, Copy)]
pub(super) enum Code {
    Resource(gst::ResourceError),
    Stream(gst::StreamError),
    Library(gst::LibraryError),
}

impl From<gst::ResourceError> for Code {
    fn from(code: gst::ResourceError) -> Self {
        Self::Resource(code)
    }
}

impl From<gst::StreamError> for Code {
    fn from(code: gst::StreamError) -> Self {
        Self::Stream(code)
    }
}

impl From<gst::LibraryError> for Code {
    fn from(code: gst::LibraryError) -> Self {
        Self::Library(code)
    }
}

/// A failure: an error if the element cannot go on, a warning if it can.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    code: Code,
    sentence: String,
    detail: String,
}

impl Failure {
    /// Makes a failure. Sentence and detail are cut to a length that a person may read, because names in files have any.
    pub fn new(code: impl Into<Code>, sentence: &str, detail: String) -> Self {
        Self {
            code: code.into(),
            sentence: shortened(sentence, MOST_LETTERS).into_owned(),
            detail: shortened(&detail, MOST_LETTERS).into_owned(),
        }
    }

    /// A property has a value that cannot be used.
    pub fn setting(sentence: &str, detail: &dyn std::fmt::Debug) -> Self {
        Self::new(gst::LibraryError::Settings, sentence, format!("{detail:?}"))
    }

    /// The property `cpu-affinity` has a value that cannot be used.
    pub fn affinity(err: &AffinityError) -> Self {
        let sentence = format!("The property cpu-affinity cannot be {err}");
        Self::setting(&sentence, err)
    }

    /// The property `classes` has a value that does not fit the model.
    pub fn classes(err: &ClassesError) -> Self {
        Self::setting(&format!("The property classes cannot be {err}"), err)
    }

    /// A thread that is to load a model cannot be started.
    pub fn no_thread(err: &io::Error) -> Self {
        let sentence = "Cannot start a thread to load the model";
        Self::new(gst::ResourceError::Failed, sentence, err.to_string())
    }

    /// The process may not start the threads that a pipeline needs.
    pub fn no_further_thread(err: &io::Error) -> Self {
        let sentence = format!(
            "This process may start no further threads, which a pipeline needs: {err}; a limit of processes (ulimit -u) or of memory (ulimit -v) is too low"
        );
        Self::new(gst::ResourceError::Failed, &sentence, format!("{err:?}"))
    }

    /// The model at `path` has not been loaded.
    pub fn not_loaded(path: &str, err: &NotLoaded) -> Self {
        match err {
            NotLoaded::Thread(err) => Self::no_thread(err),
            NotLoaded::Late(_) | NotLoaded::TooMany(_) => {
                let sentence = format!("Cannot use the model {path}: {err}");
                Self::new(
                    gst::LibraryError::Init,
                    &sentence,
                    format!("{path}: {err:?}"),
                )
            }
        }
    }

    /// A frame could not be analysed.
    pub fn detect(err: &DetectError) -> Self {
        let sentence = format!("A frame could not be analysed: {err}");
        Self::new(gst::StreamError::Failed, &sentence, format!("{err:?}"))
    }

    /// The model at `path` cannot be used.
    pub fn open(path: &str, err: &OpenError) -> Self {
        match err {
            OpenError::Model(err) => Self::model(path, err),
            OpenError::Engine(err) => Self::engine(path, err),
            OpenError::Decode(err) => Self::new(
                gst::StreamError::WrongType,
                &format!("The outputs of the model {path} are not those of its family: {err}"),
                format!("{path}: {err:?}"),
            ),
        }
    }

    fn model(path: &str, err: &ModelError) -> Self {
        let sentence = format!("Cannot use the model {path}: {err}");
        let detail = format!("{path}: {err:?}");
        let sentence = sentence.as_str();
        match err {
            ModelError::Onnx(OnnxError::NotFound { .. }) => {
                Self::new(gst::ResourceError::NotFound, sentence, detail)
            }
            ModelError::Onnx(OnnxError::Read { source, .. })
                if source.kind() == ErrorKind::PermissionDenied =>
            {
                Self::new(gst::ResourceError::OpenRead, sentence, detail)
            }
            ModelError::Onnx(OnnxError::NotAFile { .. }) => {
                Self::new(gst::ResourceError::OpenRead, sentence, detail)
            }
            ModelError::Onnx(OnnxError::Read { .. })
            | ModelError::Onnx(OnnxError::ExternalData { .. })
            | ModelError::Onnx(OnnxError::TooLarge { .. }) => {
                Self::new(gst::ResourceError::Read, sentence, detail)
            }
            ModelError::Onnx(OnnxError::Empty { .. })
            | ModelError::Onnx(OnnxError::NotOnnx { .. })
            | ModelError::Onnx(OnnxError::Truncated { .. })
            | ModelError::Onnx(OnnxError::Lossy { .. }) => {
                Self::new(gst::StreamError::Decode, sentence, detail)
            }
            ModelError::Onnx(OnnxError::NotADetector { .. })
            | ModelError::Outputs { .. }
            | ModelError::Ambiguous { .. }
            | ModelError::Onnx(OnnxError::Unsupported { .. }) => {
                Self::new(gst::StreamError::WrongType, sentence, detail)
            }
            ModelError::Card { .. }
            | ModelError::Labels { .. }
            | ModelError::Onnx(OnnxError::InputSize { .. }) => {
                Self::new(gst::LibraryError::Settings, sentence, detail)
            }
        }
    }

    fn engine(path: &str, err: &EngineError) -> Self {
        let detail = format!("{path}: {err:?}");
        let (code, sentence) = match err {
            EngineError::Precision { .. } => (
                gst::LibraryError::Settings,
                format!("The property precision cannot be used: {err}"),
            ),
            EngineError::NotInstalled { .. }
            | EngineError::Library { .. }
            | EngineError::OtherLibrary { .. }
            | EngineError::Untried { .. } => (
                gst::LibraryError::Init,
                format!("The engine cannot be used: {err}"),
            ),
            EngineError::Load { .. }
            | EngineError::TooLarge { .. }
            | EngineError::Operator { .. }
            | EngineError::Shape { .. }
            | EngineError::Slow { .. }
            | EngineError::Run { .. }
            | EngineError::Panic { .. } => (
                gst::LibraryError::Init,
                format!("The engine cannot run the model {path}: {err}"),
            ),
        };
        Self::new(code, &sentence, detail)
    }

    /// Our code or an engine has panicked while `doing` something.
    pub fn panic(doing: &str, panic: &(dyn Any + Send)) -> Self {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        Self::new(
            gst::LibraryError::Failed,
            &format!("The detector panicked: {text}"),
            format!("while {doing}"),
        )
    }

    /// Adds a sentence.
    pub fn and(self, more: &str) -> Self {
        Self {
            sentence: format!("{}. {more}", self.sentence),
            ..self
        }
    }

    /// For the log: the sentence and the detail.
    pub fn to_log(&self) -> String {
        format!("{} ({})", self.sentence, self.detail)
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    pub fn to_error(&self) -> glib::Error {
        match self.code {
            Code::Resource(code) => glib::Error::new(code, &self.sentence),
            Code::Stream(code) => glib::Error::new(code, &self.sentence),
            Code::Library(code) => glib::Error::new(code, &self.sentence),
        }
    }
}
