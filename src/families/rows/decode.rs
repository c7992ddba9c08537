//! Rows of detections. One f32 output `[n, columns]` or `[1, n, columns]`; row = detection: left, top, right and bottom
//! in input pixels, score and class, in the order that the family tells. Already suppressed; `n` is as many as were
//! found, and may be none. A row that fills up has a class or a score below 0, or zeros. YOLOv7 and YOLOv6 with NMS,
//! YOLO-NAS, PaddleDetection.

use super::Column;
use crate::base::tensor::TensorSpec;
use crate::families::decoding::DecodeError;
use crate::families::decoding::chosen_rows::{ChosenRows, Field, with_batch};
use crate::families::decoding::output::{Dim, Output};
use crate::families::decoding::whole_numbers::at_place;

/// Makes the decoder.
///
/// # Errors
/// [`DecodeError`] if the outputs are others, or if a column that every row must have is missing.
pub fn rows(
    place: usize,
    columns: &[Column],
    outputs: &[TensorSpec],
) -> Result<ChosenRows, DecodeError> {
    let width = columns.len();
    let expected = format!("[detections, {width}], with corners, score and class");
    let spec = at_place(outputs, place, &expected)?;
    let wanted = with_batch(spec, &[Dim::ANY, Dim::Is(width)]);
    let boxes = Output::at(place, spec, &wanted, &expected)?;
    let mut at = [0; 6];
    for (at, column) in at.iter_mut().zip(Column::WANTED) {
        let found = columns.iter().position(|own| *own == column);
        *at = found.ok_or_else(|| DecodeError::Outputs {
            found: outputs.to_vec(),
            expected: expected.clone(),
        })?;
    }
    let [left, top, right, bottom, score, class] = at;
    Ok(ChosenRows {
        boxes,
        width,
        corners: [left, top, right, bottom],
        scores: Field::InRow(score),
        classes: Field::InRow(class),
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
    use Column::{Bottom, Class, Left, Other, Right, Score, Top};

    const PADDLE: [Column; 6] = [Class, Score, Left, Top, Right, Bottom];
    const YOLOV7: [Column; 7] = [Other, Left, Top, Right, Bottom, Class, Score];

    fn found<const N: usize>(
        columns: [Column; N],
        found_rows: &[[f32; N]],
        threshold: f32,
    ) -> Vec<Detection> {
        let decoder = rows(0, &columns, &[f32_spec("out", &[0, N])]).expect("the layout");
        let outputs = [Tensor::f32(
            "out",
            [found_rows.len(), N],
            found_rows.concat(),
        )];
        decoded(&decoder, &outputs, threshold)
    }

    #[test]
    fn columns_are_read_in_the_order_of_the_family() {
        assert_eq!(
            found(PADDLE, &[[7.0, 0.9, 1.0, 2.0, 30.0, 40.0]], 0.5),
            [detection([1.0, 2.0, 30.0, 40.0], 7, 0.9)]
        );
        assert_eq!(
            found(YOLOV7, &[[0.0, 1.0, 2.0, 30.0, 40.0, 7.0, 0.9]], 0.5),
            [detection([1.0, 2.0, 30.0, 40.0], 7, 0.9)]
        );
        let turned = [Top, Left, Bottom, Right, Score, Class];
        assert_eq!(
            found(turned, &[[2.0, 1.0, 40.0, 30.0, 0.9, 7.0]], 0.5),
            [detection([1.0, 2.0, 30.0, 40.0], 7, 0.9)]
        );
    }

    #[test]
    fn rows_that_fill_up_are_nothing() {
        assert_eq!(found(PADDLE, &[[0.0; 6], [-1.0; 6]], 0.0), []);
        assert_eq!(found(PADDLE, &[[-1.0, 0.9, 0.0, 0.0, 2.0, 2.0]], 0.0), []);
    }

    #[test]
    fn nothing_found_is_no_error() {
        assert_eq!(found(YOLOV7, &[], 0.0), []);
    }

    #[test]
    fn threshold_is_inclusive() {
        let row = [1.0, 0.25, 0.0, 0.0, 2.0, 2.0];
        assert_eq!(found(PADDLE, &[row], 0.25).len(), 1);
        assert_eq!(found(PADDLE, &[row], 0.250_001), []);
    }

    #[test]
    fn numbers_that_are_not_finite_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for field in 0..6 {
                let mut row = [1.0, 0.9, 0.0, 0.0, 2.0, 2.0];
                row[field] = broken;
                assert_eq!(found(PADDLE, &[row], 0.1), [], "{broken} as field {field}");
            }
        }
    }

    #[test]
    fn refuses_other_shapes() {
        let new = |columns: &[Column], dims: &[usize]| {
            rows(0, columns, &[f32_spec("out", dims)])
                .err()
                .map(|error| error.to_string())
        };
        assert_eq!(new(&PADDLE, &[1, 300, 6]), None, "a leading one is allowed");
        assert_eq!(
            new(&PADDLE, &[300, 7]).as_deref(),
            Some(
                "output out has shape [300, 7], expected [detections, 6], with corners, score and class"
            )
        );
        assert!(
            new(&[Left, Top, Right, Bottom], &[300, 4]).is_some(),
            "no score"
        );
        assert!(rows(1, &PADDLE, &[f32_spec("out", &[0, 6])]).is_err());
    }
}
