//! SSD: scores with a background, and boxes.

pub(crate) mod decode;
pub(crate) mod recognise;
