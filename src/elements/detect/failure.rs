//! Errors as GStreamer posts them: a sentence for people, a detail for developers, the right domain and code.

use super::imp::{CAT, Detect};
use crate::detector::{DetectError, OpenError};
use crate::engine::EngineError;
use crate::model::ModelError;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::any::Any;
use std::io::ErrorKind;

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

/// What is wrong. An error if the element cannot go on, a warning if it can.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    code: Code,
    sentence: String,
    detail: String,
}

impl Trouble {
    pub fn new(code: impl Into<Code>, sentence: &str, detail: String) -> Self {
        Self {
            code: code.into(),
            sentence: sentence.into(),
            detail,
        }
    }

    /// A property that cannot be used as it is set.
    pub fn setting(sentence: &str, detail: &dyn std::fmt::Debug) -> Self {
        Self::new(gst::LibraryError::Settings, sentence, format!("{detail:?}"))
    }

    /// Why the model at `path` cannot be used.
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
            ModelError::NotFound { .. } => {
                Self::new(gst::ResourceError::NotFound, sentence, detail)
            }
            ModelError::Read { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                Self::new(gst::ResourceError::OpenRead, sentence, detail)
            }
            ModelError::NotAFile { .. } => {
                Self::new(gst::ResourceError::OpenRead, sentence, detail)
            }
            ModelError::Read { .. }
            | ModelError::ExternalData { .. }
            | ModelError::TooLarge { .. } => Self::new(gst::ResourceError::Read, sentence, detail),
            ModelError::Empty { .. }
            | ModelError::NotOnnx { .. }
            | ModelError::Truncated { .. }
            | ModelError::Lossy { .. } => Self::new(gst::StreamError::Decode, sentence, detail),
            ModelError::NotADetector { .. }
            | ModelError::Ambiguous { .. }
            | ModelError::Unsupported { .. } => {
                Self::new(gst::StreamError::WrongType, sentence, detail)
            }
            ModelError::Card { .. } | ModelError::Labels { .. } | ModelError::InputSize { .. } => {
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
            | EngineError::OtherLibrary { .. } => (
                gst::LibraryError::Init,
                format!("The engine cannot be used: {err}"),
            ),
            EngineError::Load { .. }
            | EngineError::Operator { .. }
            | EngineError::Shape { .. }
            | EngineError::Run { .. }
            | EngineError::Panic { .. } => (
                gst::LibraryError::Init,
                format!("The engine cannot run the model {path}: {err}"),
            ),
        };
        Self::new(code, &sentence, detail)
    }

    /// Ours or an engine's code has panicked while `doing` something.
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

    /// The same with a sentence more.
    pub fn and(self, more: &str) -> Self {
        Self {
            sentence: format!("{}. {more}", self.sentence),
            ..self
        }
    }

    fn error(&self) -> glib::Error {
        match self.code {
            Code::Resource(code) => glib::Error::new(code, &self.sentence),
            Code::Stream(code) => glib::Error::new(code, &self.sentence),
            Code::Library(code) => glib::Error::new(code, &self.sentence),
        }
    }
}

impl Detect {
    pub(super) fn post_error(&self, trouble: &Trouble) {
        gst::error!(CAT, imp = self, "{} ({})", trouble.sentence, trouble.detail);
        let obj = self.obj();
        let message = gst::message::Error::builder_from_error(trouble.error())
            .debug(&trouble.detail)
            .src(&*obj)
            .build();
        let _ = obj.post_message(message);
    }

    pub(super) fn post_warning(&self, trouble: &Trouble) {
        gst::warning!(CAT, imp = self, "{} ({})", trouble.sentence, trouble.detail);
        let obj = self.obj();
        let message = gst::message::Warning::builder_from_error(trouble.error())
            .debug(&trouble.detail)
            .src(&*obj)
            .build();
        let _ = obj.post_message(message);
    }

    /// Posts why one frame could not be analysed.
    pub(super) fn post_detect_error(&self, err: &DetectError) {
        self.post_error(&Trouble::new(
            gst::StreamError::Failed,
            &format!("A frame could not be analysed: {err}"),
            format!("{err:?}"),
        ));
    }

    /// Posts that ours or an engine's code has panicked while `doing` something.
    pub(super) fn post_panic(&self, doing: &str, panic: &(dyn Any + Send)) {
        self.post_error(&Trouble::panic(doing, panic));
    }
}
