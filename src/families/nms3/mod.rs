//! Boxes, scores and labels, already suppressed: torchvision.

pub(crate) mod decode;
pub(crate) mod recognise;
