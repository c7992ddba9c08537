//! Rows of detections. One f32 output `[n, columns]` or `[1, n, columns]`; row = detection: left, top, right and bottom
//! in input pixels, score and class, in the order that the family tells. Already suppressed; `n` is as many as were
//! found, and may be none. A row that fills up has a class or a score below 0, or zeros. YOLOv7 and YOLOv6 with NMS,
//! YOLO-NAS, PaddleDetection.

use crate::base::detection::Detection;
use crate::base::geometry::BBox;
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoder::{DecodeError, Decoder};
use crate::families::decoding::candidates::push;
use crate::families::decoding::output::{Dim, Output};
use crate::families::decoding::whole_numbers::{at_place, whole};
use crate::families::family::Column;

pub(crate) struct Rows {
    output: Output,
    width: usize,
    /// Where in a row the numbers of [`Column::WANTED`] are.
    at: [usize; 6],
}

impl Rows {
    pub fn new(
        place: usize,
        columns: &[Column],
        outputs: &[TensorSpec],
    ) -> Result<Self, DecodeError> {
        let width = columns.len();
        let expected = format!("[detections, {width}], with corners, score and class");
        let spec = at_place(outputs, place, &expected)?;
        let batch = (spec.dims.len() > 2).then_some(Dim::Is(1));
        let wanted: Vec<Dim> = (batch.into_iter())
            .chain([Dim::ANY, Dim::Is(width)])
            .collect();
        let output = Output::at(place, spec, &wanted, &expected)?;
        let mut at = [0; 6];
        for (at, column) in at.iter_mut().zip(Column::WANTED) {
            let found = columns.iter().position(|own| *own == column);
            *at = found.ok_or_else(|| DecodeError::Outputs {
                found: outputs.to_vec(),
                expected: expected.clone(),
            })?;
        }
        Ok(Self { output, width, at })
    }
}

impl Decoder for Rows {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let (values, _) = self.output.read(outputs)?;
        for row in values.chunks_exact(self.width) {
            let [x1, y1, x2, y2, score, class] = self.at.map(|at| row[at]);
            // A row of zeros fills up; it is nothing, even where every score is asked for.
            let passes = score >= score_threshold && score > 0.0 && score.is_finite();
            if passes && let Some(class) = whole(class) {
                push(found, BBox::new(x1, y1, x2, y2), class, score);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::decoder::testing::{decoded, detection, f32_spec};
    use Column::{Bottom, Class, Left, Other, Right, Score, Top};

    const PADDLE: [Column; 6] = [Class, Score, Left, Top, Right, Bottom];
    const YOLOV7: [Column; 7] = [Other, Left, Top, Right, Bottom, Class, Score];

    fn found<const N: usize>(
        columns: [Column; N],
        rows: &[[f32; N]],
        threshold: f32,
    ) -> Vec<Detection> {
        let decoder = Rows::new(0, &columns, &[f32_spec("out", &[0, N])]).expect("the layout");
        let outputs = [Tensor::f32("out", [rows.len(), N], rows.concat())];
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
            Rows::new(0, columns, &[f32_spec("out", dims)])
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
        assert!(Rows::new(1, &PADDLE, &[f32_spec("out", &[0, 6])]).is_err());
    }
}
