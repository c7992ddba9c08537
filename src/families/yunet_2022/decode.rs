//! The head of YuNet as of 2021 and 2022. Three f32 outputs, one row a prior: `[n, 14]` offsets of a box and of five key
//! points, `[n, 2]` probabilities of background and face, `[n, 1]` expected IoU; with or without a leading 1. Key points
//! are not read.
//!
//! Score = sqrt(face x IoU), both held to 0..1. Priors are the squares of UltraFace, but a part of a
//! cell at the border has none. Box: centre = prior's + 0.1 x offset x side, width =
//! side x exp(0.1 x offset), height = side x exp(0.2 x offset): the two exponents differ, as they do in OpenCV.

use crate::base::detection::Detection;
use crate::base::geometry::{BBox, Size};
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::{push, side_from_log};
use crate::families::decoding::face_priors::PRIORS;
use crate::families::decoding::output::{Dim, Output};
use crate::families::decoding::{DecodeError, Decoder};

const LOCATION_FIELDS: usize = 14;
const SCORE_FIELDS: usize = 2;
const FACE: usize = 1;

const CENTRE_VARIANCE: f32 = 0.1;
const WIDTH_VARIANCE: f32 = 0.1;
const HEIGHT_VARIANCE: f32 = 0.2;

/// Square beside which a box lies, in input pixels.
#[derive(Debug, Clone, Copy)]
struct Prior {
    x: f32,
    y: f32,
    side: f32,
}

pub(crate) struct YuNet2022 {
    locations: Output,
    scores: Output,
    ious: Output,
    priors: Vec<Prior>,
}

impl YuNet2022 {
    pub fn new(input: Size, outputs: &[TensorSpec]) -> Result<Self, DecodeError> {
        let priors = priors(input);
        let count = priors.len();
        let find = |fields: usize| {
            let wanted = [Dim::Is(1), Dim::Is(count), Dim::Is(fields)];
            let batch = outputs.iter().all(|spec| spec.dims.len() == 3);
            let wanted = &wanted[usize::from(!batch)..];
            Output::find(outputs, wanted, &format!("[{count}, {fields}]"))
        };
        Ok(Self {
            locations: find(LOCATION_FIELDS)?,
            scores: find(SCORE_FIELDS)?,
            ious: find(1)?,
            priors,
        })
    }
}

impl Decoder for YuNet2022 {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let locations = self.locations.read(outputs)?.0;
        let scores = self.scores.read(outputs)?.0.chunks_exact(SCORE_FIELDS);
        let ious = self.ious.read(outputs)?.0;
        let rows = locations.chunks_exact(LOCATION_FIELDS);
        for (((prior, row), scores), &iou) in self.priors.iter().zip(rows).zip(scores).zip(ious) {
            let face = scores[FACE];
            let score = (face.clamp(0.0, 1.0) * iou.clamp(0.0, 1.0)).sqrt();
            if score >= score_threshold && face.is_finite() && iou.is_finite() {
                let bbox = BBox::from_centre(
                    prior.x + CENTRE_VARIANCE * row[0] * prior.side,
                    prior.y + CENTRE_VARIANCE * row[1] * prior.side,
                    side_from_log(WIDTH_VARIANCE * row[2], prior.side),
                    side_from_log(HEIGHT_VARIANCE * row[3], prior.side),
                );
                push(found, bbox, 0, score);
            }
        }
        Ok(())
    }
}

fn priors(input: Size) -> Vec<Prior> {
    let mut priors = Vec::new();
    for (stride, sides) in PRIORS {
        let middle = |cell: u32| (cell as f32 + 0.5) * stride as f32;
        for row in 0..input.height / stride {
            for column in 0..input.width / stride {
                let (x, y) = (middle(column), middle(row));
                priors.extend(sides.iter().map(|&side| Prior { x, y, side }));
            }
        }
    }
    priors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::decoding::testing::{decoded, detection, f32_spec};

    /// 8 x 5 cells of 8, 4 x 2 of 16, 2 x 1 of 32, none of 64.
    const INPUT: Size = Size::new(64, 40);
    const COUNT: usize = 40 * 3 + 8 * 2 + 2 * 2;
    /// The smaller prior of the second cell of 32.
    const LATE: usize = COUNT - 2;

    fn specs() -> [TensorSpec; 3] {
        [LOCATION_FIELDS, SCORE_FIELDS, 1].map(|width| f32_spec("out", &[COUNT, width]))
    }

    fn decoder() -> YuNet2022 {
        YuNet2022::new(INPUT, &specs()).expect("the layout")
    }

    /// All priors silent but `index`.
    fn outputs(index: usize, face: f32, iou: f32, row: [f32; 4]) -> [Tensor; 3] {
        let [mut locations, mut scores, mut ious] =
            specs().map(|spec| vec![0.0; spec.dims.iter().product()]);
        locations[index * LOCATION_FIELDS..][..4].copy_from_slice(&row);
        scores[index * SCORE_FIELDS + FACE] = face;
        ious[index] = iou;
        [
            (locations, LOCATION_FIELDS),
            (scores, SCORE_FIELDS),
            (ious, 1),
        ]
        .map(|(values, width)| Tensor::f32("out", [COUNT, width], values))
    }

    #[test]
    fn boxes_lie_beside_their_priors() {
        let found = decoded(&decoder(), &outputs(1, 0.5, 0.5, [0.0; 4]), 0.5);
        assert_eq!(found, [detection([-4.0, -4.0, 12.0, 12.0], 0, 0.5)]);
        // Side 64 around (48, 16): moved by a tenth, exp(0.1 x 10 ln 2) wide, exp(0.2 x -5 ln 2) high.
        let row = [1.0, 2.5, 10.0 * 2.0_f32.ln(), -5.0 * 2.0_f32.ln()];
        let found = decoded(&decoder(), &outputs(LATE, 1.0, 0.25, row), 0.5);
        let [one] = &found[..] else {
            panic!("{found:?}")
        };
        let (x, y) = (48.0 + 6.4, 16.0 + 16.0);
        for (met, wanted) in [
            (one.bbox.x1, x - 64.0),
            (one.bbox.x2, x + 64.0),
            (one.bbox.y1, y - 16.0),
            (one.bbox.y2, y + 16.0),
        ] {
            assert!((met - wanted).abs() < 1e-3, "{met}, expected {wanted}");
        }
        assert_eq!(one.score, 0.5);
    }

    #[test]
    fn scores_are_held_to_probabilities() {
        let score = |face, iou| {
            let found = decoded(&decoder(), &outputs(0, face, iou, [0.0; 4]), 0.1);
            found.first().map(|d| d.score)
        };
        assert_eq!(score(1.0, 1.7), Some(1.0));
        assert_eq!(score(1.0, -0.2), None);
        assert_eq!(score(f32::NAN, 1.0), None);
        assert_eq!(score(1.0, f32::INFINITY), None);
    }

    #[test]
    fn refuses_other_shapes() {
        let new = |specs: &[TensorSpec]| {
            let decoder = YuNet2022::new(INPUT, specs);
            decoder.err().map(|error| error.to_string())
        };
        assert_eq!(new(&specs()), None);
        let batch = [14, 2, 1].map(|width| f32_spec("out", &[1, COUNT, width]));
        assert_eq!(new(&batch), None);
        let error = new(&specs()[..2]).unwrap_or_default();
        assert!(error.contains(&format!("[{COUNT}, 1]")), "{error}");
    }

    #[test]
    fn boxes_without_end_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY] {
            for field in 0..4 {
                let mut row = [0.0; 4];
                row[field] = broken;
                assert_eq!(decoded(&decoder(), &outputs(0, 1.0, 1.0, row), 0.5), []);
            }
        }
    }
}
