//! The vocabulary of every other folder: geometry, pictures, tensors, detections, classes. Uses `std` alone.

pub mod classes;
pub mod detection;
pub mod geometry;
pub mod image;
pub mod tensor;
