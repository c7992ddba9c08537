//! The built-in model: a face detector, so that `detect` works without a file.
//!
//! Where it comes from and under which licence: `README.md` and `LICENSE` in this folder.

/// The file as its authors published it.
pub const ONNX: &[u8] = include_bytes!("blazeface_back_256.onnx");

/// Its card, in the form of `model-config`.
pub const CARD: &str = include_str!("blazeface_back_256.json");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::outline::Outline;

    #[test]
    fn the_built_in_model_has_an_outline() {
        let outline = Outline::from_bytes(ONNX).expect("it is ONNX");
        assert!(outline.operators["Conv"] > 10 && outline.parameters > 100_000);
        assert_eq!((outline.inputs.len(), outline.outputs.len()), (1, 4));
    }
}
