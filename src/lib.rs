//! GStreamer elements that find objects in live video with an ONNX model.

pub mod allocation;
pub mod builtin;
pub mod decode;
pub mod detection;
pub mod detector;
pub mod draw;
pub mod engine;
pub mod frame;
pub mod geometry;
pub mod image;
pub mod lent;
pub mod letterbox;
pub mod mailbox;
pub mod message;
pub mod meta;
pub mod model;
pub mod nms;
pub mod preprocess;
pub mod stats;
pub mod tensor;
