//! Detections as TensorFlow's object detection API gives them. Four outputs: boxes `[1, n, 4]`, top, left, bottom and
//! right from 0 to 1 of the input; class numbers `[1, n]`; scores `[1, n]`; one number, how many of the `n` are
//! detections. Already suppressed. Numbers are floats or integers. The API counts classes from 1; the class reported
//! counts from 0.

use super::TfSsdPlaces;
use crate::base::detection::Detection;
use crate::base::geometry::{BBox, Size};
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::push;
use crate::families::decoding::chosen_rows::ChosenRows;
use crate::families::decoding::{DecodeError, Decoder};

const EXPECTED: &str =
    "boxes [1, n, 4], class numbers [1, n], scores [1, n] and a number of detections";

pub(crate) struct TfSsd {
    list: ChosenRows,
    first_class: u32,
    input: Size,
}

impl TfSsd {
    pub fn new(
        places: TfSsdPlaces,
        first_class: u32,
        input: Size,
        outputs: &[TensorSpec],
    ) -> Result<Self, DecodeError> {
        let places = [places.count, places.boxes, places.scores, places.classes];
        Ok(Self {
            list: ChosenRows::counted(places, outputs, EXPECTED)?,
            first_class,
            input,
        })
    }
}

impl Decoder for TfSsd {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let (width, height) = (self.input.width as f32, self.input.height as f32);
        self.list
            .each(outputs, score_threshold, |row, score, number| {
                if let Some(class) = number.checked_sub(self.first_class) {
                    let bbox = BBox::new(
                        row[1] * width,
                        row[0] * height,
                        row[3] * width,
                        row[2] * height,
                    );
                    push(found, bbox, class, score);
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tensor::{Element, TensorData};
    use crate::families::decoding::testing::{decoded, detection, f32_spec, spec};

    const PLACES: TfSsdPlaces = TfSsdPlaces {
        boxes: 0,
        classes: 1,
        scores: 2,
        count: 3,
    };
    const INPUT: Size = Size::new(100, 200);
    const BOX: [f32; 4] = [0.25, 0.5, 0.75, 1.0];

    fn decoder(first_class: u32) -> TfSsd {
        let specs = [
            f32_spec("boxes", &[1, 3, 4]),
            f32_spec("classes", &[1, 3]),
            f32_spec("scores", &[1, 3]),
            f32_spec("count", &[1]),
        ];
        TfSsd::new(PLACES, first_class, INPUT, &specs).expect("the layout")
    }

    /// Three rows with the same box.
    fn outputs(classes: [f32; 3], scores: [f32; 3], count: f32) -> [Tensor; 4] {
        [
            Tensor::f32("boxes", [1, 3, 4], [BOX; 3].concat()),
            Tensor::f32("classes", [1, 3], classes.to_vec()),
            Tensor::f32("scores", [1, 3], scores.to_vec()),
            Tensor::f32("count", [1], vec![count]),
        ]
    }

    fn classes(found: &[Detection]) -> Vec<u32> {
        found.iter().map(|d| d.class).collect()
    }

    #[test]
    fn shares_of_height_and_width_become_corners_in_pixels() {
        let outputs = outputs([2.0; 3], [0.9, 0.1, 0.1], 3.0);
        assert_eq!(
            decoded(&decoder(0), &outputs, 0.5),
            [detection([50.0, 50.0, 100.0, 150.0], 2, 0.9)]
        );
    }

    #[test]
    fn classes_are_counted_from_the_first() {
        let outputs = outputs([0.0, 1.0, 90.0], [0.9; 3], 3.0);
        assert_eq!(classes(&decoded(&decoder(0), &outputs, 0.5)), [0, 1, 90]);
        assert_eq!(
            classes(&decoded(&decoder(1), &outputs, 0.5)),
            [0, 89],
            "a class before the first is background"
        );
    }

    #[test]
    fn rows_behind_the_count_are_passed_over() {
        let found = |count| decoded(&decoder(1), &outputs([1.0, 2.0, 3.0], [0.9; 3], count), 0.5);
        assert_eq!(classes(&found(2.0)), [0, 1]);
        assert_eq!(found(100.0).len(), 3, "no more than there are");
        for none in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert_eq!(found(none), [], "{none}");
        }
    }

    #[test]
    fn classes_and_count_may_be_integers() {
        let specs = [
            f32_spec("boxes", &[1, 0, 4]),
            spec("classes", &[1, 0], Element::I64),
            f32_spec("scores", &[1, 0]),
            spec("count", &[], Element::I32),
        ];
        let decoder = TfSsd::new(PLACES, 1, INPUT, &specs).expect("the layout");
        let mut outputs = outputs([0.0; 3], [0.9; 3], 0.0);
        outputs[1].data = TensorData::I64(vec![5, 6, 7]);
        (outputs[3].dims, outputs[3].data) = (vec![], TensorData::I32(vec![2]));
        assert_eq!(classes(&decoded(&decoder, &outputs, 0.5)), [4, 5]);
    }

    #[test]
    fn threshold_is_inclusive() {
        let outputs = outputs([1.0; 3], [0.25; 3], 1.0);
        assert_eq!(decoded(&decoder(1), &outputs, 0.25).len(), 1);
        assert_eq!(decoded(&decoder(1), &outputs, 0.250_001), []);
    }

    #[test]
    fn numbers_that_are_not_finite_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let by_score = outputs([1.0; 3], [broken; 3], 3.0);
            assert_eq!(decoded(&decoder(1), &by_score, 0.1), []);
            let by_class = outputs([broken; 3], [0.9; 3], 3.0);
            assert_eq!(decoded(&decoder(1), &by_class, 0.1), []);
            for side in 0..4 {
                let mut row = BOX;
                row[side] = broken;
                let mut by_box = outputs([1.0; 3], [0.9; 3], 3.0);
                by_box[0].data = TensorData::F32([row; 3].concat());
                assert_eq!(decoded(&decoder(1), &by_box, 0.1), []);
            }
        }
    }

    #[test]
    fn refuses_other_shapes() {
        let new = |boxes: &[usize], count: &[usize]| {
            let specs = [
                f32_spec("boxes", boxes),
                f32_spec("classes", &[1, 3]),
                f32_spec("scores", &[1, 3]),
                f32_spec("count", count),
            ];
            TfSsd::new(PLACES, 1, INPUT, &specs)
                .err()
                .map(|error| error.to_string())
        };
        assert_eq!(new(&[1, 3, 4], &[1]), None);
        assert_eq!(
            new(&[1, 3, 5], &[1]).as_deref(),
            Some("output boxes has shape [1, 3, 5], expected boxes [1, n, 4]")
        );
        assert!(new(&[1, 3, 4], &[2]).is_some());
        assert!(TfSsd::new(PLACES, 1, INPUT, &[]).is_err());
    }

    #[test]
    fn outputs_of_different_lengths_are_refused() {
        let specs = [
            f32_spec("boxes", &[1, 0, 4]),
            f32_spec("classes", &[1, 0]),
            f32_spec("scores", &[1, 0]),
            f32_spec("count", &[1]),
        ];
        let decoder = TfSsd::new(PLACES, 1, INPUT, &specs).expect("the layout");
        let mut outputs = outputs([1.0; 3], [0.9; 3], 3.0);
        outputs[1] = Tensor::f32("classes", [1, 2], vec![1.0; 2]);
        let mut found = Vec::new();
        assert!(decoder.decode(&outputs, 0.5, &mut found).is_err());
        assert_eq!(found, []);
    }
}
