//! YOLOv5 head, decoded by the graph. One f32 output `[1, candidates, 5 + classes]`; row = candidate: centre x,
//! centre y, width, height in input pixels, objectness, then one probability per class. Score = objectness x class.
//!
//! Also YOLOv7, and YOLOX exported with its decoding.

use crate::base::detection::Detection;
use crate::base::geometry::BBox;
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::{ROW_FIELDS, decode_rows};
use crate::families::decoding::output::{Dim, Output, with_classes};
use crate::families::decoding::{DecodeError, Decoder, Labelling};

pub(crate) struct Yolov5 {
    output: Output,
    labelling: Labelling,
}

impl Yolov5 {
    /// `classes` of 0: as many as the output has.
    pub fn new(
        classes: usize,
        outputs: &[TensorSpec],
        labelling: Labelling,
    ) -> Result<Self, DecodeError> {
        let expected = format!("[1, candidates, {}]", with_classes(ROW_FIELDS, classes));
        let wanted = [Dim::Is(1), Dim::ANY, Dim::fields_and(ROW_FIELDS, classes)];
        let output = Output::find(outputs, &wanted, &expected)?;
        Ok(Self { output, labelling })
    }
}

impl Decoder for Yolov5 {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let (values, dims) = self.output.read(outputs)?;
        let bbox = |_, [x, y, width, height]: [f32; 4]| BBox::from_centre(x, y, width, height);
        decode_rows(
            values,
            dims[2],
            &self.labelling,
            score_threshold,
            bbox,
            found,
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::decoding::testing::{decoded, detection, f32_spec};

    fn decoder(classes: usize) -> Yolov5 {
        let specs = [f32_spec("out", &[1, 0, ROW_FIELDS + classes])];
        Yolov5::new(classes, &specs, Labelling::Best).expect("the layout")
    }

    fn outputs(classes: usize, rows: &[f32]) -> [Tensor; 1] {
        let width = ROW_FIELDS + classes;
        [Tensor::f32(
            "out",
            [1, rows.len() / width, width],
            rows.to_vec(),
        )]
    }

    #[test]
    fn accepts_a_single_class_head() {
        let found = decoded(
            &decoder(1),
            &outputs(1, &[10.0, 20.0, 4.0, 8.0, 0.5, 0.5]),
            0.25,
        );
        assert_eq!(found, [detection([8.0, 16.0, 12.0, 24.0], 0, 0.25)]);
    }

    #[test]
    fn refuses_other_shapes() {
        let new = |dims: &[usize], classes| {
            Yolov5::new(classes, &[f32_spec("out", dims)], Labelling::Best)
                .err()
                .map(|error| error.to_string())
        };
        assert_eq!(new(&[1, 9, 85], 80), None);
        assert_eq!(new(&[1, 9, 85], 0), None);
        assert_eq!(
            new(&[1, 85, 9], 80).as_deref(),
            Some("output out has shape [1, 85, 9], expected [1, candidates, 5 + 80]")
        );
        assert!(new(&[1, 9, 5], 0).is_some(), "no class is no detector");
        assert!(new(&[2, 9, 85], 80).is_some(), "one picture at a time");
    }

    #[test]
    fn centre_form_becomes_corners() {
        let row = [100.0, 50.0, 20.0, 10.0, 1.0, 0.0, 1.0];
        let found = decoded(&decoder(2), &outputs(2, &row), 0.5);
        assert_eq!(found, [detection([90.0, 45.0, 110.0, 55.0], 1, 1.0)]);
    }

    #[test]
    fn ties_take_the_lower_class() {
        let row = [0.0, 0.0, 2.0, 2.0, 1.0, 0.2, 0.7, 0.7];
        assert_eq!(decoded(&decoder(3), &outputs(3, &row), 0.5)[0].class, 1);
    }

    #[test]
    fn every_class_above_the_threshold_when_asked() {
        let specs = [f32_spec("out", &[1, 1, 8])];
        let decoder = Yolov5::new(3, &specs, Labelling::Every).expect("the layout");
        let row = [0.0, 0.0, 2.0, 2.0, 0.5, 1.0, 0.2, 0.8];
        let classes: Vec<(u32, f32)> = decoded(&decoder, &outputs(3, &row), 0.3)
            .iter()
            .map(|d| (d.class, d.score))
            .collect();
        assert_eq!(classes, [(0, 0.5), (2, 0.4)]);
    }

    #[test]
    fn nan_scores_are_never_detections() {
        for (objectness, class) in [
            (f32::NAN, 1.0),
            (1.0, f32::NAN),
            (f32::INFINITY, 1.0),
            (1.0, f32::INFINITY),
        ] {
            let row = [0.0, 0.0, 2.0, 2.0, objectness, class];
            assert_eq!(decoded(&decoder(1), &outputs(1, &row), 0.0), []);
        }
    }

    #[test]
    fn boxes_without_end_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for field in 0..4 {
                let mut row = [0.0, 0.0, 2.0, 2.0, 1.0, 1.0];
                row[field] = broken;
                assert_eq!(decoded(&decoder(1), &outputs(1, &row), 0.5), []);
            }
        }
    }

    #[test]
    fn threshold_is_inclusive() {
        let row = [0.0, 0.0, 2.0, 2.0, 0.5, 0.5];
        assert_eq!(decoded(&decoder(1), &outputs(1, &row), 0.25).len(), 1);
        assert_eq!(decoded(&decoder(1), &outputs(1, &row), 0.250_001), []);
    }

    #[test]
    fn empty_head_decodes_to_nothing() {
        assert_eq!(decoded(&decoder(1), &outputs(1, &[]), 0.0), []);
    }
}
