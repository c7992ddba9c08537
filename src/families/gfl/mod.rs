//! NanoDet, PicoDet.

pub(crate) mod decode;
pub(crate) mod recognise;
