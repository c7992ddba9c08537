//! Two outputs of one row a detection: `[1, n, 5]`, left, top, right and bottom in input pixels and score; class numbers
//! `[1, n]`, integers or floats. Already suppressed; what is left of the `n` rows is zero, or has a class below 0. The
//! leading 1 may be missing. mmdeploy.

use super::DetsPlaces;
use crate::base::tensor::TensorSpec;
use crate::families::decoding::DecodeError;
use crate::families::decoding::chosen_rows::{ChosenRows, Field, with_batch};
use crate::families::decoding::output::{Dim, Output};
use crate::families::decoding::whole_numbers::at_place;

const ROW: usize = 5;

/// Makes the decoder.
///
/// # Errors
/// [`DecodeError`] if the outputs are others.
pub fn rows(places: DetsPlaces, outputs: &[TensorSpec]) -> Result<ChosenRows, DecodeError> {
    const EXPECTED: &str = "boxes with scores [1, n, 5] and class numbers [1, n]";
    let dets = at_place(outputs, places.dets, EXPECTED)?;
    let labels = at_place(outputs, places.labels, EXPECTED)?;
    let (rows, list) = ([Dim::ANY, Dim::Is(ROW)], [Dim::ANY]);
    let rows = with_batch(dets, &rows);
    let list = with_batch(labels, &list);
    let boxes = Output::at(places.dets, dets, &rows, "boxes with scores [1, n, 5]")?;
    let classes = Output::of_any_type(places.labels, labels, &list, "class numbers [1, n]")?;
    Ok(ChosenRows {
        boxes,
        width: ROW,
        corners: [0, 1, 2, 3],
        scores: Field::InRow(4),
        classes: Field::Beside(classes, labels.name.clone()),
        count: None,
        zeros_fill_up: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::detection::Detection;
    use crate::base::tensor::Tensor;
    use crate::base::tensor::{Element, TensorData};
    use crate::families::decoding::Decoder;
    use crate::families::decoding::testing::{decoded, detection, f32_spec, spec};

    const PLACES: DetsPlaces = DetsPlaces { dets: 0, labels: 1 };

    fn decoder() -> ChosenRows {
        let specs = [
            f32_spec("dets", &[1, 0, ROW]),
            spec("labels", &[1, 0], Element::I64),
        ];
        rows(PLACES, &specs).expect("the layout")
    }

    fn outputs(rows: &[[f32; ROW]], labels: &[i64]) -> [Tensor; 2] {
        let labels = Tensor {
            name: "labels".into(),
            dims: vec![1, labels.len()],
            data: TensorData::I64(labels.to_vec()),
        };
        [
            Tensor::f32("dets", [1, rows.len(), ROW], rows.concat()),
            labels,
        ]
    }

    fn found(found_rows: &[[f32; ROW]], labels: &[i64], threshold: f32) -> Vec<Detection> {
        decoded(&decoder(), &outputs(found_rows, labels), threshold)
    }

    #[test]
    fn rows_are_corners_and_score_and_the_class_is_beside_them() {
        let rows = [[1.0, 2.0, 30.0, 40.0, 0.9], [5.0, 6.0, 7.0, 8.0, 0.5]];
        assert_eq!(
            found(&rows, &[7, 0], 0.25),
            [
                detection([1.0, 2.0, 30.0, 40.0], 7, 0.9),
                detection([5.0, 6.0, 7.0, 8.0], 0, 0.5)
            ]
        );
    }

    #[test]
    fn rows_that_fill_up_are_nothing() {
        let row = [0.0, 0.0, 2.0, 2.0, 0.9];
        assert_eq!(found(&[[0.0; ROW], row], &[0, -1], 0.0), []);
        assert_eq!(found(&[], &[], 0.0), []);
    }

    #[test]
    fn threshold_is_inclusive() {
        let row = [0.0, 0.0, 2.0, 2.0, 0.25];
        assert_eq!(found(&[row], &[0], 0.25).len(), 1);
        assert_eq!(found(&[row], &[0], 0.250_001), []);
    }

    #[test]
    fn numbers_that_are_not_finite_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for field in 0..ROW {
                let mut row = [0.0, 0.0, 2.0, 2.0, 0.9];
                row[field] = broken;
                assert_eq!(found(&[row], &[1], 0.1), [], "{broken} as field {field}");
            }
        }
    }

    #[test]
    fn refuses_other_shapes() {
        let new = |dets: &[usize], labels: &[usize]| {
            let specs = [f32_spec("dets", dets), spec("labels", labels, Element::I64)];
            rows(PLACES, &specs).err().map(|error| error.to_string())
        };
        assert_eq!(new(&[100, 5], &[100]), None, "the leading 1 may be missing");
        assert_eq!(
            new(&[1, 100, 4], &[1, 100]).as_deref(),
            Some("output dets has shape [1, 100, 4], expected boxes with scores [1, n, 5]")
        );
        let mut found = Vec::new();
        let uneven = outputs(&[[0.0, 0.0, 2.0, 2.0, 0.9]; 2], &[1]);
        assert!(decoder().decode(&uneven, 0.1, &mut found).is_err() && found.is_empty());
        assert!(
            rows(PLACES, &[f32_spec("dets", &[1, 0, ROW])]).is_err(),
            "no labels"
        );
    }
}
