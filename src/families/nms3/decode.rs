//! Three outputs of one row a detection: boxes `[n, 4]`, left, top, right and bottom in input pixels or another
//! [`BoxForm`]; scores `[n]`; class numbers `[n]`, integers or floats. Already suppressed, in no certain order; `n` is
//! as many as were found, and may be none. Each may have a leading 1, lists a trailing one. torchvision, and graphs that
//! end in NMS; of all candidates DeepStream-Yolo before 2024.

use super::Nms3;
use crate::base::detection::Detection;
use crate::base::geometry::Size;
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::push;
use crate::families::decoding::chosen_rows::{ChosenRows, Field, with_batch};
use crate::families::decoding::output::{Dim, Output};
use crate::families::decoding::whole_numbers::at_place;
use crate::families::decoding::{BoxForm, DecodeError, Decoder};
use crate::families::family::DecoderInput;
use crate::families::table_form::seen::{self, Certain};

pub(crate) struct Rows {
    rows: ChosenRows,
    form: BoxForm,
    of_all: bool,
    input: Size,
}

impl Rows {
    /// # Errors
    /// [`DecodeError`] if the outputs are others.
    pub fn new(family: &Nms3, model: &DecoderInput) -> Result<Self, DecodeError> {
        const EXPECTED: &str = "boxes [n, 4], scores [n] and class numbers [n]";
        let places = family.places;
        let spec = |place| at_place(model.outputs, place, EXPECTED);
        let (boxes, scores, labels) = (
            spec(places.boxes)?,
            spec(places.scores)?,
            spec(places.labels)?,
        );
        let rows = with_batch(boxes, &[Dim::ANY, Dim::Is(4)]);
        let expected = "class numbers [n]";
        let classes = Output::of_any_type(places.labels, labels, &list(labels), expected)?;
        let score_list = Output::at(places.scores, scores, &list(scores), "scores [n]")?;
        let rows = ChosenRows {
            boxes: Output::at(places.boxes, boxes, &rows, "boxes [n, 4]")?,
            width: 4,
            corners: [0, 1, 2, 3],
            scores: Field::Beside(score_list, scores.name.clone()),
            classes: Field::Beside(classes, labels.name.clone()),
            count: None,
            zeros_fill_up: false,
        };
        Ok(Self {
            rows,
            form: family.boxes,
            of_all: family.of_all,
            input: model.input,
        })
    }

    /// The form that the boxes of the first inference have; `None` if there is none that tells.
    pub fn form_of_boxes(&self, outputs: &[Tensor], certain: &Certain) -> Option<BoxForm> {
        let boxes = &self.rows.boxes;
        if self.of_all {
            return seen::form_of_boxes(boxes, outputs, self.form, self.input, certain);
        }
        let (values, _) = boxes.read(outputs).ok()?;
        let certain = certain.format || certain.scale;
        (!certain).then(|| seen::form_of_rows(values, self.rows.width, self.form))?
    }

    /// Whether there are so many boxes that their numbers tell corners from centres.
    pub fn tell_format(&self, outputs: &[Tensor]) -> bool {
        let values = self.rows.boxes.read(outputs).map(|(values, _)| values);
        let rows = values.unwrap_or_default().chunks_exact(self.rows.width);
        rows.filter(|row| row.iter().any(|n| *n != 0.0)).count() >= seen::MANY
    }
}

/// `[n]`, with a leading or a trailing 1 if the output has more dims.
fn list(spec: &TensorSpec) -> Vec<Dim> {
    match spec.dims[..] {
        [_, _, 1] => vec![Dim::Is(1), Dim::ANY, Dim::Is(1)],
        [n, 1] if n != 1 => vec![Dim::ANY, Dim::Is(1)],
        _ => with_batch(spec, &[Dim::ANY]),
    }
}

impl Decoder for Rows {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        self.rows
            .each(outputs, score_threshold, |four, score, class| {
                push(found, self.form.bbox(four, self.input), class, score);
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tensor::{Element, TensorData};
    use crate::families::decoding::Labelling;
    use crate::families::decoding::testing::{decoded, detection, f32_spec, spec};
    use crate::families::nms3::Nms3Places;

    const PLACES: Nms3Places = Nms3Places {
        boxes: 1,
        scores: 2,
        labels: 0,
    };

    fn rows(family: &Nms3, outputs: &[TensorSpec]) -> Result<Rows, DecodeError> {
        let model = DecoderInput {
            input: Size::new(100, 200),
            classes: 0,
            outputs,
            labelling: Labelling::Best,
        };
        Rows::new(family, &model)
    }

    fn decoder() -> Rows {
        let specs = [
            spec("labels", &[0], Element::I64),
            f32_spec("boxes", &[0, 4]),
            f32_spec("scores", &[0]),
        ];
        rows(&Nms3::chosen(PLACES), &specs).expect("the layout")
    }

    fn outputs(boxes: &[[f32; 4]], scores: &[f32], labels: TensorData) -> [Tensor; 3] {
        [
            Tensor {
                name: "labels".into(),
                dims: vec![labels.len()],
                data: labels,
            },
            Tensor::f32("boxes", [boxes.len(), 4], boxes.concat()),
            Tensor::f32("scores", [scores.len()], scores.to_vec()),
        ]
    }

    #[test]
    fn rows_of_three_outputs_belong_together() {
        let boxes = [[1.0, 2.0, 30.0, 40.0], [5.0, 6.0, 7.0, 8.0]];
        let outputs = outputs(&boxes, &[0.5, 0.9], TensorData::I64(vec![3, 17]));
        assert_eq!(
            decoded(&decoder(), &outputs, 0.25),
            [detection(boxes[0], 3, 0.5), detection(boxes[1], 17, 0.9)]
        );
    }

    #[test]
    fn labels_may_be_of_any_type_but_not_negative() {
        for labels in [
            TensorData::I32(vec![-1, 2]),
            TensorData::I64(vec![-1, 2]),
            TensorData::F32(vec![-1.0, 2.0]),
        ] {
            let found = decoded(
                &decoder(),
                &outputs(&[[0.0, 0.0, 2.0, 2.0]; 2], &[0.9; 2], labels),
                0.5,
            );
            assert_eq!(found, [detection([0.0, 0.0, 2.0, 2.0], 2, 0.9)]);
        }
    }

    #[test]
    fn a_leading_one_is_allowed() {
        let specs = [
            spec("labels", &[1, 2], Element::I32),
            f32_spec("boxes", &[1, 2, 4]),
            f32_spec("scores", &[1, 2]),
        ];
        let decoder = rows(&Nms3::chosen(PLACES), &specs).expect("the layout with a batch");
        let mut outputs = outputs(
            &[[0.0, 0.0, 2.0, 2.0]; 2],
            &[0.9, 0.1],
            TensorData::I32(vec![1, 1]),
        );
        for tensor in &mut outputs {
            tensor.dims.insert(0, 1);
        }
        assert_eq!(decoded(&decoder, &outputs, 0.5).len(), 1);
    }

    #[test]
    fn nothing_found_is_no_error() {
        let outputs = outputs(&[], &[], TensorData::I64(vec![]));
        assert_eq!(decoded(&decoder(), &outputs, 0.0), []);
    }

    #[test]
    fn outputs_of_different_lengths_are_refused() {
        let refused = |scores: &[f32], labels: &[i64]| {
            let outputs = outputs(
                &[[0.0, 0.0, 2.0, 2.0]; 2],
                scores,
                TensorData::I64(labels.to_vec()),
            );
            let mut found = Vec::new();
            let error = decoder().decode(&outputs, 0.1, &mut found).err();
            assert!(error.is_none() || found.is_empty(), "{found:?}");
            error.map(|error| error.to_string())
        };
        assert_eq!(refused(&[0.9; 2], &[1; 2]), None);
        assert_eq!(
            refused(&[0.9; 3], &[1; 2]).as_deref(),
            Some("output scores has shape [3], expected 2, a number for every box")
        );
        assert!(refused(&[0.9; 2], &[1]).is_some());
    }

    #[test]
    fn refuses_other_shapes() {
        let dets = [
            spec("labels", &[0], Element::I64),
            f32_spec("dets", &[0, 5]),
            f32_spec("scores", &[0]),
        ];
        let error = rows(&Nms3::chosen(PLACES), &dets)
            .err()
            .expect("five numbers");
        assert_eq!(
            error.to_string(),
            "output dets has shape [0, 5], expected boxes [n, 4]"
        );
        assert!(
            rows(&Nms3::chosen(PLACES), &dets[..2]).is_err(),
            "no scores"
        );
    }

    #[test]
    fn threshold_is_inclusive() {
        let outputs = outputs(&[[0.0, 0.0, 2.0, 2.0]], &[0.25], TensorData::I64(vec![0]));
        assert_eq!(decoded(&decoder(), &outputs, 0.25).len(), 1);
        assert_eq!(decoded(&decoder(), &outputs, 0.250_001), []);
    }

    #[test]
    fn numbers_that_are_not_finite_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let labels = TensorData::I64(vec![0]);
            let by_score = outputs(&[[0.0, 0.0, 2.0, 2.0]], &[broken], labels.clone());
            assert_eq!(decoded(&decoder(), &by_score, 0.1), []);
            for side in 0..4 {
                let mut row = [0.0, 0.0, 2.0, 2.0];
                row[side] = broken;
                let by_box = outputs(&[row], &[0.9], labels.clone());
                assert_eq!(decoded(&decoder(), &by_box, 0.1), []);
            }
        }
    }

    #[test]
    fn rows_of_all_candidates_are_centres_with_a_trailing_one() {
        let specs = [
            f32_spec("labels", &[1, 2, 1]),
            f32_spec("boxes", &[1, 2, 4]),
            f32_spec("scores", &[1, 2, 1]),
        ];
        let decoder = rows(&Nms3::of_all(PLACES), &specs).expect("the layout");
        let outputs = [
            Tensor::f32("labels", [1, 2, 1], vec![3.0, 0.0]),
            Tensor::f32("boxes", [1, 2, 4], [[20.0, 30.0, 10.0, 20.0]; 2].concat()),
            Tensor::f32("scores", [1, 2, 1], vec![0.9, 0.1]),
        ];
        let wanted = detection([15.0, 20.0, 25.0, 40.0], 3, 0.9);
        assert_eq!(decoded(&decoder, &outputs, 0.5), [wanted]);
    }
}
