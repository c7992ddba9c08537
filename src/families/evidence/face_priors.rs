//! Numbers of the SSD priors that face detectors of several families share.

use crate::families::evidence::grid_cells::cells;
use crate::onnx::facts::Facts;

/// Stride and priors a cell of each grid.
pub const PRIORS: [(u32, usize); 4] = [(8, 3), (16, 2), (32, 2), (64, 3)];

/// Counts the priors over the input; `None` if its size is free.
pub fn count(facts: &Facts) -> Option<usize> {
    PRIORS
        .iter()
        .map(|&(stride, priors)| Some(cells(facts, &[stride])? * priors))
        .sum()
}
