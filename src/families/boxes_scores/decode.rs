//! All candidates in two f32 outputs: boxes `[1, n, 4]`, left, top, right and bottom in input pixels or another
//! [`BoxForm`]; scores, one probability a class, `[1, n, classes]` or, class by class, `[1, classes, n]`. The first may
//! be that of the background. YOLO-NAS and PaddleDetection without NMS.

use super::BoxesScores as Family;
use crate::base::detection::Detection;
use crate::base::geometry::Size;
use crate::base::tensor::Tensor;
use crate::families::decoding::candidates::push;
use crate::families::decoding::output::{Dim, Output};
use crate::families::decoding::whole_numbers::{at_place, check_count};
use crate::families::decoding::{BoxForm, DecodeError, Decoder, Labelling};
use crate::families::family::DecoderInput;
use crate::families::table_form::seen::{self, Certain};

const EXPECTED: &str = "boxes [1, n, 4] and scores";

pub(crate) struct BoxesScores {
    boxes: Output,
    scores: Output,
    by_class: bool,
    background: bool,
    form: BoxForm,
    input: Size,
    /// Name of the output of scores, for errors.
    name: String,
    labelling: Labelling,
}

impl BoxesScores {
    /// `model.classes` of 0: as many as the output has.
    pub fn new(family: &Family, model: &DecoderInput) -> Result<Self, DecodeError> {
        let (places, by_class) = (family.places, family.by_class);
        let boxes = at_place(model.outputs, places.boxes, EXPECTED)?;
        let scores = at_place(model.outputs, places.scores, EXPECTED)?;
        let classes = Dim::fields_and(0, model.classes);
        let (wanted, expected) = match by_class {
            true => ([Dim::Is(1), classes, Dim::ANY], "scores [1, classes, n]"),
            false => ([Dim::Is(1), Dim::ANY, classes], "scores [1, n, classes]"),
        };
        let rows = [Dim::Is(1), Dim::ANY, Dim::Is(4)];
        Ok(Self {
            boxes: Output::at(places.boxes, boxes, &rows, "boxes [1, n, 4]")?,
            scores: Output::at(places.scores, scores, &wanted, expected)?,
            by_class,
            background: family.background,
            form: family.boxes,
            input: model.input,
            name: scores.name.clone(),
            labelling: model.labelling.clone(),
        })
    }

    /// The form that the boxes of the first inference have.
    pub fn form_of_boxes(&self, outputs: &[Tensor], certain: &Certain) -> Option<BoxForm> {
        seen::form_of_boxes(&self.boxes, outputs, self.form, self.input, certain)
    }
}

impl Decoder for BoxesScores {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let (boxes, _) = self.boxes.read(outputs)?;
        let (scores, dims) = self.scores.read(outputs)?;
        let (classes, candidates) = match self.by_class {
            true => (dims[1], dims[2]),
            false => (dims[2], dims[1]),
        };
        check_count(&self.name, candidates, boxes.len() / 4)?;
        // Numbers from one class of a candidate to its next, and from one candidate to the next.
        let (step, stride) = match self.by_class {
            true => (candidates, 1),
            false => (1, classes),
        };
        for (index, row) in boxes.chunks_exact(4).enumerate() {
            let own = scores[index * stride..].iter().step_by(step).take(classes);
            let own = own.enumerate().map(|(class, score)| {
                let is_object = class > 0 || !self.background;
                if is_object { *score } else { f32::NEG_INFINITY }
            });
            self.labelling
                .choose(own, 1.0, score_threshold, |class, score| {
                    let four = [row[0], row[1], row[2], row[3]];
                    push(found, self.form.bbox(four, self.input), class, score);
                });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tensor::TensorSpec;
    use crate::families::Family as _;
    use crate::families::boxes_scores::BoxesScoresPlaces;
    use crate::families::decoding::testing::{decoded, detection, f32_spec};
    use crate::families::decoding::{BoxFormat, BoxScale};

    const PLACES: BoxesScoresPlaces = BoxesScoresPlaces {
        boxes: 0,
        scores: 1,
    };
    const A: [f32; 4] = [1.0, 2.0, 30.0, 40.0];
    const B: [f32; 4] = [5.0, 6.0, 7.0, 8.0];

    fn made(
        outputs: &[TensorSpec],
        by_class: bool,
        classes: usize,
        labelling: Labelling,
    ) -> Result<BoxesScores, DecodeError> {
        let model = DecoderInput {
            input: Size::new(100, 200),
            classes,
            outputs,
            labelling,
        };
        BoxesScores::new(&Family::new(PLACES, by_class), &model)
    }

    fn decoder(by_class: bool, labelling: Labelling) -> BoxesScores {
        let specs = [
            f32_spec("boxes", &[1, 0, 4]),
            f32_spec("scores", &[1, 0, 0]),
        ];
        made(&specs, by_class, 3, labelling).expect("the layout")
    }

    /// Two candidates of three classes.
    fn outputs(by_class: bool, boxes: [[f32; 4]; 2], scores: [f32; 6]) -> [Tensor; 2] {
        let dims = if by_class { [1, 3, 2] } else { [1, 2, 3] };
        [
            Tensor::f32("boxes", [1, 2, 4], boxes.concat()),
            Tensor::f32("scores", dims, scores.to_vec()),
        ]
    }

    fn found(by_class: bool, scores: [f32; 6], threshold: f32) -> Vec<Detection> {
        let decoder = decoder(by_class, Labelling::Best);
        decoded(&decoder, &outputs(by_class, [A, B], scores), threshold)
    }

    #[test]
    fn scores_belong_to_candidates_in_either_order() {
        let wanted = [detection(A, 2, 0.9), detection(B, 0, 0.6)];
        assert_eq!(found(false, [0.1, 0.2, 0.9, 0.6, 0.5, 0.4], 0.5), wanted);
        assert_eq!(found(true, [0.1, 0.6, 0.2, 0.5, 0.9, 0.4], 0.5), wanted);
    }

    #[test]
    fn every_class_above_the_threshold_when_asked() {
        let outputs = outputs(false, [A, B], [0.7, 0.2, 0.9, 0.1, 0.1, 0.1]);
        let found = decoded(&decoder(false, Labelling::Every), &outputs, 0.5);
        assert_eq!(found, [detection(A, 0, 0.7), detection(A, 2, 0.9)]);
    }

    #[test]
    fn ties_take_the_lower_class_and_the_threshold_is_inclusive() {
        let scores = [0.25, 0.25, 0.1, 0.0, 0.0, 0.0];
        assert_eq!(found(false, scores, 0.25), [detection(A, 0, 0.25)]);
        assert_eq!(found(false, scores, 0.250_001), []);
    }

    #[test]
    fn numbers_that_are_not_finite_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(found(false, [broken, 0.0, 0.0, broken, 0.0, 0.0], 0.1), []);
            for side in 0..4 {
                let mut row = A;
                row[side] = broken;
                let outputs = outputs(false, [row, row], [0.9; 6]);
                assert_eq!(decoded(&decoder(false, Labelling::Best), &outputs, 0.1), []);
            }
        }
    }

    #[test]
    fn refuses_other_shapes() {
        let new = |boxes: &[usize], scores: &[usize], by_class| {
            let specs = [f32_spec("boxes", boxes), f32_spec("scores", scores)];
            let made = made(&specs, by_class, 80, Labelling::Best);
            made.err().map(|error| error.to_string())
        };
        assert_eq!(new(&[1, 84, 4], &[1, 84, 80], false), None);
        assert_eq!(
            new(&[1, 84, 4], &[1, 84, 80], true).as_deref(),
            Some("output scores has shape [1, 84, 80], expected scores [1, classes, n]")
        );
        assert!(new(&[1, 84, 5], &[1, 84, 80], false).is_some());
        let specs = [f32_spec("boxes", &[1, 84, 4])];
        assert!(made(&specs, false, 80, Labelling::Best).is_err());
        let mut uneven = outputs(false, [A, B], [0.9; 6]);
        uneven[0] = Tensor::f32("boxes", [1, 1, 4], A.to_vec());
        let mut found = Vec::new();
        let result = decoder(false, Labelling::Best).decode(&uneven, 0.1, &mut found);
        assert!(result.is_err() && found.is_empty());
    }

    #[test]
    fn empty_head_decodes_to_nothing() {
        let outputs = [
            Tensor::f32("boxes", [1, 0, 4], vec![]),
            Tensor::f32("scores", [1, 0, 3], vec![]),
        ];
        assert_eq!(decoded(&decoder(false, Labelling::Best), &outputs, 0.0), []);
    }

    #[test]
    fn a_background_is_no_object_and_other_classes_keep_their_numbers() {
        let specs = [
            f32_spec("boxes", &[1, 0, 4]),
            f32_spec("scores", &[1, 0, 0]),
        ];
        for by_class in [false, true] {
            let model = DecoderInput {
                input: Size::new(100, 200),
                classes: 3,
                outputs: &specs,
                labelling: Labelling::Best,
            };
            let family = Family {
                background: true,
                ..Family::new(PLACES, by_class)
            };
            let decoder = BoxesScores::new(&family, &model).expect("the layout");
            let scores = match by_class {
                false => [0.9, 0.2, 0.6, 0.8, 0.7, 0.1],
                true => [0.9, 0.8, 0.2, 0.7, 0.6, 0.1],
            };
            let found = decoded(&decoder, &outputs(by_class, [A, B], scores), 0.5);
            assert_eq!(found, [detection(A, 2, 0.6), detection(B, 1, 0.7)]);
        }
    }

    #[test]
    fn boxes_as_shares_are_told_by_the_first_inference() {
        let rows: Vec<[f32; 4]> = (0..32)
            .map(|n| {
                let x = n as f32 / 40.0;
                [x, x, x + 0.1, x + 0.2]
            })
            .collect();
        let outputs = [
            Tensor::f32("boxes", [1, 32, 4], rows.concat()),
            Tensor::f32("scores", [1, 32, 3], vec![0.1; 96]),
        ];
        let specs = outputs.each_ref().map(Tensor::spec);
        let model = DecoderInput {
            input: Size::new(100, 200),
            classes: 3,
            outputs: &specs,
            labelling: Labelling::Best,
        };
        let family = Family::new(PLACES, false);
        let settled = family.settle(&outputs, &model, &Certain::default());
        let settled = settled.expect("another form").family;
        let form = settled.downcast_ref::<Family>().expect("the same family");
        assert_eq!(form.boxes.scale, BoxScale::Shares);
        assert_eq!(form.boxes.format, BoxFormat::Corners);
        let certain = Certain {
            scale: true,
            ..Certain::default()
        };
        assert_eq!(family.settle(&outputs, &model, &certain), None);
    }
}
