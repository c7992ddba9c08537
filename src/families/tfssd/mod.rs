//! TensorFlow's object detection API.

pub(crate) mod decode;
pub(crate) mod recognise;
