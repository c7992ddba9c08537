//! Inputs of PaddleDetection's exporter.

use crate::onnx::facts::Facts;
use crate::onnx::side_input::Side;

/// Whether an input is one of PaddleDetection's.
pub fn of_paddle(facts: &Facts) -> bool {
    facts
        .sides
        .iter()
        .any(|side| matches!(side, Side::InputShape | Side::ScaleFactor))
}
