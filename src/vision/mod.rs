//! Pixels and boxes: scaling, tensors from pictures, suppression, tracking, drawing.

pub mod draw;
pub mod letterbox;
pub mod nms;
pub mod preprocess;
pub mod track;
