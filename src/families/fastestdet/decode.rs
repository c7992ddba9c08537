//! FastestDet head. One f32 output `[1, 5 + classes, rows, columns]`; a place of the map = candidate, its numbers
//! along the second axis: objectness, x and y offset, width, height, then one probability per class.
//!
//! Score = objectness ^ 0.6 x class ^ 0.4. Centre = cell + tanh(offset), in cells; side = sigmoid of its number, as a
//! share of the input's side.

use crate::base::detection::Detection;
use crate::base::geometry::{BBox, Size};
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::{ROW_FIELDS, push, sigmoid};
use crate::families::decoding::output::{Dim, Output, with_classes};
use crate::families::decoding::{DecodeError, Decoder, Labelling};

const OBJECTNESS_POWER: f32 = 0.6;
const CLASS_POWER: f32 = 0.4;

pub(crate) struct FastestDet {
    output: Output,
    input: Size,
    labelling: Labelling,
}

impl FastestDet {
    /// `classes` of 0: as many as the output has.
    pub fn new(
        input: Size,
        classes: usize,
        outputs: &[TensorSpec],
        labelling: Labelling,
    ) -> Result<Self, DecodeError> {
        let expected = format!("[1, {}, rows, columns]", with_classes(ROW_FIELDS, classes));
        let wanted = [
            Dim::Is(1),
            Dim::fields_and(ROW_FIELDS, classes),
            Dim::ANY,
            Dim::ANY,
        ];
        Ok(Self {
            output: Output::find(outputs, &wanted, &expected)?,
            input,
            labelling,
        })
    }
}

impl Decoder for FastestDet {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let (values, dims) = self.output.read(outputs)?;
        let (rows, columns) = (dims[2], dims[3]);
        let cells = rows * columns;
        let (width, height) = (self.input.width as f32, self.input.height as f32);
        for cell in 0..cells {
            let field = |field: usize| values[field * cells + cell];
            // A class is at most 1, so the score is no higher. A power of less than zero is NaN, which is not either.
            let factor = field(0).powf(OBJECTNESS_POWER);
            if factor >= score_threshold {
                let classes = values[ROW_FIELDS * cells + cell..].iter().step_by(cells);
                let scores = classes.map(|class| class.powf(CLASS_POWER));
                let report = |class, score| {
                    let x = ((cell % columns) as f32 + field(1).tanh()) / columns as f32;
                    let y = ((cell / columns) as f32 + field(2).tanh()) / rows as f32;
                    let (w, h) = (sigmoid(field(3)), sigmoid(field(4)));
                    let bbox = BBox::from_centre(x * width, y * height, w * width, h * height);
                    // The functions above make finite numbers of infinite ones.
                    if (1..ROW_FIELDS).all(|index| field(index).is_finite()) {
                        push(found, bbox, class, score);
                    }
                };
                self.labelling
                    .choose(scores, factor, score_threshold, report);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::decoding::testing::{decoded, detection, f32_spec};

    /// 2 x 2 cells of 16.
    const INPUT: Size = Size::new(32, 32);

    fn decoder(classes: usize, labelling: Labelling) -> FastestDet {
        let specs = [f32_spec("out", &[1, ROW_FIELDS + classes, 2, 2])];
        FastestDet::new(INPUT, classes, &specs, labelling).expect("the layout")
    }

    /// A map, all zero but the numbers of `cell`.
    fn outputs(cell: usize, numbers: &[f32]) -> [Tensor; 1] {
        let mut values = vec![0.0; 4 * numbers.len()];
        for (field, number) in numbers.iter().enumerate() {
            values[4 * field + cell] = *number;
        }
        [Tensor::f32("out", [1, numbers.len(), 2, 2], values)]
    }

    fn best(cell: usize, numbers: &[f32], threshold: f32) -> Vec<Detection> {
        let decoder = decoder(numbers.len() - ROW_FIELDS, Labelling::Best);
        decoded(&decoder, &outputs(cell, numbers), threshold)
    }

    #[test]
    fn offsets_are_in_cells_and_sides_are_shares() {
        // Cell (1, 0); a sigmoid of 0 is half the input.
        let found = best(1, &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0], 0.5);
        assert_eq!(found, [detection([8.0, -8.0, 24.0, 8.0], 1, 1.0)]);
        let found = best(1, &[1.0, 0.5_f32.atanh(), -1e9, 0.0, 0.0, 1.0], 0.5);
        assert_eq!(found, [detection([16.0, -24.0, 32.0, -8.0], 0, 1.0)]);
    }

    #[test]
    fn scores_are_powers_of_objectness_and_class() {
        let numbers = [0.5, 0.0, 0.0, 0.0, 0.0, 0.25];
        let score = best(3, &numbers, 0.1)[0].score;
        let wanted = 0.5_f32.powf(0.6) * 0.25_f32.powf(0.4);
        assert!((score - wanted).abs() < 1e-6, "{score}");
    }

    #[test]
    fn ties_take_the_lower_class() {
        assert_eq!(
            best(0, &[1.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.7, 0.7], 0.5)[0].class,
            1
        );
    }

    #[test]
    fn every_class_above_the_threshold_when_asked() {
        let numbers = [1.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.4];
        let found = decoded(&decoder(3, Labelling::Every), &outputs(0, &numbers), 0.3);
        assert_eq!(found.iter().map(|d| d.class).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn refuses_other_shapes() {
        let new = |dims: &[usize]| {
            let specs = [f32_spec("out", dims)];
            let decoder = FastestDet::new(INPUT, 80, &specs, Labelling::Best);
            decoder.err().map(|error| error.to_string())
        };
        assert_eq!(new(&[1, 85, 22, 22]), None);
        assert_eq!(
            new(&[1, 85, 484]).as_deref(),
            Some("output out has shape [1, 85, 484], expected [1, 5 + 80, rows, columns]")
        );
        assert!(new(&[1, 84, 22, 22]).is_some());
    }

    #[test]
    fn nan_scores_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0] {
            for field in [0, ROW_FIELDS] {
                let mut numbers = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0];
                numbers[field] = broken;
                assert_eq!(best(0, &numbers, 0.1), [], "{broken} as number {field}");
            }
        }
    }

    #[test]
    fn boxes_without_end_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for field in 1..ROW_FIELDS {
                let mut numbers = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0];
                numbers[field] = broken;
                assert_eq!(best(0, &numbers, 0.5), []);
            }
        }
    }

    #[test]
    fn threshold_is_inclusive() {
        let numbers = [0.5, 0.0, 0.0, 0.0, 0.0, 1.0];
        let score = 0.5_f32.powf(0.6);
        assert_eq!(best(0, &numbers, score).len(), 1);
        assert_eq!(best(0, &numbers, score + 1e-6), []);
    }

    #[test]
    fn empty_head_decodes_to_nothing() {
        let outputs = [Tensor::f32("out", [1, 6, 0, 0], vec![])];
        let specs = [f32_spec("out", &[1, 6, 0, 0])];
        let empty = FastestDet::new(INPUT, 1, &specs, Labelling::Best).expect("no cells");
        assert_eq!(decoded(&empty, &outputs, 0.0), []);
    }
}
