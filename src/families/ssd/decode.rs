//! SSD head. Two f32 outputs, one row a prior: scores `[1, n, 1 + classes]`, of which the first is that of the background,
//! and boxes `[1, n, 4]`.
//!
//! Scores are probabilities, or logits whose softmax they are. Boxes are decoded by the graph, left, top, right and
//! bottom as shares of the input's sides; or raw beside priors: offset of the centre in sides of the prior times the
//! first variance, logarithms of width and height over those of the prior times the second.
//!
//! Priors lie in layers of cells, row by row, those of a cell one after the other: rectangles of given sizes around its
//! middle.

use super::{Priors, SsdPlaces};
use crate::base::detection::Detection;
use crate::base::geometry::{BBox, Size};
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::{least_raw_score, push, side_from_log};
use crate::families::decoding::output::{Dim, Output, with_classes};
use crate::families::decoding::{DecodeError, Decoder, Labelling};

const BOX_FIELDS: usize = 4;
const BACKGROUND: usize = 1;

/// Rectangle beside which a raw box lies, in input pixels.
#[derive(Debug, Clone, Copy)]
struct Prior {
    x: f32,
    y: f32,
    width: f32,
    height: f32,
}

/// The facts that the outputs do not tell.
pub(crate) struct Layout<'a> {
    pub places: SsdPlaces,
    /// The scores are logits.
    pub logits: bool,
    /// `None` where the graph has decoded the boxes.
    pub priors: Option<&'a Priors>,
}

pub(crate) struct Ssd {
    scores: Output,
    boxes: Output,
    logits: bool,
    input: Size,
    priors: Option<(Vec<Prior>, [f32; 2])>,
    labelling: Labelling,
}

impl Ssd {
    /// `classes` of 0: as many as the output has.
    pub fn new(
        layout: Layout,
        input: Size,
        classes: usize,
        outputs: &[TensorSpec],
        labelling: Labelling,
    ) -> Result<Self, DecodeError> {
        let Layout {
            places,
            logits,
            priors,
        } = layout;
        let priors = priors.map(|own| (priors_over(own, input), own.variances));
        let (count, text) = match &priors {
            Some((priors, _)) => (Dim::Is(priors.len()), priors.len().to_string()),
            None => (Dim::ANY, "candidates".into()),
        };
        let output = |place: usize, last: Dim, width: &str| {
            let expected = format!("[1, {text}, {width}]");
            let spec = outputs.get(place).ok_or_else(|| DecodeError::Outputs {
                found: outputs.to_vec(),
                expected: format!("{expected} as output {place}"),
            })?;
            Output::at(place, spec, &[Dim::Is(1), count, last], &expected)
        };
        let with_background = Dim::fields_and(BACKGROUND, classes);
        Ok(Self {
            scores: output(
                places.scores,
                with_background,
                &with_classes(BACKGROUND, classes),
            )?,
            boxes: output(places.boxes, Dim::Is(BOX_FIELDS), "4")?,
            logits,
            input,
            priors,
            labelling,
        })
    }

    fn bbox(&self, index: usize, row: &[f32]) -> BBox {
        match &self.priors {
            None => {
                let (width, height) = (self.input.width as f32, self.input.height as f32);
                BBox::new(
                    row[0] * width,
                    row[1] * height,
                    row[2] * width,
                    row[3] * height,
                )
            }
            Some((priors, [of_centre, of_side])) => {
                let prior = priors[index];
                BBox::from_centre(
                    prior.x + of_centre * row[0] * prior.width,
                    prior.y + of_centre * row[1] * prior.height,
                    side_from_log(of_side * row[2], prior.width),
                    side_from_log(of_side * row[3], prior.height),
                )
            }
        }
    }

    /// Reports classes and scores of a row, the background first.
    fn choose(&self, row: &[f32], threshold: f32, least: f32, report: impl FnMut(u32, f32)) {
        let (background, classes) = row.split_at(BACKGROUND);
        if !self.logits {
            let scores = classes.iter().copied();
            return self.labelling.choose(scores, 1.0, threshold, report);
        }
        // A class' share of all is no more than its share of itself and the background.
        let highest = classes.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if highest - background[0] < least {
            return;
        }
        let highest = highest.max(background[0]);
        let sum: f32 = row.iter().map(|logit| (logit - highest).exp()).sum();
        let powers = classes.iter().map(|logit| (logit - highest).exp());
        (self.labelling).choose(powers, 1.0 / sum, threshold, report);
    }
}

impl Decoder for Ssd {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let (scores, dims) = self.scores.read(outputs)?;
        let (boxes, box_dims) = self.boxes.read(outputs)?;
        if dims[1] != box_dims[1] {
            return Err(crate::families::decoding::output::shape_error(
                "of boxes",
                box_dims,
                &format!("[1, {}, 4], a box for every row of scores", dims[1]),
            ));
        }
        let least = least_raw_score(score_threshold);
        let rows = scores
            .chunks_exact(dims[2])
            .zip(boxes.chunks_exact(BOX_FIELDS));
        for (index, (scores, row)) in rows.enumerate() {
            self.choose(scores, score_threshold, least, |class, score| {
                push(found, self.bbox(index, row), class, score);
            });
        }
        Ok(())
    }
}

fn priors_over(priors: &Priors, input: Size) -> Vec<Prior> {
    let mut all = Vec::new();
    for layer in &priors.layers {
        let step = |side: u32, cells: u32| layer.step.unwrap_or(side as f32 / cells as f32);
        let (step_x, step_y) = (
            step(input.width, layer.columns),
            step(input.height, layer.rows),
        );
        for row in 0..layer.rows {
            for column in 0..layer.columns {
                all.extend(layer.sizes.iter().map(|&[width, height]| Prior {
                    x: (column as f32 + 0.5) * step_x,
                    y: (row as f32 + 0.5) * step_y,
                    width,
                    height,
                }));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::decoding::testing::{decoded, detection, f32_spec};
    use crate::families::ssd::PriorLayer;

    const INPUT: Size = Size::new(60, 30);
    const PLACES: SsdPlaces = SsdPlaces {
        boxes: 1,
        scores: 0,
    };

    /// 2 x 1 cells of 30 pixels with two priors, and one cell of the whole input.
    fn priors() -> Priors {
        let layer = |columns, step, sizes: &[[f32; 2]]| PriorLayer {
            columns,
            rows: 1,
            step,
            sizes: sizes.to_vec(),
        };
        Priors {
            layers: vec![
                layer(2, Some(30.0), &[[10.0, 10.0], [20.0, 8.0]]),
                layer(1, None, &[[40.0, 20.0]]),
            ],
            variances: [0.1, 0.2],
        }
    }

    fn decoder(logits: bool, priors: Option<&Priors>) -> Ssd {
        let specs = [
            f32_spec("scores", &[1, 5, 3]),
            f32_spec("boxes", &[1, 5, 4]),
        ];
        let layout = Layout {
            places: PLACES,
            logits,
            priors,
        };
        Ssd::new(layout, INPUT, 2, &specs, Labelling::Best).expect("the layout")
    }

    /// All rows background but `index`.
    fn outputs(index: usize, scores: [f32; 3], row: [f32; 4]) -> [Tensor; 2] {
        let mut all = [[9.0, 0.0, 0.0]; 5];
        let mut boxes = [[0.0; 4]; 5];
        (all[index], boxes[index]) = (scores, row);
        [
            Tensor::f32("scores", [1, 5, 3], all.concat()),
            Tensor::f32("boxes", [1, 5, 4], boxes.concat()),
        ]
    }

    #[test]
    fn decoded_boxes_are_shares_of_the_input() {
        let outputs = outputs(2, [0.1, 0.2, 0.7], [0.5, 0.5, 0.75, 1.0]);
        let found = decoded(&decoder(false, None), &outputs, 0.5);
        assert_eq!(found, [detection([30.0, 15.0, 45.0, 30.0], 1, 0.7)]);
    }

    #[test]
    fn raw_boxes_lie_beside_their_priors() {
        let priors = priors();
        let decoder = decoder(false, Some(&priors));
        for (index, row, bbox) in [
            (1, [0.0; 4], [5.0, 11.0, 25.0, 19.0]),
            (2, [0.0; 4], [40.0, 10.0, 50.0, 20.0]),
            (2, [1.0, -5.0, 0.0, 0.0], [41.0, 5.0, 51.0, 15.0]),
            (4, [0.0; 4], [10.0, 5.0, 50.0, 25.0]),
        ] {
            let outputs = outputs(index, [0.0, 0.75, 0.25], row);
            assert_eq!(decoded(&decoder, &outputs, 0.5), [detection(bbox, 0, 0.75)]);
        }
        let twice = 2.0_f32.ln() / 0.2;
        let found = decoded(
            &decoder,
            &outputs(0, [0.0, 1.0, 0.0], [0.0, 0.0, twice, -twice]),
            0.5,
        );
        let sides = (found[0].bbox.width(), found[0].bbox.height());
        assert!(
            (sides.0 - 20.0).abs() < 1e-4 && (sides.1 - 5.0).abs() < 1e-4,
            "{sides:?}"
        );
    }

    #[test]
    fn logits_are_shares_of_all_classes_and_the_background() {
        let decoder = decoder(true, None);
        let logits = [1.0_f32.ln(), 6.0_f32.ln(), 3.0_f32.ln()];
        let found = decoded(&decoder, &outputs(0, logits, [0.0, 0.0, 0.5, 0.5]), 0.5);
        assert_eq!((found.len(), found[0].class), (1, 0));
        assert!((found[0].score - 0.6).abs() < 1e-6, "{}", found[0].score);
        assert_eq!(
            decoded(&decoder, &outputs(0, [5.0, 4.9, 0.0], [0.0; 4]), 0.5),
            []
        );
        let huge = decoded(&decoder, &outputs(0, [0.0, 3e38, 0.0], [0.0; 4]), 0.5);
        assert_eq!(huge[0].score, 1.0, "no overflow");
    }

    #[test]
    fn numbers_that_are_not_finite_are_never_detections() {
        let priors = priors();
        for logits in [false, true] {
            let decoder = decoder(logits, Some(&priors));
            for broken in [f32::NAN, f32::INFINITY] {
                let outputs_of = |scores| outputs(0, scores, [0.0; 4]);
                assert_eq!(decoded(&decoder, &outputs_of([0.0, broken, 0.0]), 0.5), []);
                let row = [broken, 0.0, 0.0, 0.0];
                assert_eq!(
                    decoded(&decoder, &outputs(0, [0.0, 1.0, 0.0], row), 0.1),
                    []
                );
            }
        }
    }

    #[test]
    fn refuses_other_shapes() {
        let priors = priors();
        let new = |scores: &[usize], boxes: &[usize]| {
            let specs = [f32_spec("scores", scores), f32_spec("boxes", boxes)];
            let layout = Layout {
                places: PLACES,
                logits: false,
                priors: Some(&priors),
            };
            let decoder = Ssd::new(layout, INPUT, 2, &specs, Labelling::Best);
            decoder.err().map(|error| error.to_string())
        };
        assert_eq!(new(&[1, 5, 3], &[1, 5, 4]), None);
        assert_eq!(
            new(&[1, 6, 3], &[1, 6, 4]).as_deref(),
            Some("output scores has shape [1, 6, 3], expected [1, 5, 1 + 2]")
        );
        assert!(new(&[1, 5, 2], &[1, 5, 4]).is_some(), "no background");
        let decoder = decoder(false, None);
        let mut outputs = outputs(0, [0.0; 3], [0.0; 4]);
        outputs[1] = Tensor::f32("boxes", [1, 4, 4], vec![0.0; 16]);
        assert!(decoder.decode(&outputs, 0.5, &mut Vec::new()).is_err());
    }
}
