//! Three outputs of one row a detection: boxes `[n, 4]`, left, top, right and bottom in input pixels; scores `[n]`;
//! class numbers `[n]`, integers or floats. Already suppressed, in no certain order; `n` is as many as were found,
//! and may be none. Each may have a leading 1. torchvision, and graphs that end in NMS.

use super::Nms3Places;
use crate::base::tensor::TensorSpec;
use crate::families::decoding::DecodeError;
use crate::families::decoding::chosen_rows::{ChosenRows, Field, with_batch};
use crate::families::decoding::output::{Dim, Output};
use crate::families::decoding::whole_numbers::at_place;

/// Makes the decoder.
///
/// # Errors
/// [`DecodeError`] if the outputs are others.
pub fn rows(places: Nms3Places, outputs: &[TensorSpec]) -> Result<ChosenRows, DecodeError> {
    const EXPECTED: &str = "boxes [n, 4], scores [n] and class numbers [n]";
    let spec = |place| at_place(outputs, place, EXPECTED);
    let (boxes, scores, labels) = (
        spec(places.boxes)?,
        spec(places.scores)?,
        spec(places.labels)?,
    );
    let (rows, list) = ([Dim::ANY, Dim::Is(4)], [Dim::ANY]);
    let rows = with_batch(boxes, &rows);
    let class_list = with_batch(labels, &list);
    let classes = Output::of_any_type(places.labels, labels, &class_list, "class numbers [n]")?;
    let list = with_batch(scores, &list);
    let list = Output::at(places.scores, scores, &list, "scores [n]")?;
    Ok(ChosenRows {
        boxes: Output::at(places.boxes, boxes, &rows, "boxes [n, 4]")?,
        width: 4,
        corners: [0, 1, 2, 3],
        scores: Field::Beside(list, scores.name.clone()),
        classes: Field::Beside(classes, labels.name.clone()),
        count: None,
        zeros_fill_up: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tensor::Tensor;
    use crate::base::tensor::{Element, TensorData};
    use crate::families::decoding::Decoder;
    use crate::families::decoding::testing::{decoded, detection, f32_spec, spec};

    const PLACES: Nms3Places = Nms3Places {
        boxes: 1,
        scores: 2,
        labels: 0,
    };

    fn decoder() -> ChosenRows {
        let specs = [
            spec("labels", &[0], Element::I64),
            f32_spec("boxes", &[0, 4]),
            f32_spec("scores", &[0]),
        ];
        rows(PLACES, &specs).expect("the layout")
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
        let decoder = rows(PLACES, &specs).expect("the layout with a batch");
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
        let error = rows(PLACES, &dets).err().expect("five numbers");
        assert_eq!(
            error.to_string(),
            "output dets has shape [0, 5], expected boxes [n, 4]"
        );
        assert!(rows(PLACES, &dets[..2]).is_err(), "no scores");
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
}
