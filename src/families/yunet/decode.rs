//! YuNet head. For every stride two f32 outputs of scores `[1, n, 1]`, class and objectness, and one of boxes
//! `[1, n, 4]`, one row a cell; outputs of a kind come in the order of the strides. Key points `[1, n, 10]` are not
//! read.
//!
//! Score = sqrt(class x objectness), both held to 0..1, whichever comes first. Box: x and y offset of the centre from
//! the cell's corner in cells, logarithms of width and height in cells; all times the stride are input pixels.

use crate::base::detection::Detection;
use crate::base::geometry::{BBox, Size};
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::{push, side_from_log};
use crate::families::decoding::grid::Grid;
use crate::families::decoding::output::{Dim, Output};
use crate::families::decoding::{DecodeError, Decoder};

const BOX_FIELDS: usize = 4;

pub(crate) struct YuNet {
    grid: Grid,
    levels: Vec<Level>,
}

/// The outputs of one stride.
struct Level {
    classes: Output,
    objectness: Output,
    boxes: Output,
    /// Number of its first cell.
    start: usize,
}

impl YuNet {
    pub fn new(strides: &[u32], input: Size, outputs: &[TensorSpec]) -> Result<Self, DecodeError> {
        let of = |width: usize| {
            let chosen = move |(_, spec): &(usize, &TensorSpec)| spec.dims.get(2) == Some(&width);
            let chosen = outputs.iter().enumerate().filter(chosen);
            chosen.collect::<Vec<_>>()
        };
        let (scores, boxes) = (of(1), of(BOX_FIELDS));
        if boxes.len() != strides.len() || scores.len() != 2 * strides.len() {
            return Err(DecodeError::Outputs {
                found: outputs.to_vec(),
                expected: format!(
                    "two [1, n, 1] and one [1, n, 4] for each of the strides {strides:?}"
                ),
            });
        }
        let (classes, objectness) = scores.split_at(strides.len());
        let mut levels = Vec::new();
        let mut start = 0;
        for (level, &stride) in strides.iter().enumerate() {
            let cells = Grid::new(input, [(stride, 1)]).len();
            let output = |(index, spec): (usize, &TensorSpec), width: usize| {
                let wanted = [Dim::Is(1), Dim::Is(cells), Dim::Is(width)];
                let expected = format!("[1, {cells}, {width}] (stride {stride} over {input})");
                Output::at(index, spec, &wanted, &expected)
            };
            levels.push(Level {
                classes: output(classes[level], 1)?,
                objectness: output(objectness[level], 1)?,
                boxes: output(boxes[level], BOX_FIELDS)?,
                start,
            });
            start += cells;
        }
        let grid = Grid::new(input, strides.iter().map(|&stride| (stride, 1)));
        Ok(Self { grid, levels })
    }

    fn bbox(&self, cell: usize, row: &[f32]) -> BBox {
        let cell = self.grid.cell(cell);
        BBox::from_centre(
            (cell.x + row[0]) * cell.stride,
            (cell.y + row[1]) * cell.stride,
            side_from_log(row[2], cell.stride),
            side_from_log(row[3], cell.stride),
        )
    }
}

impl Decoder for YuNet {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        // Read all before the first is decoded: an error must leave `found` as it was.
        let mut read = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            let classes = level.classes.read(outputs)?.0;
            let objectness = level.objectness.read(outputs)?.0;
            read.push((
                classes,
                objectness,
                level.boxes.read(outputs)?.0,
                level.start,
            ));
        }
        for (classes, objectness, boxes, start) in read {
            let rows = boxes.chunks_exact(BOX_FIELDS);
            for (index, ((&class, &object), row)) in
                classes.iter().zip(objectness).zip(rows).enumerate()
            {
                let score = (class.clamp(0.0, 1.0) * object.clamp(0.0, 1.0)).sqrt();
                if score >= score_threshold && class.is_finite() && object.is_finite() {
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

    /// 2 x 1 cells of 16, 1 x 1 of 32.
    const INPUT: Size = Size::new(32, 16);
    const STRIDES: [u32; 2] = [16, 32];

    fn specs() -> Vec<TensorSpec> {
        let dims = |width: usize| [[1, 2, width], [1, 1, width]];
        let all = [dims(1), dims(1), dims(4), dims(10)].concat();
        all.iter().map(|dims| f32_spec("out", dims)).collect()
    }

    fn decoder() -> YuNet {
        YuNet::new(&STRIDES, INPUT, &specs()).expect("the layout")
    }

    /// All cells silent but `index`, counted over both strides.
    fn outputs(index: usize, class: f32, objectness: f32, bbox: [f32; 4]) -> Vec<Tensor> {
        let mut all: Vec<Vec<f32>> = (specs().iter())
            .map(|spec| vec![0.0; spec.dims.iter().product()])
            .collect();
        let (level, row) = if index < 2 {
            (0, index)
        } else {
            (1, index - 2)
        };
        all[level][row] = class;
        all[2 + level][row] = objectness;
        all[4 + level][4 * row..][..4].copy_from_slice(&bbox);
        let with_dims = specs().into_iter().zip(all);
        with_dims
            .map(|(spec, values)| Tensor::f32("out", spec.dims, values))
            .collect()
    }

    #[test]
    fn offsets_and_logarithms_become_corners() {
        let found = decoded(
            &decoder(),
            &outputs(1, 0.5, 0.5, [0.5, 0.25, 0.0, 0.0]),
            0.4,
        );
        // Cell (1, 0) of stride 16: centre (24, 4), sides 16.
        assert_eq!(found, [detection([16.0, -4.0, 32.0, 12.0], 0, 0.5)]);
    }

    #[test]
    fn each_stride_has_its_outputs() {
        let found = decoded(&decoder(), &outputs(2, 1.0, 1.0, [0.5, 0.5, 0.0, 0.0]), 0.5);
        assert_eq!(found, [detection([0.0, 0.0, 32.0, 32.0], 0, 1.0)]);
    }

    #[test]
    fn scores_beyond_a_probability_are_held_to_it() {
        let score = |class, objectness| {
            let outputs = outputs(0, class, objectness, [0.0; 4]);
            decoded(&decoder(), &outputs, 0.1).first().map(|d| d.score)
        };
        assert_eq!(score(1.5, 0.25), Some(0.5));
        assert_eq!(score(0.25, 7.0), Some(0.5));
        assert_eq!(score(-1.0, -1.0), None, "two negative factors are no score");
    }

    #[test]
    fn refuses_other_shapes() {
        let new = |specs: &[TensorSpec]| {
            let decoder = YuNet::new(&STRIDES, INPUT, specs);
            decoder.err().map(|error| error.to_string())
        };
        let mut other = specs();
        other[4] = f32_spec("bbox", &[1, 3, 4]);
        assert_eq!(
            new(&other).as_deref(),
            Some("output bbox has shape [1, 3, 4], expected [1, 2, 4] (stride 16 over 32x16)")
        );
        assert!(new(&specs()[1..]).is_some(), "a score is missing");
        assert!(new(&[]).is_some());
    }

    #[test]
    fn cells_unknown_before_the_run_are_checked_at_the_run() {
        let mut free = specs();
        free.iter_mut().for_each(|spec| spec.dims[1] = 0);
        let decoder = YuNet::new(&STRIDES, INPUT, &free).expect("may fit");
        let mut outputs = outputs(0, 1.0, 1.0, [0.0; 4]);
        assert_eq!(decoded(&decoder, &outputs, 0.5).len(), 1);
        outputs[5] = Tensor::f32("out", [1, 2, 4], vec![0.0; 8]);
        let mut found = Vec::new();
        assert!(decoder.decode(&outputs, 0.5, &mut found).is_err());
        assert_eq!(found, [], "as it was");
    }

    #[test]
    fn nan_scores_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for (class, objectness) in [(broken, 1.0), (1.0, broken)] {
                let outputs = outputs(0, class, objectness, [0.0; 4]);
                assert_eq!(decoded(&decoder(), &outputs, 0.1), []);
            }
        }
    }

    #[test]
    fn boxes_without_end_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for field in 0..4 {
                let mut bbox = [0.0; 4];
                bbox[field] = broken;
                assert_eq!(decoded(&decoder(), &outputs(0, 1.0, 1.0, bbox), 0.5), []);
            }
        }
    }

    #[test]
    fn threshold_is_inclusive() {
        let outputs = outputs(0, 0.5, 0.5, [0.0; 4]);
        assert_eq!(decoded(&decoder(), &outputs, 0.5).len(), 1);
        assert_eq!(decoded(&decoder(), &outputs, 0.500_001), []);
    }

    #[test]
    fn empty_head_decodes_to_nothing() {
        let decoder = YuNet::new(&[], INPUT, &[]).expect("no strides");
        assert_eq!(decoded(&decoder, &[], 0.0), []);
    }
}
