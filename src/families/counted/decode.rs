//! Four outputs: how many detections there are, one number; boxes `[1, n, 4]`, left, top, right and bottom in input
//! pixels; scores `[1, n]`; class numbers `[1, n]`, integers or floats. Already suppressed; what lies behind the number
//! fills up. YOLO exported with TensorRT's outputs, YOLO-NAS in batches.

use super::CountedPlaces;
use crate::base::tensor::TensorSpec;
use crate::families::decoding::DecodeError;
use crate::families::decoding::chosen_rows::ChosenRows;

/// Makes the decoder.
///
/// # Errors
/// [`DecodeError`] if the outputs are others.
pub fn rows(places: CountedPlaces, outputs: &[TensorSpec]) -> Result<ChosenRows, DecodeError> {
    const EXPECTED: &str =
        "a number of detections, boxes [1, n, 4], scores [1, n] and class numbers [1, n]";
    let places = [places.count, places.boxes, places.scores, places.classes];
    ChosenRows::counted(places, outputs, EXPECTED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::detection::Detection;
    use crate::base::tensor::Tensor;
    use crate::base::tensor::{Element, TensorData};
    use crate::families::decoding::Decoder;
    use crate::families::decoding::testing::{decoded, detection, f32_spec, spec};

    const PLACES: CountedPlaces = CountedPlaces {
        count: 0,
        boxes: 1,
        scores: 2,
        classes: 3,
    };
    const BOX: [f32; 4] = [1.0, 2.0, 30.0, 40.0];

    fn decoder() -> ChosenRows {
        let specs = [
            spec("count", &[1, 1], Element::I32),
            f32_spec("boxes", &[1, 2, 4]),
            f32_spec("scores", &[1, 2]),
            spec("classes", &[1, 2], Element::I32),
        ];
        rows(PLACES, &specs).expect("the layout")
    }

    fn outputs(
        count: i32,
        boxes: [[f32; 4]; 2],
        scores: [f32; 2],
        classes: [i32; 2],
    ) -> [Tensor; 4] {
        let integers = |name: &str, dims: &[usize], numbers: &[i32]| Tensor {
            name: name.into(),
            dims: dims.to_vec(),
            data: TensorData::I32(numbers.to_vec()),
        };
        [
            integers("count", &[1, 1], &[count]),
            Tensor::f32("boxes", [1, 2, 4], boxes.concat()),
            Tensor::f32("scores", [1, 2], scores.to_vec()),
            integers("classes", &[1, 2], &classes),
        ]
    }

    fn found(count: i32, scores: [f32; 2], classes: [i32; 2], threshold: f32) -> Vec<Detection> {
        decoded(
            &decoder(),
            &outputs(count, [BOX; 2], scores, classes),
            threshold,
        )
    }

    #[test]
    fn so_many_rows_are_detections_as_the_number_says() {
        let wanted = [detection(BOX, 7, 0.5), detection(BOX, 2, 0.9)];
        assert_eq!(found(2, [0.5, 0.9], [7, 2], 0.25), wanted);
        assert_eq!(found(1, [0.5, 0.9], [7, 2], 0.25), wanted[..1]);
        assert_eq!(found(0, [0.5, 0.9], [7, 2], 0.25), []);
        assert_eq!(found(-1, [0.5, 0.9], [7, 2], 0.25), []);
        assert_eq!(
            found(9, [0.5, 0.9], [7, 2], 0.25),
            wanted,
            "more than there are"
        );
    }

    #[test]
    fn a_class_below_zero_is_nothing() {
        assert_eq!(found(2, [0.9; 2], [-1, 3], 0.5), [detection(BOX, 3, 0.9)]);
    }

    #[test]
    fn threshold_is_inclusive() {
        assert_eq!(found(1, [0.25, 0.0], [0; 2], 0.25).len(), 1);
        assert_eq!(found(1, [0.25, 0.0], [0; 2], 0.250_001), []);
    }

    #[test]
    fn numbers_that_are_not_finite_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(found(1, [broken, 0.0], [0; 2], 0.1), []);
            for side in 0..4 {
                let mut row = BOX;
                row[side] = broken;
                let outputs = outputs(1, [row, BOX], [0.9; 2], [0; 2]);
                assert_eq!(decoded(&decoder(), &outputs, 0.1), []);
            }
        }
    }

    #[test]
    fn refuses_other_shapes() {
        let specs = [
            f32_spec("count", &[1, 2]),
            f32_spec("boxes", &[1, 2, 4]),
            f32_spec("scores", &[1, 2]),
            f32_spec("classes", &[1, 2]),
        ];
        let error = rows(PLACES, &specs).err().expect("two counts");
        assert_eq!(
            error.to_string(),
            "output count has shape [1, 2], expected a number of detections [1]"
        );
        assert!(rows(PLACES, &specs[..3]).is_err(), "no classes");
        let mut uneven = outputs(2, [BOX; 2], [0.9; 2], [0; 2]);
        uneven[1] = Tensor::f32("boxes", [1, 1, 4], BOX.to_vec());
        let mut found = Vec::new();
        assert!(decoder().decode(&uneven, 0.1, &mut found).is_err() && found.is_empty());
    }
}
