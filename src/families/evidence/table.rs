//! [`Table`]: one output of all candidates, in rows or in columns.

use crate::families::evidence::grid_cells::{STRIDES, cells};
use crate::onnx::facts::Facts;

/// One output `[1, n, 5 + classes]` or `[1, 4 + classes, n]`.
pub struct Table<'a> {
    pub output: &'a str,
    /// Numbers for each candidate.
    pub features: usize,
    /// `None` where the export leaves it free.
    pub candidates: Option<usize>,
}

pub fn rows<'a>(facts: &'a Facts) -> Option<Table<'a>> {
    let (output, dims) = facts.only_output()?;
    match *dims {
        [_, candidates, Some(features)] if features > 5 => Some(Table {
            output: &output.name,
            features,
            candidates,
        }),
        _ => None,
    }
}

pub fn columns<'a>(facts: &'a Facts) -> Option<Table<'a>> {
    let (output, dims) = facts.only_output()?;
    match *dims {
        [_, Some(features), candidates] if features > 4 => Some(Table {
            output: &output.name,
            features,
            candidates,
        }),
        _ => None,
    }
}

/// The strides whose grids have `candidates / per_cell` cells; the most common where their number is free.
pub fn strides(
    facts: &Facts,
    candidates: Option<usize>,
    per_cell: usize,
) -> Option<&'static [u32]> {
    let Some(candidates) = candidates else {
        return Some(STRIDES[0]);
    };
    STRIDES.into_iter().find(|strides| {
        cells(facts, strides).and_then(|n| n.checked_mul(per_cell)) == Some(candidates)
    })
}

/// For people: the number of candidates, or that the export leaves it free.
pub fn count(candidates: Option<usize>) -> String {
    candidates.map_or("free number of".into(), |n| n.to_string())
}
