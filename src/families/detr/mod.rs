//! DETR, RT-DETR, RF-DETR.

pub(crate) mod decode;
pub(crate) mod recognise;
