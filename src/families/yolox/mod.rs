//! YOLOX as its authors export it.

pub(crate) mod decode;
pub(crate) mod decode_heads;
pub(crate) mod ending;
