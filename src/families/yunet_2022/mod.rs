//! libfacedetection's face detector of 2021 and 2022.

pub(crate) mod decode;
pub(crate) mod recognise;
