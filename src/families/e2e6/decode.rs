//! End-to-end head. One f32 output `[1, n, 6]`; row = detection: left, top, right and bottom in input pixels, score,
//! class. Already suppressed, in falling order of score; what is left of the `n` rows is zero. YOLOv10, YOLO26,
//! Ultralytics' exports with NMS.

use crate::base::tensor::TensorSpec;
use crate::families::decoding::DecodeError;
use crate::families::decoding::chosen_rows::{ChosenRows, Field};
use crate::families::decoding::output::{Dim, Output};

const ROW: usize = 6;

/// Makes the decoder.
///
/// # Errors
/// [`DecodeError`] if the outputs are others.
pub fn rows(outputs: &[TensorSpec]) -> Result<ChosenRows, DecodeError> {
    let wanted = [Dim::Is(1), Dim::ANY, Dim::Is(ROW)];
    Ok(ChosenRows {
        boxes: Output::find(outputs, &wanted, "[1, detections, 6]")?,
        width: ROW,
        corners: [0, 1, 2, 3],
        scores: Field::InRow(4),
        classes: Field::InRow(5),
        count: None,
        zeros_fill_up: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::detection::Detection;
    use crate::base::tensor::Tensor;
    use crate::families::decoding::testing::{decoded, detection, f32_spec};

    fn found(found_rows: &[[f32; ROW]], threshold: f32) -> Vec<Detection> {
        let decoder = rows(&[f32_spec("out", &[1, 0, ROW])]).expect("the layout");
        let outputs = [Tensor::f32(
            "out",
            [1, found_rows.len(), ROW],
            found_rows.concat(),
        )];
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
        let error = rows(&[f32_spec("out", &[1, 300, 7])]).err();
        assert_eq!(
            error.expect("seven numbers").to_string(),
            "output out has shape [1, 300, 7], expected [1, detections, 6]"
        );
        let masks = [f32_spec("out", &[1, 300, 6]), f32_spec("m", &[1, 32, 8, 8])];
        assert!(rows(&masks).is_ok(), "others are passed over");
        assert!(rows(&[]).is_err());
    }

    #[test]
    fn empty_head_decodes_to_nothing() {
        assert_eq!(found(&[], 0.0), []);
    }
}
