//! YOLOX head as its authors export it. One f32 output `[1, candidates, 5 + classes]`; row = candidate = cell of the
//! grid of each stride in turn: x and y offset from the cell's corner in cells, logarithms of width and height in
//! cells, objectness, then one probability per class. Score = objectness x class.
//!
//! Centre = (cell + offset) x stride, side = exp(logarithm) x stride, in input pixels.

use crate::base::detection::Detection;
use crate::base::geometry::{BBox, Size};
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::{ROW_FIELDS, decode_rows, side_from_log};
use crate::families::decoding::grid::{Cell, Grid};
use crate::families::decoding::output::{Dim, Output, with_classes};
use crate::families::decoding::{DecodeError, Decoder, Labelling};

pub(crate) struct Yolox {
    output: Output,
    grid: Grid,
    labelling: Labelling,
}

impl Yolox {
    /// `classes` of 0: as many as the output has.
    pub fn new(
        strides: &[u32],
        input: Size,
        classes: usize,
        outputs: &[TensorSpec],
        labelling: Labelling,
    ) -> Result<Self, DecodeError> {
        let grid = Grid::new(input, strides.iter().map(|&stride| (stride, 1)));
        let expected = format!(
            "[1, {}, {}] (strides {strides:?} over {input})",
            grid.len(),
            with_classes(ROW_FIELDS, classes)
        );
        let wanted = [
            Dim::Is(1),
            Dim::Is(grid.len()),
            Dim::fields_and(ROW_FIELDS, classes),
        ];
        let output = Output::find(outputs, &wanted, &expected)?;
        Ok(Self {
            output,
            grid,
            labelling,
        })
    }
}

impl Decoder for Yolox {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let (values, dims) = self.output.read(outputs)?;
        let bbox = |index, numbers| bbox(self.grid.cell(index), numbers);
        decode_rows(
            values,
            dims[2],
            &self.labelling,
            score_threshold,
            bbox,
            found,
        );
        Ok(())
    }
}

/// Makes a box of the four numbers of `cell`.
pub(crate) fn bbox(cell: Cell, [x, y, width, height]: [f32; 4]) -> BBox {
    BBox::from_centre(
        (cell.x + x) * cell.stride,
        (cell.y + y) * cell.stride,
        side_from_log(width, cell.stride),
        side_from_log(height, cell.stride),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::decoding::testing::{decoded, detection, f32_spec};

    /// 2 x 1 cells of 16, 1 x 1 of 32: three rows.
    const INPUT: Size = Size::new(32, 16);

    fn decoder(classes: usize) -> Yolox {
        let specs = [f32_spec("out", &[1, 3, ROW_FIELDS + classes])];
        Yolox::new(&[16, 32], INPUT, classes, &specs, Labelling::Best).expect("the layout")
    }

    /// Three rows, all zero but row `index`.
    fn outputs(index: usize, row: &[f32]) -> [Tensor; 1] {
        let mut values = vec![0.0; 3 * row.len()];
        values[index * row.len()..][..row.len()].copy_from_slice(row);
        [Tensor::f32("out", [1, 3, row.len()], values)]
    }

    #[test]
    fn offsets_and_logarithms_become_corners() {
        let row = [0.5, 0.25, 0.0, 2.0_f32.ln(), 1.0, 0.5];
        let found = decoded(&decoder(1), &outputs(1, &row), 0.5);
        // Cell (1, 0) of stride 16: centre (24, 4), sides 16 and 32.
        assert_eq!(found.len(), 1);
        let expected = detection([16.0, -12.0, 32.0, 20.0], 0, 0.5);
        let corners = |d: &Detection| [d.bbox.x1, d.bbox.y1, d.bbox.x2, d.bbox.y2];
        for (a, b) in corners(&found[0]).iter().zip(corners(&expected)) {
            assert!((a - b).abs() < 1e-4, "{found:?}");
        }
    }

    #[test]
    fn each_stride_has_its_rows() {
        let row = [0.5, 0.5, 0.0, 0.0, 1.0, 1.0];
        let found = decoded(&decoder(1), &outputs(2, &row), 0.5);
        assert_eq!(found, [detection([0.0, 0.0, 32.0, 32.0], 0, 1.0)]);
    }

    #[test]
    fn the_grid_must_have_as_many_cells_as_the_output_rows() {
        let new = |dims: &[usize]| {
            Yolox::new(
                &[16, 32],
                INPUT,
                1,
                &[f32_spec("out", dims)],
                Labelling::Best,
            )
        };
        assert_eq!(
            new(&[1, 4, 6]).err().expect("four rows").to_string(),
            "output out has shape [1, 4, 6], expected [1, 3, 5 + 1] (strides [16, 32] over 32x16)"
        );
        let free = new(&[1, 0, 6]).expect("rows are known at the run");
        let four = [Tensor::f32("out", [1, 4, 6], vec![0.0; 24])];
        assert!(free.decode(&four, 0.5, &mut Vec::new()).is_err());
    }

    #[test]
    fn ties_take_the_lower_class() {
        let row = [0.5, 0.5, 0.0, 0.0, 1.0, 0.7, 0.7];
        assert_eq!(decoded(&decoder(2), &outputs(0, &row), 0.5)[0].class, 0);
    }

    #[test]
    fn huge_logarithms_give_no_box_without_end() {
        let row = [0.5, 0.5, 1e30, 3e38, 1.0, 1.0];
        let found = decoded(&decoder(1), &outputs(0, &row), 0.5);
        assert!(found[0].bbox.area().is_finite(), "{found:?}");
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for field in 0..4 {
                let mut row = [0.5, 0.5, 0.0, 0.0, 1.0, 1.0];
                row[field] = broken;
                assert_eq!(decoded(&decoder(1), &outputs(0, &row), 0.5), []);
            }
        }
    }

    #[test]
    fn nan_scores_are_never_detections() {
        for (objectness, class) in [(f32::NAN, 1.0), (1.0, f32::NAN), (1.0, f32::INFINITY)] {
            let row = [0.5, 0.5, 0.0, 0.0, objectness, class];
            assert_eq!(decoded(&decoder(1), &outputs(0, &row), 0.1), []);
        }
    }

    #[test]
    fn threshold_is_inclusive() {
        let row = [0.5, 0.5, 0.0, 0.0, 0.5, 0.5];
        assert_eq!(decoded(&decoder(1), &outputs(0, &row), 0.25).len(), 1);
        assert_eq!(decoded(&decoder(1), &outputs(0, &row), 0.250_001), []);
    }

    #[test]
    fn empty_head_decodes_to_nothing() {
        let empty = Size::new(0, 0);
        let decoder = Yolox::new(
            &[16],
            empty,
            1,
            &[f32_spec("out", &[1, 0, 6])],
            Labelling::Best,
        );
        let outputs = [Tensor::f32("out", [1, 0, 6], vec![])];
        assert_eq!(decoded(&decoder.expect("no cells"), &outputs, 0.0), []);
    }
}
