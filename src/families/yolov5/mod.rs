//! YOLOv5, v7 and others of their layout, decoded in the graph.

pub(crate) mod decode;
