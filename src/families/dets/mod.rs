//! Boxes with scores, and labels, already suppressed: mmdeploy.

pub(crate) mod decode;
pub(crate) mod recognise;
