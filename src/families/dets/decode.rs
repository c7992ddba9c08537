//! Two outputs of one row a detection: `[1, n, 5]`, left, top, right and bottom in input pixels and score; class numbers
//! `[1, n]`, integers or floats. Already suppressed; what is left of the `n` rows is zero, or has a class below 0. The
//! leading 1 may be missing. mmdeploy.

use crate::base::detection::Detection;
use crate::base::geometry::BBox;
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoder::{DecodeError, Decoder};
use crate::families::decoding::candidates::push;
use crate::families::decoding::output::{Dim, Output};
use crate::families::decoding::whole_numbers::{at_place, check_count, whole_at};
use crate::families::family::DetsPlaces;

const EXPECTED: &str = "boxes with scores [1, n, 5] and class numbers [1, n]";
const ROW: usize = 5;

pub(crate) struct Dets {
    dets: Output,
    labels: Output,
    /// Of the output of labels, for errors.
    name: String,
}

impl Dets {
    pub fn new(places: DetsPlaces, outputs: &[TensorSpec]) -> Result<Self, DecodeError> {
        let dets = at_place(outputs, places.dets, EXPECTED)?;
        let labels = at_place(outputs, places.labels, EXPECTED)?;
        let with_batch = |spec: &TensorSpec, wanted: &[Dim]| -> Vec<Dim> {
            let batch = (spec.dims.len() > wanted.len()).then_some(Dim::Is(1));
            batch.into_iter().chain(wanted.iter().copied()).collect()
        };
        let (list, rows) = ([Dim::ANY], [Dim::ANY, Dim::Is(ROW)]);
        let expected = "class numbers [1, n]";
        let wanted = with_batch(labels, &list);
        Ok(Self {
            dets: Output::at(
                places.dets,
                dets,
                &with_batch(dets, &rows),
                "boxes with scores [1, n, 5]",
            )?,
            labels: Output::of_any_type(places.labels, labels, &wanted, expected)?,
            name: labels.name.clone(),
        })
    }
}

impl Decoder for Dets {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let (dets, _) = self.dets.read(outputs)?;
        let labels = self.labels.data(outputs)?;
        check_count(&self.name, labels.len(), dets.len() / ROW)?;
        for (index, row) in dets.chunks_exact(ROW).enumerate() {
            let score = row[4];
            // A row of zeros fills up; it is nothing, even where every score is asked for.
            let passes = score >= score_threshold && score > 0.0 && score.is_finite();
            if passes && let Some(class) = whole_at(labels, index) {
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
    use crate::base::tensor::{Element, TensorData};
    use crate::families::decoder::testing::{decoded, detection, f32_spec, spec};

    const PLACES: DetsPlaces = DetsPlaces { dets: 0, labels: 1 };

    fn decoder() -> Dets {
        let specs = [
            f32_spec("dets", &[1, 0, ROW]),
            spec("labels", &[1, 0], Element::I64),
        ];
        Dets::new(PLACES, &specs).expect("the layout")
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

    fn found(rows: &[[f32; ROW]], labels: &[i64], threshold: f32) -> Vec<Detection> {
        decoded(&decoder(), &outputs(rows, labels), threshold)
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
            Dets::new(PLACES, &specs)
                .err()
                .map(|error| error.to_string())
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
            Dets::new(PLACES, &[f32_spec("dets", &[1, 0, ROW])]).is_err(),
            "no labels"
        );
    }
}
