//! RT-DETR of Ultralytics.

pub(crate) mod decode;
pub(crate) mod recognise;
