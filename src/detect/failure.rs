//! Errors as GStreamer posts them: a sentence for people, a detail for developers, the right domain and code.

use super::imp::Detect;
use crate::detector::{DetectError, OpenError};
use crate::engine::EngineError;
use crate::model::ModelError;
use gst::subclass::prelude::*;
use std::any::Any;
use std::io::ErrorKind;

impl Detect {
    /// Posts why the model at `path` cannot be used.
    pub(super) fn post_open_error(&self, path: &str, err: &OpenError) {
        match err {
            OpenError::Model(err) => self.post_model_error(path, err),
            OpenError::Engine(err) => self.post_engine_error(path, err),
            OpenError::Decode(err) => gst::element_imp_error!(
                self,
                gst::StreamError::WrongType,
                ("The outputs of the model {path} are not those of its family: {err}"),
                ["{path}: {err:?}"]
            ),
        }
    }

    fn post_model_error(&self, path: &str, err: &ModelError) {
        let sentence = format!("Cannot use the model {path}: {err}");
        let detail = format!("{path}: {err:?}");
        match err {
            ModelError::NotFound { .. } => gst::element_imp_error!(
                self,
                gst::ResourceError::NotFound,
                ("{sentence}"),
                ["{detail}"]
            ),
            ModelError::Read { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                gst::element_imp_error!(
                    self,
                    gst::ResourceError::OpenRead,
                    ("{sentence}"),
                    ["{detail}"]
                )
            }
            ModelError::NotAFile { .. } => gst::element_imp_error!(
                self,
                gst::ResourceError::OpenRead,
                ("{sentence}"),
                ["{detail}"]
            ),
            ModelError::Read { .. }
            | ModelError::ExternalData { .. }
            | ModelError::TooLarge { .. } => gst::element_imp_error!(
                self,
                gst::ResourceError::Read,
                ("{sentence}"),
                ["{detail}"]
            ),
            ModelError::Empty { .. }
            | ModelError::NotOnnx { .. }
            | ModelError::Truncated { .. }
            | ModelError::Lossy { .. } => gst::element_imp_error!(
                self,
                gst::StreamError::Decode,
                ("{sentence}"),
                ["{detail}"]
            ),
            ModelError::NotADetector { .. }
            | ModelError::Ambiguous { .. }
            | ModelError::Unsupported { .. } => gst::element_imp_error!(
                self,
                gst::StreamError::WrongType,
                ("{sentence}"),
                ["{detail}"]
            ),
            ModelError::Card { .. } | ModelError::Labels { .. } | ModelError::InputSize { .. } => {
                gst::element_imp_error!(
                    self,
                    gst::LibraryError::Settings,
                    ("{sentence}"),
                    ["{detail}"]
                )
            }
        }
    }

    fn post_engine_error(&self, path: &str, err: &EngineError) {
        match err {
            EngineError::Precision { .. } => gst::element_imp_error!(
                self,
                gst::LibraryError::Settings,
                ("The property precision cannot be used: {err}"),
                ["{path}: {err:?}"]
            ),
            EngineError::NotInstalled { .. }
            | EngineError::Library { .. }
            | EngineError::OtherLibrary { .. } => gst::element_imp_error!(
                self,
                gst::LibraryError::Init,
                ("The engine cannot be used: {err}"),
                ["{path}: {err:?}"]
            ),
            EngineError::Load { .. }
            | EngineError::Operator { .. }
            | EngineError::Shape { .. }
            | EngineError::Run { .. }
            | EngineError::Panic { .. } => gst::element_imp_error!(
                self,
                gst::LibraryError::Init,
                ("The engine cannot run the model {path}: {err}"),
                ["{path}: {err:?}"]
            ),
        }
    }

    /// Posts why one frame could not be analysed.
    pub(super) fn post_detect_error(&self, err: &DetectError) {
        gst::element_imp_error!(
            self,
            gst::StreamError::Failed,
            ("A frame could not be analysed: {err}"),
            ["{err:?}"]
        );
    }

    /// Posts that ours or an engine's code has panicked while `doing` something.
    pub(super) fn post_panic(&self, doing: &str, panic: &(dyn Any + Send)) {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        gst::element_imp_error!(
            self,
            gst::LibraryError::Failed,
            ("The detector panicked: {text}"),
            ["while {doing}"]
        );
    }
}
