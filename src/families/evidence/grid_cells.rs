//! The cells of grids over the input, and words for a card that does not fit.

use crate::onnx::facts::Facts;

/// Strides that detectors are built with; the first is by far the most common.
pub const STRIDES: [&[u32]; 4] = [&[8, 16, 32], &[8, 16, 32, 64], &[4, 8, 16, 32], &[16, 32]];

/// Cells of all grids over the input. A cell that reaches over the border is one.
pub fn cells(facts: &Facts, strides: &[u32]) -> Option<usize> {
    let (width, height) = (facts.picture.width?, facts.picture.height?);
    let cells = strides
        .iter()
        .map(|s| u64::from(width.div_ceil(*s)) * u64::from(height.div_ceil(*s)));
    usize::try_from(cells.sum::<u64>()).ok()
}

pub fn largest(strides: &[u32]) -> u32 {
    strides.iter().copied().max().unwrap_or(1)
}

pub fn told_by_card() -> String {
    "the card says so".into()
}

pub fn misfit(facts: &Facts, decode: &str, expected: &str) -> String {
    let outputs: Vec<String> = facts.outputs.iter().map(ToString::to_string).collect();
    format!(
        "decode is \"{decode}\" but the outputs are {}, expected {expected}",
        outputs.join(", ")
    )
}
