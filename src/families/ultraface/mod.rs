//! Ultra-Light-Fast face detector, with and without its decoding in the graph.

pub(crate) mod decode;
pub(crate) mod recognise;
