//! The vocabulary of all other folders: geometry, pictures, tensors, detections, classes, texts. Uses only `std`.

pub mod classes;
pub mod detection;
pub mod geometry;
pub mod image;
pub mod tensor;
pub mod text;
