//! [`OpenError`]: a model cannot be used. [`DetectError`]: a picture could not be analysed.

use crate::base::classes::ClassesError;
use crate::engine::EngineError;
use crate::families::DecodeError;
use crate::model::ModelError;
use crate::vision::preprocess::PreprocessError;
use std::fmt;

/// The reason why a model cannot be used.
#[derive(Debug)]
pub enum OpenError {
    /// The file cannot be read or recognised.
    Model(ModelError),
    /// The engine cannot load or run it.
    Engine(EngineError),
    /// The engine's outputs do not fit the family.
    Decode(DecodeError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(err) => err.fmt(f),
            Self::Engine(err) => err.fmt(f),
            Self::Decode(err) => err.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Model(err) => Some(err),
            Self::Engine(err) => Some(err),
            Self::Decode(err) => Some(err),
        }
    }
}

/// The reason why a picture could not be analysed.
#[derive(Debug)]
pub enum DetectError {
    /// [`Detector::infer`](super::Detector::infer) was called before [`Detector::prepare`](super::Detector::prepare).
    Unprepared,
    /// [`Thresholds::classes`](crate::base::detection::Thresholds::classes) names classes that the model does not have.
    Classes(ClassesError),
    /// The picture could not be made into an input.
    Preprocess(PreprocessError),
    /// The engine failed.
    Engine(EngineError),
    /// The outputs could not be decoded.
    Decode(DecodeError),
}

impl fmt::Display for DetectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unprepared => f.write_str("no picture was prepared, expected one"),
            Self::Classes(err) => write!(f, "classes are {err}"),
            Self::Preprocess(err) => err.fmt(f),
            Self::Engine(err) => err.fmt(f),
            Self::Decode(err) => err.fmt(f),
        }
    }
}

impl std::error::Error for DetectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unprepared => None,
            Self::Classes(err) => Some(err),
            Self::Preprocess(err) => Some(err),
            Self::Engine(err) => Some(err),
            Self::Decode(err) => Some(err),
        }
    }
}

macro_rules! from {
    ($($outer:ident :: $variant:ident ( $inner:ty )),* $(,)?) => {
        $(impl From<$inner> for $outer {
            fn from(err: $inner) -> Self {
                Self::$variant(err)
            }
        })*
    };
}

from! {
    OpenError::Model(ModelError),
    OpenError::Engine(EngineError),
    OpenError::Decode(DecodeError),
    DetectError::Classes(ClassesError),
    DetectError::Preprocess(PreprocessError),
    DetectError::Engine(EngineError),
    DetectError::Decode(DecodeError),
}
