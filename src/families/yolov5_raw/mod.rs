//! YOLOv5 and v7 without their decoding.

pub(crate) mod decode;
pub(crate) mod recognise;
