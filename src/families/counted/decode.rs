//! Four outputs: how many detections there are, one number; boxes `[1, n, 4]`, left, top, right and bottom in input
//! pixels; scores `[1, n]`; class numbers `[1, n]`, integers or floats. Already suppressed; what lies behind the number
//! fills up. YOLO exported with TensorRT's outputs, YOLO-NAS in batches.

use crate::base::detection::Detection;
use crate::base::geometry::BBox;
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoder::{DecodeError, Decoder};
use crate::families::decoding::candidates::push;
use crate::families::decoding::output::{Dim, Output};
use crate::families::decoding::whole_numbers::{at_place, check_count, whole_at};
use crate::families::family::CountedPlaces;

const EXPECTED: &str =
    "a number of detections, boxes [1, n, 4], scores [1, n] and class numbers [1, n]";

pub(crate) struct Counted {
    count: Output,
    boxes: Output,
    scores: Output,
    classes: Output,
    /// Of the output of scores and of classes, for errors.
    names: [String; 2],
}

impl Counted {
    pub fn new(places: CountedPlaces, outputs: &[TensorSpec]) -> Result<Self, DecodeError> {
        Self::expecting(EXPECTED, places, outputs)
    }

    /// The same for a family that calls its outputs otherwise.
    pub fn expecting(
        expected: &str,
        places: CountedPlaces,
        outputs: &[TensorSpec],
    ) -> Result<Self, DecodeError> {
        let spec = |place| at_place(outputs, place, expected);
        let (count, boxes) = (spec(places.count)?, spec(places.boxes)?);
        let (scores, classes) = (spec(places.scores)?, spec(places.classes)?);
        let list = [Dim::Is(1), Dim::ANY];
        let rows = [Dim::Is(1), Dim::ANY, Dim::Is(4)];
        // A number, in as many brackets as the exporter likes.
        let one = vec![Dim::Is(1); count.dims.len()];
        Ok(Self {
            count: Output::of_any_type(places.count, count, &one, "a number of detections [1]")?,
            boxes: Output::at(places.boxes, boxes, &rows, "boxes [1, n, 4]")?,
            scores: Output::at(places.scores, scores, &list, "scores [1, n]")?,
            classes: Output::of_any_type(places.classes, classes, &list, "class numbers [1, n]")?,
            names: [scores.name.clone(), classes.name.clone()],
        })
    }

    /// Gives the four numbers of the box, the score and the class number of every detection that reaches the threshold.
    pub fn each(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        mut take: impl FnMut(&[f32], f32, u32),
    ) -> Result<(), DecodeError> {
        let (boxes, _) = self.boxes.read(outputs)?;
        let (scores, _) = self.scores.read(outputs)?;
        let classes = self.classes.data(outputs)?;
        check_count(&self.names[0], scores.len(), boxes.len() / 4)?;
        check_count(&self.names[1], classes.len(), boxes.len() / 4)?;
        // What is not a number of detections is none, as with scores.
        let count = whole_at(self.count.data(outputs)?, 0).unwrap_or(0) as usize;
        let rows = scores.iter().zip(boxes.chunks_exact(4)).take(count);
        for (index, (&score, row)) in rows.enumerate() {
            let passes = score >= score_threshold && score.is_finite();
            if passes && let Some(class) = whole_at(classes, index) {
                take(row, score, class);
            }
        }
        Ok(())
    }
}

impl Decoder for Counted {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        self.each(outputs, score_threshold, |row, score, class| {
            let bbox = BBox::new(row[0], row[1], row[2], row[3]);
            push(found, bbox, class, score);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tensor::{Element, TensorData};
    use crate::families::decoder::testing::{decoded, detection, f32_spec, spec};

    const PLACES: CountedPlaces = CountedPlaces {
        count: 0,
        boxes: 1,
        scores: 2,
        classes: 3,
    };
    const BOX: [f32; 4] = [1.0, 2.0, 30.0, 40.0];

    fn decoder() -> Counted {
        let specs = [
            spec("count", &[1, 1], Element::I32),
            f32_spec("boxes", &[1, 2, 4]),
            f32_spec("scores", &[1, 2]),
            spec("classes", &[1, 2], Element::I32),
        ];
        Counted::new(PLACES, &specs).expect("the layout")
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
        let error = Counted::new(PLACES, &specs).err().expect("two counts");
        assert_eq!(
            error.to_string(),
            "output count has shape [1, 2], expected a number of detections [1]"
        );
        assert!(Counted::new(PLACES, &specs[..3]).is_err(), "no classes");
        let mut uneven = outputs(2, [BOX; 2], [0.9; 2], [0; 2]);
        uneven[1] = Tensor::f32("boxes", [1, 1, 4], BOX.to_vec());
        let mut found = Vec::new();
        assert!(decoder().decode(&uneven, 0.1, &mut found).is_err() && found.is_empty());
    }
}
