//! UltraFace head. Two f32 outputs: scores `[1, n, 2]`, probabilities of background and face, and boxes `[1, n, 4]`;
//! row = candidate.
//!
//! Decoded by the graph: left, top, right, bottom as shares of the input's sides. Raw: offsets beside SSD priors, in
//! grids of strides 8, 16, 32 and 64, cell by cell, smallest first. A prior is centred on its cell and as high as
//! wide, in input pixels; centre and sides are shares of the input and none is over 1. Box: centre = prior's centre +
//! 0.1 x offset x prior's side, side = exp(0.2 x offset) x prior's side.

use crate::base::detection::Detection;
use crate::base::geometry::{BBox, Size};
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::{push, side_from_log};
use crate::families::decoding::face_priors::PRIORS;
use crate::families::decoding::output::{Dim, Output};
use crate::families::decoding::{DecodeError, Decoder};

const BOX_FIELDS: usize = 4;
const SCORE_FIELDS: usize = 2;
const FACE: usize = 1;

const CENTRE_VARIANCE: f32 = 0.1;
const SIDE_VARIANCE: f32 = 0.2;

/// Square beside which a raw box lies, as shares of the input's sides.
#[derive(Debug, Clone, Copy)]
struct Prior {
    x: f32,
    y: f32,
    width: f32,
    height: f32,
}

pub(crate) struct UltraFace {
    scores: Output,
    boxes: Output,
    input: Size,
    /// `None` where the graph has decoded the boxes.
    priors: Option<Vec<Prior>>,
}

impl UltraFace {
    /// Boxes decoded by the graph.
    pub fn new(input: Size, outputs: &[TensorSpec]) -> Result<Self, DecodeError> {
        Self::with(input, outputs, None)
    }

    /// Boxes beside priors.
    pub fn raw(input: Size, outputs: &[TensorSpec]) -> Result<Self, DecodeError> {
        Self::with(input, outputs, Some(priors(input)))
    }

    fn with(
        input: Size,
        outputs: &[TensorSpec],
        priors: Option<Vec<Prior>>,
    ) -> Result<Self, DecodeError> {
        let (count, text) = match &priors {
            Some(priors) => (Dim::Is(priors.len()), priors.len().to_string()),
            None => (Dim::ANY, "candidates".into()),
        };
        let find = |fields: usize| {
            let wanted = [Dim::Is(1), count, Dim::Is(fields)];
            Output::find(outputs, &wanted, &format!("[1, {text}, {fields}]"))
        };
        Ok(Self {
            scores: find(SCORE_FIELDS)?,
            boxes: find(BOX_FIELDS)?,
            input,
            priors,
        })
    }

    fn bbox(&self, index: usize, row: &[f32]) -> BBox {
        let (width, height) = (self.input.width as f32, self.input.height as f32);
        match &self.priors {
            None => BBox::new(
                row[0] * width,
                row[1] * height,
                row[2] * width,
                row[3] * height,
            ),
            Some(priors) => {
                let prior = priors[index];
                BBox::from_centre(
                    (prior.x + CENTRE_VARIANCE * row[0] * prior.width) * width,
                    (prior.y + CENTRE_VARIANCE * row[1] * prior.height) * height,
                    side_from_log(SIDE_VARIANCE * row[2], prior.width * width),
                    side_from_log(SIDE_VARIANCE * row[3], prior.height * height),
                )
            }
        }
    }
}

impl Decoder for UltraFace {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let scores = self.scores.read(outputs)?.0.chunks_exact(SCORE_FIELDS);
        let boxes = self.boxes.read(outputs)?.0.chunks_exact(BOX_FIELDS);
        for (index, (scores, row)) in scores.zip(boxes).enumerate() {
            let score = scores[FACE];
            if score >= score_threshold && score.is_finite() {
                push(found, self.bbox(index, row), 0, score);
            }
        }
        Ok(())
    }
}

fn priors(input: Size) -> Vec<Prior> {
    let (width, height) = (input.width as f32, input.height as f32);
    let mut priors = Vec::new();
    for (stride, sides) in PRIORS {
        for row in 0..input.height.div_ceil(stride) {
            for column in 0..input.width.div_ceil(stride) {
                let middle = |cell: u32| (cell as f32 + 0.5) * stride as f32;
                priors.extend(sides.iter().map(|side| Prior {
                    x: (middle(column) / width).min(1.0),
                    y: (middle(row) / height).min(1.0),
                    width: (side / width).min(1.0),
                    height: (side / height).min(1.0),
                }));
            }
        }
    }
    priors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::decoding::testing::{decoded, detection, f32_spec};

    /// 2 x 1 cells of 8, one of each other stride: 6 + 2 + 2 + 3 priors.
    const INPUT: Size = Size::new(16, 8);
    const COUNT: usize = 13;

    fn specs() -> [TensorSpec; 2] {
        [
            f32_spec("scores", &[1, COUNT, SCORE_FIELDS]),
            f32_spec("boxes", &[1, COUNT, BOX_FIELDS]),
        ]
    }

    fn decoder() -> UltraFace {
        UltraFace::new(INPUT, &specs()).expect("the layout")
    }

    fn raw() -> UltraFace {
        UltraFace::raw(INPUT, &specs()).expect("the layout")
    }

    /// All candidates are background but `index`.
    fn outputs(index: usize, score: f32, bbox: [f32; 4]) -> [Tensor; 2] {
        let mut scores = [1.0, 0.0].repeat(COUNT);
        scores[2 * index..][..2].copy_from_slice(&[1.0 - score, score]);
        let mut boxes = vec![0.0; COUNT * BOX_FIELDS];
        boxes[4 * index..][..4].copy_from_slice(&bbox);
        [
            Tensor::f32("scores", [1, COUNT, SCORE_FIELDS], scores),
            Tensor::f32("boxes", [1, COUNT, BOX_FIELDS], boxes),
        ]
    }

    #[track_caller]
    fn assert_box(found: &[Detection], wanted: [f32; 4]) {
        assert_eq!(found.len(), 1, "{found:?}");
        let bbox = found[0].bbox;
        for (a, b) in [bbox.x1, bbox.y1, bbox.x2, bbox.y2].iter().zip(wanted) {
            assert!((a - b).abs() < 1e-4, "{bbox:?}, wanted {wanted:?}");
        }
    }

    #[test]
    fn shares_of_the_input_become_pixels() {
        let found = decoded(&decoder(), &outputs(3, 0.75, [0.25, 0.5, 0.5, 1.0]), 0.7);
        assert_eq!(found, [detection([4.0, 4.0, 8.0, 8.0], 0, 0.75)]);
    }

    #[test]
    fn raw_boxes_lie_beside_their_prior() {
        // The smallest prior of the second cell of 8: centre (12, 4), 10 wide, as high as the input.
        let found = decoded(&raw(), &outputs(3, 0.75, [1.0, 0.0, 0.0, 0.0]), 0.7);
        assert_box(&found, [8.0, 0.0, 18.0, 8.0]);
        let double = 5.0 * 2.0_f32.ln();
        let found = decoded(&raw(), &outputs(3, 0.75, [0.0, 0.0, double, 0.0]), 0.7);
        assert_box(&found, [2.0, 0.0, 22.0, 8.0]);
    }

    #[test]
    fn centres_and_sides_of_priors_are_held_to_the_input() {
        // The largest prior of the only cell of 64, whose middle is beyond the input.
        let found = decoded(&raw(), &outputs(12, 0.75, [0.0; 4]), 0.7);
        assert_box(&found, [8.0, 4.0, 24.0, 12.0]);
    }

    #[test]
    fn priors_are_as_many_as_the_usual_models_have() {
        assert_eq!(priors(Size::new(320, 240)).len(), 4420);
        assert_eq!(priors(Size::new(640, 480)).len(), 17640);
    }

    #[test]
    fn refuses_other_shapes() {
        let [scores, boxes] = specs();
        assert!(UltraFace::new(INPUT, &[boxes.clone(), scores.clone()]).is_ok());
        let other = [f32_spec("scores", &[1, 12, 2]), boxes];
        assert!(UltraFace::raw(INPUT, &other).is_err(), "12 are no priors");
        let error = UltraFace::new(INPUT, &[scores]).err().expect("no boxes");
        assert_eq!(
            error.to_string(),
            "output scores has shape [1, 13, 2], expected [1, candidates, 4]"
        );
    }

    #[test]
    fn nan_scores_are_never_detections() {
        for score in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(decoded(&decoder(), &outputs(0, score, [0.0; 4]), 0.1), []);
        }
    }

    #[test]
    fn boxes_without_end_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for field in 0..4 {
                let mut bbox = [0.0; 4];
                bbox[field] = broken;
                assert_eq!(decoded(&decoder(), &outputs(0, 0.9, bbox), 0.5), []);
                assert_eq!(decoded(&raw(), &outputs(0, 0.9, bbox), 0.5), []);
            }
        }
    }

    #[test]
    fn threshold_is_inclusive() {
        let outputs = outputs(0, 0.5, [0.0; 4]);
        assert_eq!(decoded(&decoder(), &outputs, 0.5).len(), 1);
        assert_eq!(decoded(&decoder(), &outputs, 0.500_001), []);
    }

    #[test]
    fn empty_head_decodes_to_nothing() {
        let specs = [f32_spec("s", &[1, 0, 2]), f32_spec("b", &[1, 0, 4])];
        let empty = UltraFace::raw(Size::default(), &specs).expect("no priors");
        let outputs = [
            Tensor::f32("s", [1, 0, 2], vec![]),
            Tensor::f32("b", [1, 0, 4], vec![]),
        ];
        assert_eq!(decoded(&empty, &outputs, 0.0), []);
    }
}
