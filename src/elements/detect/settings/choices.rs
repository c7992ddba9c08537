//! Enums of the properties: [`Mode`], [`DetectEngine`], [`DetectPrecision`].

use crate::engine::{EngineKind, Precision};
use gst::glib;

/// Which frames leave the element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstDetectMode")]
#[non_exhaustive]
pub enum Mode {
    #[default]
    #[enum_value(name = "newest if the source is live, else every", nick = "auto")]
    /// Chooses `newest` for a live source, else `every`.
    Auto,
    #[enum_value(
        name = "Only analysed frames leave; while one is analysed the newest waits, older ones are dropped",
        nick = "newest"
    )]
    /// Only analysed frames leave.
    Newest,
    #[enum_value(
        name = "Every frame leaves at once with the last boxes known, moved on to where their objects should be now",
        nick = "passthrough"
    )]
    /// Every frame leaves at once, with the last boxes known.
    Passthrough,
    #[enum_value(
        name = "No frame is dropped; upstream waits for the analysis",
        nick = "every"
    )]
    /// No frame is dropped; upstream waits.
    Every,
}

impl Mode {
    pub(crate) fn nick(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Newest => "newest",
            Self::Passthrough => "passthrough",
            Self::Every => "every",
        }
    }
}

/// The engine that runs the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstDetectEngine")]
#[non_exhaustive]
pub enum DetectEngine {
    #[default]
    #[enum_value(name = "tract: built in, needs nothing", nick = "tract")]
    /// The built-in engine.
    Tract,
    #[enum_value(
        name = "ONNX Runtime: its library must be installed",
        nick = "onnxruntime"
    )]
    /// ONNX Runtime.
    OnnxRuntime,
    #[enum_value(name = "OpenVINO: its library must be installed", nick = "openvino")]
    /// OpenVINO.
    OpenVino,
    #[enum_value(
        name = "The fastest that is installed and can run the model, measured while loading",
        nick = "auto"
    )]
    /// The fastest engine that is installed and can run the model.
    Auto,
    #[cfg(feature = "stub-engine")]
    #[enum_value(name = "Canned answers, for tests", nick = "stub")]
    /// Canned answers, for tests.
    Stub,
}

impl From<DetectEngine> for EngineKind {
    fn from(engine: DetectEngine) -> Self {
        match engine {
            DetectEngine::Tract => Self::Tract,
            DetectEngine::OnnxRuntime => Self::OnnxRuntime,
            DetectEngine::OpenVino => Self::OpenVino,
            DetectEngine::Auto => Self::Auto,
            #[cfg(feature = "stub-engine")]
            DetectEngine::Stub => Self::Stub,
        }
    }
}

/// The arithmetic of an inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstDetectPrecision")]
#[non_exhaustive]
pub enum DetectPrecision {
    #[default]
    #[enum_value(
        name = "f16 where the processor computes with it and the engine chooses it by default, else f32",
        nick = "auto"
    )]
    /// Chosen by engine and processor.
    Auto,
    #[enum_value(name = "Numbers of 32 bits", nick = "f32")]
    /// 32-bit floats.
    F32,
    #[enum_value(
        name = "Numbers of 16 bits; an error where engine or processor lack them",
        nick = "f16"
    )]
    /// 16-bit floats.
    F16,
}

impl From<DetectPrecision> for Precision {
    fn from(precision: DetectPrecision) -> Self {
        match precision {
            DetectPrecision::Auto => Self::Auto,
            DetectPrecision::F32 => Self::F32,
            DetectPrecision::F16 => Self::F16,
        }
    }
}
