//! DETR head in one output. f32 `[1, n, 4 + classes]`; row = query: centre x, centre y, width and height from 0 to 1 of
//! the input, then one probability per class. Queries do not answer twice for one object: nothing is to be suppressed.
//! RT-DETR of Ultralytics.

use crate::base::detection::Detection;
use crate::base::geometry::{BBox, Size};
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::push;
use crate::families::decoding::output::{Dim, Output, with_classes};
use crate::families::decoding::{DecodeError, Decoder, Labelling};

const BOX: usize = 4;

pub(crate) struct DetrRows {
    output: Output,
    input: Size,
    labelling: Labelling,
}

impl DetrRows {
    /// `classes` of 0: as many as the output has.
    pub fn new(
        input: Size,
        classes: usize,
        outputs: &[TensorSpec],
        labelling: Labelling,
    ) -> Result<Self, DecodeError> {
        let wanted = [Dim::Is(1), Dim::ANY, Dim::fields_and(BOX, classes)];
        let expected = format!("[1, queries, {}]", with_classes(BOX, classes));
        Ok(Self {
            output: Output::find(outputs, &wanted, &expected)?,
            input,
            labelling,
        })
    }
}

impl Decoder for DetrRows {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let (values, dims) = self.output.read(outputs)?;
        let (width, height) = (self.input.width as f32, self.input.height as f32);
        for row in values.chunks_exact(dims[2]) {
            let (b, scores) = row.split_at(BOX);
            let scores = scores.iter().copied();
            self.labelling
                .choose(scores, 1.0, score_threshold, |class, score| {
                    let bbox =
                        BBox::from_centre(b[0] * width, b[1] * height, b[2] * width, b[3] * height);
                    push(found, bbox, class, score);
                });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::decoding::testing::{decoded, detection, f32_spec};

    const INPUT: Size = Size::new(100, 200);

    fn found(rows: &[[f32; 6]], threshold: f32, labelling: Labelling) -> Vec<Detection> {
        let specs = [f32_spec("out", &[1, 0, 6])];
        let decoder = DetrRows::new(INPUT, 2, &specs, labelling).expect("two classes");
        let outputs = [Tensor::f32("out", [1, rows.len(), 6], rows.concat())];
        decoded(&decoder, &outputs, threshold)
    }

    #[test]
    fn shares_of_the_input_become_pixels() {
        let row = [0.5, 0.25, 0.2, 0.1, 0.1, 0.9];
        let wanted = detection([40.0, 40.0, 60.0, 60.0], 1, 0.9);
        assert_eq!(found(&[row], 0.5, Labelling::Best), [wanted]);
        assert_eq!(found(&[row], 0.1, Labelling::Every).len(), 2);
        assert_eq!(found(&[], 0.0, Labelling::Best), []);
    }

    #[test]
    fn ties_take_the_lower_class_and_the_threshold_is_inclusive() {
        let row = [0.5, 0.25, 0.2, 0.1, 0.25, 0.25];
        let one = found(&[row], 0.25, Labelling::Best);
        assert_eq!(one.iter().map(|d| d.class).collect::<Vec<_>>(), [0]);
        assert_eq!(found(&[row], 0.250_001, Labelling::Best), []);
    }

    #[test]
    fn numbers_that_are_not_finite_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for field in 0..5 {
                let mut row = [0.5, 0.25, 0.2, 0.1, 0.9, 0.0];
                row[field] = broken;
                assert_eq!(
                    found(&[row], 0.1, Labelling::Best),
                    [],
                    "{broken} as field {field}"
                );
            }
        }
    }

    #[test]
    fn refuses_other_shapes() {
        let specs = [f32_spec("out", &[1, 300, 4])];
        let error = DetrRows::new(INPUT, 2, &specs, Labelling::Best).err();
        assert_eq!(
            error.expect("no class").to_string(),
            "output out has shape [1, 300, 4], expected [1, queries, 4 + 2]"
        );
    }
}
