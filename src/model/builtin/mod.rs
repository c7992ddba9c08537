//! The built-in model: a face detector, so that `detect` works without a file.
//!
//! Where it comes from and under which licence: `README.md` and `LICENSE` in this folder.

/// The file as its authors published it.
pub const ONNX: &[u8] = include_bytes!("blazeface_back_256.onnx");

/// What is known of it, in the form of `model-config`.
pub const CARD: &str = include_str!("blazeface_back_256.json");
