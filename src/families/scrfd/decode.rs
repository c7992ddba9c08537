//! SCRFD head. For every stride one f32 output of scores `[n, 1]` and one of boxes `[n, 4]`, with or without a leading
//! 1; outputs of a kind come in the order of the strides. Row = anchor; cells row by row, the anchors of a cell one
//! after the other. Key points `[n, 10]` are not read.
//!
//! Scores are probabilities. Box: distances to left, top, right and bottom from the cell's corner, in cells; times the
//! stride they are input pixels.

use crate::base::detection::Detection;
use crate::base::geometry::{BBox, Size};
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::push;
use crate::families::decoding::grid::Grid;
use crate::families::decoding::output::{Dim, Output};
use crate::families::decoding::{DecodeError, Decoder};

const BOX_FIELDS: usize = 4;

pub(crate) struct Scrfd {
    grid: Grid,
    levels: Vec<Level>,
}

/// The outputs of one stride.
struct Level {
    scores: Output,
    boxes: Output,
    /// Number of its first anchor.
    start: usize,
}

impl Scrfd {
    /// `anchors` a cell, of every stride.
    pub fn new(
        strides: &[u32],
        anchors: usize,
        input: Size,
        outputs: &[TensorSpec],
    ) -> Result<Self, DecodeError> {
        let of = |width: usize| {
            let chosen = move |(_, spec): &(usize, &TensorSpec)| spec.dims.last() == Some(&width);
            let chosen = outputs.iter().enumerate().filter(chosen);
            chosen.collect::<Vec<_>>()
        };
        let (scores, boxes) = (of(1), of(BOX_FIELDS));
        if boxes.len() != strides.len() || scores.len() != strides.len() {
            return Err(DecodeError::Outputs {
                found: outputs.to_vec(),
                expected: format!("one [n, 1] and one [n, 4] for each of the strides {strides:?}"),
            });
        }
        let mut levels = Vec::new();
        let mut start = 0;
        for (level, &stride) in strides.iter().enumerate() {
            let count = Grid::new(input, [(stride, anchors)]).len();
            let output = |(index, spec): (usize, &TensorSpec), width: usize| {
                let wanted = [Dim::Is(1), Dim::Is(count), Dim::Is(width)];
                let wanted = &wanted[usize::from(spec.dims.len() == 2)..];
                let expected = format!("[{count}, {width}] (stride {stride} over {input})");
                Output::at(index, spec, wanted, &expected)
            };
            levels.push(Level {
                scores: output(scores[level], 1)?,
                boxes: output(boxes[level], BOX_FIELDS)?,
                start,
            });
            start += count;
        }
        let grid = Grid::new(input, strides.iter().map(|&stride| (stride, anchors)));
        Ok(Self { grid, levels })
    }

    fn bbox(&self, anchor: usize, row: &[f32]) -> BBox {
        let cell = self.grid.cell(anchor);
        BBox::new(
            (cell.x - row[0]) * cell.stride,
            (cell.y - row[1]) * cell.stride,
            (cell.x + row[2]) * cell.stride,
            (cell.y + row[3]) * cell.stride,
        )
    }
}

impl Decoder for Scrfd {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        // Read all before the first is decoded: an error must leave `found` as it was.
        let mut read = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            let (scores, boxes) = (level.scores.read(outputs)?.0, level.boxes.read(outputs)?.0);
            read.push((scores, boxes, level.start));
        }
        for (scores, boxes, start) in read {
            let rows = boxes.chunks_exact(BOX_FIELDS);
            for (index, (&score, row)) in scores.iter().zip(rows).enumerate() {
                if score >= score_threshold && score.is_finite() {
                    push(found, self.bbox(start + index, row), 0, score);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::decoding::testing::{decoded, detection, f32_spec};

    /// 2 x 1 cells of 16, 1 x 1 of 32, two anchors each.
    const INPUT: Size = Size::new(32, 16);
    const STRIDES: [u32; 2] = [16, 32];
    const ANCHORS: usize = 2;

    fn specs(batch: bool) -> Vec<TensorSpec> {
        let dims = |width: usize| [[1, 4, width], [1, 2, width]];
        let all = [dims(1), dims(4), dims(10)].concat();
        let first = usize::from(!batch);
        all.iter()
            .map(|dims| f32_spec("out", &dims[first..]))
            .collect()
    }

    fn decoder() -> Scrfd {
        Scrfd::new(&STRIDES, ANCHORS, INPUT, &specs(false)).expect("the layout")
    }

    /// All anchors silent but `index`, counted over both strides.
    fn outputs(batch: bool, index: usize, score: f32, row: [f32; 4]) -> Vec<Tensor> {
        let (level, at) = if index < 4 {
            (0, index)
        } else {
            (1, index - 4)
        };
        let specs = specs(batch);
        let mut all: Vec<Vec<f32>> = (specs.iter())
            .map(|spec| vec![0.0; spec.dims.iter().product()])
            .collect();
        all[level][at] = score;
        all[2 + level][4 * at..][..4].copy_from_slice(&row);
        let tensors = specs.iter().zip(all);
        tensors
            .map(|(spec, values)| Tensor::f32("out", spec.dims.clone(), values))
            .collect()
    }

    #[test]
    fn distances_are_measured_from_the_corner_of_the_cell() {
        // The second anchor of cell (1, 0) of stride 16; the first of the cell of stride 32.
        for (index, bbox) in [(3, [8.0, -16.0, 48.0, 4.0]), (4, [-16.0, -32.0, 64.0, 8.0])] {
            let outputs = outputs(false, index, 0.75, [0.5, 1.0, 2.0, 0.25]);
            let found = decoded(&decoder(), &outputs, 0.5);
            assert_eq!(found, [detection(bbox, 0, 0.75)], "{index}");
        }
    }

    #[test]
    fn a_batch_of_one_is_read_alike() {
        let decoder = Scrfd::new(&STRIDES, ANCHORS, INPUT, &specs(true)).expect("the layout");
        let found = decoded(&decoder, &outputs(true, 0, 0.75, [0.0, 0.0, 1.0, 1.0]), 0.5);
        assert_eq!(found, [detection([0.0, 0.0, 16.0, 16.0], 0, 0.75)]);
    }

    #[test]
    fn refuses_other_shapes() {
        let new = |specs: &[TensorSpec]| {
            let decoder = Scrfd::new(&STRIDES, ANCHORS, INPUT, specs);
            decoder.err().map(|error| error.to_string())
        };
        assert_eq!(new(&specs(false)), None);
        assert_eq!(new(&specs(false)[..4]), None, "without key points");
        assert!(new(&specs(false)[1..]).is_some(), "scores are missing");
        let mut other = specs(false);
        other[0] = f32_spec("s", &[3, 1]);
        assert_eq!(
            new(&other).as_deref(),
            Some("output s has shape [3, 1], expected [4, 1] (stride 16 over 32x16)")
        );
        let one = Scrfd::new(&STRIDES, 1, INPUT, &specs(false));
        assert!(one.is_err(), "one anchor a cell");
    }

    #[test]
    fn numbers_that_are_not_finite_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let found = decoded(&decoder(), &outputs(false, 0, broken, [1.0; 4]), 0.0);
            assert!(found.iter().all(|d| d.score == 0.0), "{found:?}");
            for field in 0..4 {
                let mut row = [1.0; 4];
                row[field] = broken;
                let outputs = outputs(false, 0, 0.9, row);
                assert_eq!(decoded(&decoder(), &outputs, 0.5), []);
            }
        }
    }

    #[test]
    fn threshold_is_inclusive() {
        let outputs = outputs(false, 0, 0.25, [1.0; 4]);
        assert_eq!(decoded(&decoder(), &outputs, 0.25).len(), 1);
        assert_eq!(decoded(&decoder(), &outputs, 0.250_001), []);
    }
}
