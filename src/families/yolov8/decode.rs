//! YOLOv8 head. One f32 output `[1, 4 + classes, candidates]`; column = candidate: centre x, centre y, width, height
//! in input pixels, then one probability per class. No objectness. Also YOLOv9, v11, v12.
//!
//! The scores are read along the rows, a block of columns at a time, which is how they lie in memory.

use crate::base::detection::Detection;
use crate::base::geometry::BBox;
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::{BLOCK, highest_scores, push};
use crate::families::decoding::output::{Dim, Output, with_classes};
use crate::families::decoding::{DecodeError, Decoder, Labelling};

/// Fields of a column before its class scores.
const COLUMN_FIELDS: usize = 4;

pub(crate) struct Yolov8 {
    output: Output,
    labelling: Labelling,
}

impl Yolov8 {
    /// `classes` of 0: as many as the output has.
    pub fn new(
        classes: usize,
        outputs: &[TensorSpec],
        labelling: Labelling,
    ) -> Result<Self, DecodeError> {
        let expected = format!("[1, {}, candidates]", with_classes(COLUMN_FIELDS, classes));
        let wanted = [
            Dim::Is(1),
            Dim::fields_and(COLUMN_FIELDS, classes),
            Dim::ANY,
        ];
        let output = Output::find(outputs, &wanted, &expected)?;
        Ok(Self { output, labelling })
    }
}

impl Decoder for Yolov8 {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let (values, dims) = self.output.read(outputs)?;
        let candidates = dims[2];
        let (boxes, scores) = values.split_at(COLUMN_FIELDS * candidates);
        let field = |field: usize, column: usize| boxes[field * candidates + column];
        for start in (0..candidates).step_by(BLOCK) {
            let end = candidates.min(start + BLOCK);
            let highest = highest_scores(scores, candidates, start, end);
            for column in (start..end).filter(|column| highest[column - start] >= score_threshold) {
                let column_scores = scores[column..].iter().step_by(candidates).copied();
                let report = |class, score| {
                    let (x, y) = (field(0, column), field(1, column));
                    let bbox = BBox::from_centre(x, y, field(2, column), field(3, column));
                    push(found, bbox, class, score);
                };
                self.labelling
                    .choose(column_scores, 1.0, score_threshold, report);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::decoding::testing::{decoded, detection, f32_spec};

    fn decoder(classes: usize, labelling: Labelling) -> Yolov8 {
        let specs = [f32_spec("out", &[1, COLUMN_FIELDS + classes, 0])];
        Yolov8::new(classes, &specs, labelling).expect("the layout")
    }

    /// Columns laid side by side.
    fn outputs(columns: &[&[f32]]) -> [Tensor; 1] {
        let rows = columns[0].len();
        let values = (0..rows).flat_map(|row| columns.iter().map(move |column| column[row]));
        [Tensor::f32(
            "out",
            [1, rows, columns.len()],
            values.collect(),
        )]
    }

    fn best(columns: &[&[f32]], threshold: f32) -> Vec<Detection> {
        let classes = columns[0].len() - COLUMN_FIELDS;
        decoded(
            &decoder(classes, Labelling::Best),
            &outputs(columns),
            threshold,
        )
    }

    #[test]
    fn accepts_a_single_class_head() {
        let found = best(&[&[10.0, 20.0, 4.0, 8.0, 0.5]], 0.25);
        assert_eq!(found, [detection([8.0, 16.0, 12.0, 24.0], 0, 0.5)]);
    }

    #[test]
    fn refuses_other_shapes() {
        let new = |dims: &[usize], classes| {
            Yolov8::new(classes, &[f32_spec("out", dims)], Labelling::Best)
                .err()
                .map(|error| error.to_string())
        };
        assert_eq!(new(&[1, 84, 8400], 80), None);
        assert_eq!(new(&[1, 84, 0], 0), None);
        assert_eq!(
            new(&[1, 8400, 84], 80).as_deref(),
            Some("output out has shape [1, 8400, 84], expected [1, 4 + 80, candidates]")
        );
        assert!(new(&[1, 4, 8400], 0).is_some(), "no class is no detector");
    }

    #[test]
    fn centre_form_becomes_corners() {
        let columns: [&[f32]; 2] = [&[0.0; 6], &[100.0, 50.0, 20.0, 10.0, 0.1, 0.9]];
        assert_eq!(
            best(&columns, 0.5),
            [detection([90.0, 45.0, 110.0, 55.0], 1, 0.9)]
        );
    }

    #[test]
    fn columns_beyond_a_block_are_read() {
        let mut columns = vec![[0.0_f32; 6]; 2 * BLOCK + 3];
        let places = [0, BLOCK - 1, BLOCK, 2 * BLOCK + 2];
        for place in places {
            columns[place] = [place as f32, 0.0, 2.0, 2.0, 0.0, 0.9];
        }
        let columns: Vec<&[f32]> = columns.iter().map(|column| &column[..]).collect();
        let found: Vec<usize> = best(&columns, 0.5)
            .iter()
            .map(|d| (d.bbox.x1 + 1.0) as usize)
            .collect();
        assert_eq!(found, places);
    }

    #[test]
    fn ties_take_the_lower_class() {
        assert_eq!(
            best(&[&[0.0, 0.0, 2.0, 2.0, 0.2, 0.7, 0.7]], 0.5)[0].class,
            1
        );
    }

    #[test]
    fn every_class_above_the_threshold_when_asked() {
        let columns: [&[f32]; 1] = [&[0.0, 0.0, 2.0, 2.0, 0.5, 0.1, 0.4]];
        let found = decoded(&decoder(3, Labelling::Every), &outputs(&columns), 0.3);
        let classes: Vec<(u32, f32)> = found.iter().map(|d| (d.class, d.score)).collect();
        assert_eq!(classes, [(0, 0.5), (2, 0.4)]);
    }

    #[test]
    fn nan_scores_are_never_detections() {
        for score in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(best(&[&[0.0, 0.0, 2.0, 2.0, score]], 0.1), []);
        }
        let found = best(&[&[0.0, 0.0, 2.0, 2.0, f32::NAN, 0.6]], 0.5);
        assert_eq!(found[0].class, 1, "NaN does not hide another class");
    }

    #[test]
    fn boxes_without_end_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for field in 0..4 {
                let mut column = [0.0, 0.0, 2.0, 2.0, 1.0];
                column[field] = broken;
                assert_eq!(best(&[&column], 0.5), []);
            }
        }
    }

    #[test]
    fn threshold_is_inclusive() {
        assert_eq!(best(&[&[0.0, 0.0, 2.0, 2.0, 0.25]], 0.25).len(), 1);
        assert_eq!(best(&[&[0.0, 0.0, 2.0, 2.0, 0.25]], 0.250_001), []);
    }

    #[test]
    fn empty_head_decodes_to_nothing() {
        let outputs = [Tensor::f32("out", [1, 5, 0], vec![])];
        assert_eq!(decoded(&decoder(1, Labelling::Best), &outputs, 0.0), []);
    }
}
