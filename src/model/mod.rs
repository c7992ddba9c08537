//! [`Model`]: the prepared ONNX and all that is known of it.

pub mod family;

pub use family::Family;
