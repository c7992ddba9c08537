//! [`Table`]: one output of all candidates, in rows or in columns.

use crate::families::evidence::grid_cells::{STRIDES, cells};
use crate::onnx::facts::{Facts, Port};

/// Numbers of a box.
const BOX: usize = 4;

/// Strides of rarer detectors: with a finer or a coarser grid, or with fewer.
const RARE_STRIDES: [&[u32]; 8] = [
    &[8, 16, 32, 64, 128],
    &[4, 8, 16, 32, 64],
    &[4, 8, 16],
    &[8, 16],
    &[4, 8],
    &[8],
    &[16],
    &[32],
];

/// One output `[1, n, 5 + classes]` or `[1, 4 + classes, n]`.
pub struct Table<'a> {
    pub output: &'a str,
    /// Numbers for each candidate.
    pub features: usize,
    /// `None` where the export leaves it free.
    pub candidates: Option<usize>,
}

/// The output that is a table: the only one, of three dims. A model with others beside it is read by one after the other.
pub fn output<'a>(facts: &'a Facts) -> Option<(&'a Port, &'a [Option<usize>])> {
    facts.only_output().filter(|(_, dims)| dims.len() == 3)
}

/// A candidate is a row of a box, an objectness and scores.
pub fn rows<'a>(facts: &'a Facts) -> Option<Table<'a>> {
    rows_of(facts, BOX + 1)
}

/// A candidate is a row of more than `fields` numbers.
pub fn rows_of<'a>(facts: &'a Facts, fields: usize) -> Option<Table<'a>> {
    match output(facts)? {
        (output, &[_, candidates, Some(features)]) if features > fields => Some(Table {
            output: &output.name,
            features,
            candidates,
        }),
        _ => None,
    }
}

/// A candidate is a column.
pub fn columns<'a>(facts: &'a Facts) -> Option<Table<'a>> {
    match output(facts)? {
        (output, &[_, Some(features), candidates]) if features > BOX => Some(Table {
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
    let mut usual = STRIDES.into_iter();
    usual.find(|strides| fit(facts, strides, candidates, per_cell))
}

/// The strides as [`strides`] finds them, or such as few detectors have, if no others explain the table.
pub fn any_strides(facts: &Facts, table: &Table, per_cell: usize) -> Option<&'static [u32]> {
    if is_turned(facts, table) {
        return None;
    }
    let usual = |per_cell| strides(facts, table.candidates, per_cell);
    usual(per_cell).or_else(|| {
        let candidates = table.candidates.filter(|n| *n > table.features)?;
        let explained = usual(1).is_some() || usual(3).is_some();
        let mut rare = RARE_STRIDES.into_iter().filter(|_| !explained);
        rare.find(|strides| fit(facts, strides, candidates, per_cell))
    })
}

/// Whether a table has more numbers for a candidate than candidates, and is one of all cells if read the other way.
fn is_turned(facts: &Facts, table: &Table) -> bool {
    let few = table.candidates.is_some_and(|n| n < table.features);
    let mut all = STRIDES.iter().chain(&RARE_STRIDES);
    few && all.any(|strides| {
        [1, 3]
            .iter()
            .any(|per_cell| fit(facts, strides, table.features, *per_cell))
    })
}

fn fit(facts: &Facts, strides: &[u32], candidates: usize, per_cell: usize) -> bool {
    cells(facts, strides).and_then(|n| n.checked_mul(per_cell)) == Some(candidates)
}

/// For people: the number of candidates, or that the export leaves it free.
pub fn count(candidates: Option<usize>) -> String {
    candidates.map_or("free number of".into(), |n| n.to_string())
}

/// Whether there are more numbers for each candidate than candidates, and no grid has so many cells: the dims of a table
/// that is read the wrong way.
pub fn is_misread(facts: &Facts, table: &Table) -> bool {
    let few = table.candidates.is_some_and(|n| n < table.features);
    let of_cells = [1, 3]
        .iter()
        .any(|per_cell| any_strides(facts, table, *per_cell).is_some());
    few && !of_cells
}
