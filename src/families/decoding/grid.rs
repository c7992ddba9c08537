//! [`Grid`]: the cells of a head over the input, level by level.
//!
//! A level of stride `s` has `ceil(width / s)` x `ceil(height / s)` cells, row by row. Levels follow one another in
//! the order of the strides, and each cell holds `anchors` candidates in a row.

use crate::base::geometry::Size;

/// One cell of one level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    /// Column and row, in cells of the level.
    pub x: f32,
    pub y: f32,
    /// Input pixels per cell.
    pub stride: f32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Level {
    stride: u32,
    columns: usize,
    anchors: usize,
    /// Candidates up to the end of this level.
    end: usize,
}

/// Maps the number of a candidate to its cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Grid {
    levels: Vec<Level>,
}

impl Grid {
    /// Levels of `(stride, candidates per cell)` over an input of `input` pixels. A stride of 0 has no cells.
    pub fn new(input: Size, levels: impl IntoIterator<Item = (u32, usize)>) -> Self {
        let mut end = 0;
        let levels = levels
            .into_iter()
            .filter(|&(stride, anchors)| stride > 0 && anchors > 0)
            .map(|(stride, anchors)| {
                let columns = input.width.div_ceil(stride) as usize;
                let rows = input.height.div_ceil(stride) as usize;
                end += columns * rows * anchors;
                Level {
                    stride,
                    columns,
                    anchors,
                    end,
                }
            })
            .collect();
        Self { levels }
    }

    /// Number of candidates.
    pub fn len(&self) -> usize {
        self.levels.last().map_or(0, |level| level.end)
    }

    /// Cell of candidate `index`, which is below [`len`](Self::len).
    pub fn cell(&self, index: usize) -> Cell {
        let mut start = 0;
        for level in &self.levels {
            if index < level.end {
                let cell = (index - start) / level.anchors;
                return Cell {
                    x: (cell % level.columns) as f32,
                    y: (cell / level.columns) as f32,
                    stride: level.stride as f32,
                };
            }
            start = level.end;
        }
        panic!("candidate {index} of a grid of {}", self.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_run_row_by_row_and_level_by_level() {
        // 3 x 2 cells of 16, then 2 x 1 of 32.
        let grid = Grid::new(Size::new(48, 32), [(16, 1), (32, 1)]);
        assert_eq!(grid.len(), 8);
        let at = |index| {
            let cell = grid.cell(index);
            (cell.x, cell.y, cell.stride)
        };
        assert_eq!(at(0), (0.0, 0.0, 16.0));
        assert_eq!(at(5), (2.0, 1.0, 16.0));
        assert_eq!(at(6), (0.0, 0.0, 32.0));
        assert_eq!(at(7), (1.0, 0.0, 32.0), "a part of a cell is a cell");
    }

    #[test]
    fn anchors_share_their_cell() {
        let grid = Grid::new(Size::new(256, 256), [(16, 2), (32, 6)]);
        assert_eq!(grid.len(), 512 + 384);
        assert_eq!(grid.cell(2), grid.cell(3));
        assert_eq!(
            grid.cell(512 + 6),
            Cell {
                x: 1.0,
                y: 0.0,
                stride: 32.0
            }
        );
    }

    #[test]
    fn no_levels_have_no_cells() {
        assert_eq!(Grid::new(Size::new(64, 64), []).len(), 0);
        assert_eq!(Grid::new(Size::new(64, 64), [(0, 1)]).len(), 0);
    }
}
