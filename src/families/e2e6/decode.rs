//! End-to-end head. One f32 output `[1, n, 6]`; row = detection: left, top, right and bottom in input pixels, score,
//! class. Already suppressed, in falling order of score; what is left of the `n` rows is zero. YOLOv10, YOLO26,
//! Ultralytics' exports with NMS.

use crate::base::detection::Detection;
use crate::base::geometry::BBox;
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoder::{DecodeError, Decoder};
use crate::families::decoding::candidates::push;
use crate::families::decoding::output::{Dim, Output};
use crate::families::decoding::whole_numbers::whole;

const ROW: usize = 6;

pub(crate) struct E2e6 {
    output: Output,
}

impl E2e6 {
    pub fn new(outputs: &[TensorSpec]) -> Result<Self, DecodeError> {
        let wanted = [Dim::Is(1), Dim::ANY, Dim::Is(ROW)];
        let output = Output::find(outputs, &wanted, "[1, detections, 6]")?;
        Ok(Self { output })
    }
}

impl Decoder for E2e6 {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let (values, _) = self.output.read(outputs)?;
        for row in values.chunks_exact(ROW) {
            let score = row[4];
            // A row of zeros fills up; it is nothing, even where every score is asked for.
            let passes = score >= score_threshold && score > 0.0 && score.is_finite();
            if passes && let Some(class) = whole(row[5]) {
                push(
                    found,
                    BBox::new(row[0], row[1], row[2], row[3]),
                    class,
                    score,
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::decoder::testing::{decoded, detection, f32_spec};

    fn found(rows: &[[f32; ROW]], threshold: f32) -> Vec<Detection> {
        let decoder = E2e6::new(&[f32_spec("out", &[1, 0, ROW])]).expect("the layout");
        let outputs = [Tensor::f32("out", [1, rows.len(), ROW], rows.concat())];
        decoded(&decoder, &outputs, threshold)
    }

    #[test]
    fn rows_are_corners_score_and_class() {
        let rows = [
            [1.0, 2.0, 30.0, 40.0, 0.9, 7.0],
            [5.0, 6.0, 7.0, 8.0, 0.5, 0.0],
        ];
        assert_eq!(
            found(&rows, 0.25),
            [
                detection([1.0, 2.0, 30.0, 40.0], 7, 0.9),
                detection([5.0, 6.0, 7.0, 8.0], 0, 0.5)
            ]
        );
    }

    #[test]
    fn padding_is_no_detection() {
        assert_eq!(found(&[[0.0; ROW]; 3], 0.0), []);
    }

    #[test]
    fn threshold_is_inclusive() {
        let row = [0.0, 0.0, 2.0, 2.0, 0.25, 0.0];
        assert_eq!(found(&[row], 0.25).len(), 1);
        assert_eq!(found(&[row], 0.250_001), []);
    }

    #[test]
    fn numbers_that_are_not_finite_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for field in 0..ROW {
                let mut row = [0.0, 0.0, 2.0, 2.0, 0.9, 1.0];
                row[field] = broken;
                assert_eq!(found(&[row], 0.1), [], "{broken} as field {field}");
            }
        }
        assert_eq!(found(&[[0.0, 0.0, 2.0, 2.0, 0.9, -1.0]], 0.1), []);
    }

    #[test]
    fn refuses_other_shapes() {
        let error = E2e6::new(&[f32_spec("out", &[1, 300, 7])]).err();
        assert_eq!(
            error.expect("seven numbers").to_string(),
            "output out has shape [1, 300, 7], expected [1, detections, 6]"
        );
        let masks = [f32_spec("out", &[1, 300, 6]), f32_spec("m", &[1, 32, 8, 8])];
        assert!(E2e6::new(&masks).is_ok(), "others are passed over");
        assert!(E2e6::new(&[]).is_err());
    }

    #[test]
    fn empty_head_decodes_to_nothing() {
        assert_eq!(found(&[], 0.0), []);
    }
}
