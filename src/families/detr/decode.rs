//! DETR head. Two f32 outputs of one row a query: logits `[1, n, classes]` and boxes `[1, n, 4]`, centre x, centre y,
//! width and height from 0 to 1 of the input. Queries do not answer twice for one object: nothing is to be suppressed.
//!
//! Score = sigmoid(logit) for RT-DETR, D-FINE, RF-DETR, Conditional and Deformable DETR. For the first DETR and YOLOS it is
//! the softmax over the row, whose last logit is that of no object and is no class.

use super::{Activation, DetrPlaces};
use crate::base::detection::Detection;
use crate::base::geometry::{BBox, Size};
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::{least_raw_score, push, sigmoid};
use crate::families::decoding::output::{Dim, Output};
use crate::families::decoding::whole_numbers::{at_place, check_count};
use crate::families::decoding::{DecodeError, Decoder, Labelling};

const EXPECTED: &str = "logits [1, n, classes] and boxes [1, n, 4]";

pub(crate) struct Detr {
    logits: Output,
    boxes: Output,
    /// Name of the output of logits, for errors.
    name: String,
    input: Size,
    activation: Activation,
    labelling: Labelling,
}

impl Detr {
    /// `classes` of 0: as many as the output has.
    pub fn new(
        places: DetrPlaces,
        activation: Activation,
        input: Size,
        classes: usize,
        outputs: &[TensorSpec],
        labelling: Labelling,
    ) -> Result<Self, DecodeError> {
        let logits = at_place(outputs, places.logits, EXPECTED)?;
        let boxes = at_place(outputs, places.boxes, EXPECTED)?;
        let further = match activation {
            Activation::Sigmoid => 0,
            Activation::Softmax => 1,
        };
        let wanted = [Dim::Is(1), Dim::ANY, Dim::fields_and(further, classes)];
        Ok(Self {
            name: logits.name.clone(),
            logits: Output::at(places.logits, logits, &wanted, "logits [1, n, classes]")?,
            boxes: Output::at(
                places.boxes,
                boxes,
                &[Dim::Is(1), Dim::ANY, Dim::Is(4)],
                "boxes [1, n, 4]",
            )?,
            input,
            activation,
            labelling,
        })
    }
}

impl Decoder for Detr {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let (logits, dims) = self.logits.read(outputs)?;
        let (boxes, _) = self.boxes.read(outputs)?;
        check_count(&self.name, dims[1], boxes.len() / 4)?;
        let (width, height) = (self.input.width as f32, self.input.height as f32);
        let least = match self.activation {
            Activation::Sigmoid => least_raw_score(score_threshold),
            Activation::Softmax => f32::NEG_INFINITY,
        };
        for (row, raw) in boxes.chunks_exact(4).zip(logits.chunks_exact(dims[2])) {
            // Spares the exponentials of a query that answers for nothing, as most do.
            if !raw.iter().any(|&logit| logit >= least) {
                continue;
            }
            let report = |class, score| {
                let bbox = BBox::from_centre(
                    row[0] * width,
                    row[1] * height,
                    row[2] * width,
                    row[3] * height,
                );
                push(found, bbox, class, score);
            };
            self.choose(raw, score_threshold, report);
        }
        Ok(())
    }
}

impl Detr {
    /// Reports the classes and scores of a query.
    fn choose(&self, raw: &[f32], threshold: f32, report: impl FnMut(u32, f32)) {
        match self.activation {
            Activation::Sigmoid => {
                // An endless logit would become a score of 1.
                let scores = raw.iter().map(|&logit| match logit.is_finite() {
                    true => sigmoid(logit),
                    false => f32::NAN,
                });
                self.labelling.choose(scores, 1.0, threshold, report);
            }
            Activation::Softmax => {
                let largest = raw.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                // One number that is not finite, and there are no shares; a NaN or infinity ends as no score.
                let sum: f32 = raw.iter().map(|logit| (logit - largest).exp()).sum();
                let classes = &raw[..raw.len() - 1];
                let scores = classes.iter().map(|logit| (logit - largest).exp());
                self.labelling.choose(scores, 1.0 / sum, threshold, report);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::decoding::testing::{decoded, detection, f32_spec};

    const PLACES: DetrPlaces = DetrPlaces {
        logits: 0,
        boxes: 1,
    };
    const INPUT: Size = Size::new(100, 200);
    /// Far below any threshold.
    const NONE: f32 = -1000.0;
    const BOX: [f32; 4] = [0.5, 0.25, 0.2, 0.1];

    fn decoder(classes: usize, labelling: Labelling) -> Detr {
        let specs = [
            f32_spec("logits", &[1, 0, classes]),
            f32_spec("boxes", &[1, 0, 4]),
        ];
        Detr::new(
            PLACES,
            Activation::Sigmoid,
            INPUT,
            classes,
            &specs,
            labelling,
        )
        .expect("the layout")
    }

    fn outputs(logits: &[&[f32]], boxes: &[[f32; 4]]) -> [Tensor; 2] {
        let classes = logits.first().map_or(3, |row| row.len());
        [
            Tensor::f32("logits", [1, logits.len(), classes], logits.concat()),
            Tensor::f32("boxes", [1, boxes.len(), 4], boxes.concat()),
        ]
    }

    fn best(logits: &[f32], threshold: f32) -> Vec<Detection> {
        let decoder = decoder(logits.len(), Labelling::Best);
        decoded(&decoder, &outputs(&[logits], &[BOX]), threshold)
    }

    #[test]
    fn shares_of_the_input_become_pixels_and_logits_scores() {
        let logits: [&[f32]; 2] = [&[NONE; 3], &[NONE, 0.0, -1.0]];
        let outputs = outputs(&logits, &[[0.0; 4], BOX]);
        let found = decoded(&decoder(3, Labelling::Best), &outputs, 0.5);
        assert_eq!(found, [detection([40.0, 40.0, 60.0, 60.0], 1, 0.5)]);
    }

    /// Makes outputs of two classes, with the logit of no object behind them.
    fn by_softmax(logits: [f32; 3], threshold: f32) -> Vec<Detection> {
        let specs = [
            f32_spec("logits", &[1, 0, 3]),
            f32_spec("boxes", &[1, 0, 4]),
        ];
        let decoder = Detr::new(
            PLACES,
            Activation::Softmax,
            INPUT,
            2,
            &specs,
            Labelling::Best,
        );
        let decoder = decoder.expect("two classes and no object");
        decoded(&decoder, &outputs(&[&logits], &[BOX]), threshold)
    }

    #[test]
    fn a_softmax_shares_out_and_its_last_number_is_no_class() {
        let found = by_softmax([1000.0, 1000.0 + 3f32.ln(), NONE], 0.5);
        let [one] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(one.class, 1);
        assert!((one.score - 0.75).abs() < 1e-4, "{}", one.score);
        assert_eq!(by_softmax([1.0, 1.0, 9.0], 0.1), [], "no object");
        assert_eq!(
            by_softmax([0.0; 3], 1.0 / 3.0)[0].class,
            0,
            "ties take the lower class"
        );
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(by_softmax([broken; 3], 0.0), [], "{broken}");
            assert_eq!(by_softmax([0.0, 0.0, broken], 0.6), [], "{broken}");
        }
    }

    #[test]
    fn every_class_above_the_threshold_when_asked() {
        let outputs = outputs(&[&[0.0, NONE, 1.0]], &[BOX]);
        let found = decoded(&decoder(3, Labelling::Every), &outputs, 0.5);
        let classes: Vec<u32> = found.iter().map(|d| d.class).collect();
        assert_eq!(classes, [0, 2]);
    }

    #[test]
    fn ties_take_the_lower_class() {
        assert_eq!(best(&[NONE, 2.0, 2.0], 0.5)[0].class, 1);
    }

    #[test]
    fn threshold_is_inclusive() {
        let score = sigmoid(0.4);
        assert_eq!(best(&[0.4], score).len(), 1);
        assert_eq!(best(&[0.4], score + 1e-6), []);
    }

    #[test]
    fn numbers_that_are_not_finite_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(best(&[broken], 1e-30), []);
            assert_eq!(best(&[broken, 1.0], 0.5)[0].class, 1, "nor hide one");
            for side in 0..4 {
                let mut row = BOX;
                row[side] = broken;
                let outputs = outputs(&[&[5.0]], &[row]);
                assert_eq!(decoded(&decoder(1, Labelling::Best), &outputs, 0.5), []);
            }
        }
    }

    #[test]
    fn refuses_other_shapes() {
        let new = |logits: &[usize], boxes: &[usize]| {
            let specs = [f32_spec("logits", logits), f32_spec("boxes", boxes)];
            Detr::new(
                PLACES,
                Activation::Sigmoid,
                INPUT,
                80,
                &specs,
                Labelling::Best,
            )
            .err()
            .map(|error| error.to_string())
        };
        assert_eq!(new(&[1, 300, 80], &[1, 300, 4]), None);
        assert_eq!(
            new(&[1, 300, 91], &[1, 300, 4]).as_deref(),
            Some("output logits has shape [1, 300, 91], expected logits [1, n, classes]")
        );
        assert!(new(&[1, 300, 80], &[1, 300, 5]).is_some());
        let none = Detr::new(PLACES, Activation::Sigmoid, INPUT, 80, &[], Labelling::Best);
        assert!(none.is_err());
        let uneven = outputs(&[&[5.0; 3][..]; 2], &[BOX]);
        let mut found = Vec::new();
        let result = decoder(3, Labelling::Best).decode(&uneven, 0.1, &mut found);
        assert!(result.is_err() && found.is_empty());
    }

    #[test]
    fn empty_head_decodes_to_nothing() {
        assert_eq!(
            decoded(&decoder(3, Labelling::Best), &outputs(&[], &[]), 0.0),
            []
        );
    }
}
