//! Boxes, scores and classes with their number, already suppressed.

pub(crate) mod decode;
pub(crate) mod recognise;
