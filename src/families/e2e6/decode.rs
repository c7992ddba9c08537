//! End-to-end head. One f32 output `[1, n, 6]`; row = detection: a box, score, class, and perhaps numbers that are not
//! used but for an angle. The box is left, top, right and bottom in input pixels, or of another form. Already
//! suppressed, in falling order of score; what is left of the `n` rows is zero. YOLOv10, YOLO26, Ultralytics' exports
//! with NMS; RT-DETR of its current exporter.

use super::E2e6;
use crate::base::detection::Detection;
use crate::base::geometry::Size;
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::push;
use crate::families::decoding::output::{Dim, Output};
use crate::families::decoding::whole_numbers::whole;
use crate::families::decoding::{BoxForm, DecodeError, Decoder, Extras};
use crate::families::family::DecoderInput;
use crate::families::table_form::seen;

/// Numbers of a row.
pub const ROW: usize = 6;
const SCORE: usize = 4;
const CLASS: usize = 5;

pub(crate) struct Rows {
    output: Output,
    family: E2e6,
    input: Size,
}

impl Rows {
    /// # Errors
    /// [`DecodeError`] if the outputs are others.
    pub fn new(family: &E2e6, input: Size, outputs: &[TensorSpec]) -> Result<Self, DecodeError> {
        let width = ROW + family.extras;
        let wanted = [Dim::Is(1), Dim::ANY, Dim::Is(width)];
        Ok(Self {
            output: Output::find(outputs, &wanted, &format!("[1, detections, {width}]"))?,
            family: family.clone(),
            input,
        })
    }
}

impl Decoder for Rows {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let (values, dims) = self.output.read(outputs)?;
        for row in values.chunks_exact(dims[2]) {
            let score = row[SCORE];
            // Rows without a detection are zeros. A score of 0 is then no detection, even if every score is wanted.
            if !(score >= score_threshold && score.is_finite()) || score <= 0.0 {
                continue;
            }
            if let Some(class) = whole(row[CLASS]) {
                let four = [row[0], row[1], row[2], row[3]];
                let boxes = self.family.boxes;
                let bbox = match self.family.meaning {
                    Extras::Angle => boxes.around(four, row[ROW], self.input),
                    _ => boxes.bbox(four, self.input),
                };
                push(found, bbox, class, score);
            }
        }
        Ok(())
    }
}

/// Whether the rows of queries have two scores instead of a score and a class number, which is whole.
pub(crate) fn are_scores(family: &E2e6, model: &DecoderInput, outputs: &[Tensor]) -> bool {
    let of_queries = *family == E2e6::of_queries() && model.classes == 2;
    let rows = Rows::new(family, model.input, model.outputs);
    let read = rows.as_ref().map(|rows| rows.output.read(outputs));
    let Ok(Ok((values, _))) = read else {
        return false;
    };
    let mut classes = values.chunks_exact(ROW).map(|row| row[CLASS]);
    of_queries && classes.any(|class| class > 0.0 && class < 1.0)
}

/// The form that the boxes of the first inference have; `None` if there is none that tells.
pub(crate) fn boxes(family: &E2e6, model: &DecoderInput, outputs: &[Tensor]) -> Option<BoxForm> {
    let rows = Rows::new(family, model.input, model.outputs).ok()?;
    let (values, dims) = rows.output.read(outputs).ok()?;
    seen::form_of_rows(values, dims[2], family.boxes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::decoding::testing::{decoded, detection, f32_spec};

    const INPUT: Size = Size::new(100, 200);

    fn decoder(outputs: &[TensorSpec]) -> Result<Rows, DecodeError> {
        Rows::new(&E2e6::default(), INPUT, outputs)
    }

    fn found(found_rows: &[[f32; ROW]], threshold: f32) -> Vec<Detection> {
        let decoder = decoder(&[f32_spec("out", &[1, 0, ROW])]).expect("the layout");
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
    fn queries_are_centres_as_shares_and_turned_boxes_are_enclosed() {
        let specs = [f32_spec("out", &[1, 1, ROW])];
        let queries = Rows::new(&E2e6::of_queries(), INPUT, &specs).expect("the layout");
        let outputs = [Tensor::f32(
            "out",
            [1, 1, ROW],
            vec![0.5, 0.25, 0.2, 0.1, 0.9, 1.0],
        )];
        let wanted = detection([40.0, 40.0, 60.0, 60.0], 1, 0.9);
        assert_eq!(decoded(&queries, &outputs, 0.5), [wanted]);

        let turned = E2e6 {
            boxes: BoxForm::default(),
            extras: 1,
            meaning: Extras::Angle,
            seen: false,
        };
        let specs = [f32_spec("out", &[1, 1, 7])];
        let decoder = Rows::new(&turned, INPUT, &specs).expect("the layout");
        let row = vec![
            50.0,
            50.0,
            20.0,
            10.0,
            0.9,
            1.0,
            std::f32::consts::FRAC_PI_2,
        ];
        let found = decoded(&decoder, &[Tensor::f32("out", [1, 1, 7], row)], 0.5);
        assert!((found[0].bbox.x1 - 45.0).abs() < 1e-3, "{found:?}");
        assert!((found[0].bbox.y1 - 40.0).abs() < 1e-3, "{found:?}");
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
        let error = decoder(&[f32_spec("out", &[1, 300, 7])]).err();
        assert_eq!(
            error.expect("seven numbers").to_string(),
            "output out has shape [1, 300, 7], expected [1, detections, 6]"
        );
        let masks = [f32_spec("out", &[1, 300, 6]), f32_spec("m", &[1, 32, 8, 8])];
        assert!(decoder(&masks).is_ok(), "others are passed over");
        assert!(decoder(&[]).is_err());
    }

    #[test]
    fn empty_head_decodes_to_nothing() {
        assert_eq!(found(&[], 0.0), []);
    }
}
