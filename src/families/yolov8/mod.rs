//! YOLOv8, v9, v11, v12.

pub(crate) mod decode;
pub(crate) mod decode_heads;
pub(crate) mod ending;
