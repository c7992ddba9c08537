//! GStreamer elements that find objects in live video with an ONNX model.

pub mod builtin;
pub mod decode;
pub mod detection;
pub mod detector;
pub mod engine;
pub mod geometry;
pub mod image;
pub mod letterbox;
pub mod mailbox;
pub mod model;
pub mod nms;
pub mod preprocess;
pub mod stats;
pub mod tensor;
