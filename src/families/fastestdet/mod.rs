//! FastestDet.

pub(crate) mod decode;
pub(crate) mod recognise;
