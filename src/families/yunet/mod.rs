//! libfacedetection's face detector.

pub(crate) mod decode;
pub(crate) mod recognise;
