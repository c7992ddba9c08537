//! BlazeFace head. Per anchor layer two f32 outputs, raw scores `[1, n, 1]` and raw boxes `[1, n, 4 + 2 x points]`,
//! in the order of the layers: all outputs of scores among them in that order, and all of boxes; `n` = cells of the
//! layer x anchors in a cell. Exports that join the layers have one output of each.
//!
//! Score = sigmoid(raw). Box: centre x and y off the middle of the cell, width and height, all in input pixels;
//! then the key points, which are not read.

use super::AnchorLayer;
use crate::base::detection::Detection;
use crate::base::geometry::{BBox, Size};
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::{least_raw_score, push, sigmoid};
use crate::families::decoding::grid::Grid;
use crate::families::decoding::output::{Dim, Output};
use crate::families::decoding::{DecodeError, Decoder};

const BOX_FIELDS: usize = 4;

pub(crate) struct BlazeFace {
    grid: Grid,
    /// Scores and boxes that belong together, in the order of the anchors.
    parts: Vec<Part>,
}

struct Part {
    scores: Output,
    boxes: Output,
    /// Number of its first anchor.
    start: usize,
}

impl BlazeFace {
    pub fn new(
        anchor_layers: &[AnchorLayer],
        input: Size,
        outputs: &[TensorSpec],
    ) -> Result<Self, DecodeError> {
        let layers: Vec<(u32, usize)> = anchor_layers
            .iter()
            .map(|layer| (layer.stride, layer.anchors))
            .collect();
        let grid = Grid::new(input, layers.iter().copied());
        // Whatever is neither score nor box is passed over.
        let last = |spec: &TensorSpec| spec.dims.get(2).copied();
        let of = |wanted: fn(usize) -> bool| {
            let chosen = move |(_, spec): &(usize, &TensorSpec)| last(spec).is_some_and(wanted);
            outputs
                .iter()
                .enumerate()
                .filter(chosen)
                .collect::<Vec<_>>()
        };
        let (scores, boxes) = (of(|dim| dim == 1), of(|dim| dim >= BOX_FIELDS));
        let counts: Vec<usize> = match scores.len() {
            1 => vec![grid.len()],
            _ => layers
                .iter()
                .map(|&layer| Grid::new(input, [layer]).len())
                .collect(),
        };
        if scores.len() != counts.len() || boxes.len() != counts.len() {
            return Err(DecodeError::Outputs {
                found: outputs.to_vec(),
                expected: format!(
                    "scores [1, n, 1] and boxes [1, n, 4 + 2 x points] with n = {counts:?}"
                ),
            });
        }
        let mut parts = Vec::new();
        let mut start = 0;
        for ((score, bbox), count) in scores.into_iter().zip(boxes).zip(counts) {
            let part = |(index, spec), last: Dim, text: &str| {
                let wanted = [Dim::Is(1), Dim::Is(count), last];
                Output::at(index, spec, &wanted, &format!("[1, {count}, {text}]"))
            };
            parts.push(Part {
                scores: part(score, Dim::Is(1), "1")?,
                boxes: part(bbox, Dim::AtLeast(BOX_FIELDS), "4 + 2 x points")?,
                start,
            });
            start += count;
        }
        Ok(Self { grid, parts })
    }
}

impl Decoder for BlazeFace {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        // Read all before the first is decoded: an error must leave `found` as it was.
        let mut read = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let (boxes, dims) = part.boxes.read(outputs)?;
            read.push((part.scores.read(outputs)?.0, boxes, dims[2], part.start));
        }
        let least = least_raw_score(score_threshold);
        for (scores, boxes, width, start) in read {
            let rows = boxes.chunks_exact(width);
            for (index, (&raw, row)) in scores.iter().zip(rows).enumerate() {
                // The first test spares the exponential; the second decides.
                if raw >= least && raw.is_finite() && sigmoid(raw) >= score_threshold {
                    let cell = self.grid.cell(start + index);
                    let bbox = BBox::from_centre(
                        (cell.x + 0.5) * cell.stride + row[0],
                        (cell.y + 0.5) * cell.stride + row[1],
                        row[2],
                        row[3],
                    );
                    push(found, bbox, 0, sigmoid(raw));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::decoding::testing::{decoded, detection, f32_spec};

    /// 2 x 2 cells of 16 with one anchor, 1 x 1 of 32 with two: 4 and 2.
    const INPUT: Size = Size::new(32, 32);
    const LAYERS: [AnchorLayer; 2] = [
        AnchorLayer {
            stride: 16,
            anchors: 1,
        },
        AnchorLayer {
            stride: 32,
            anchors: 2,
        },
    ];
    /// Far below any threshold.
    const NONE: f32 = -1000.0;

    fn decoder() -> BlazeFace {
        let specs = [[1, 4, 1], [1, 2, 1], [1, 4, 16], [1, 2, 16]].map(|dims| f32_spec("", &dims));
        BlazeFace::new(&LAYERS, INPUT, &specs).expect("the layout")
    }

    /// All anchors silent but `index`, counted over both layers.
    fn outputs(index: usize, raw: f32, bbox: [f32; 4]) -> Vec<Tensor> {
        let mut scores = [NONE; 6];
        scores[index] = raw;
        let mut boxes = [0.0; 6 * 16];
        boxes[index * 16..][..4].copy_from_slice(&bbox);
        vec![
            Tensor::f32("s0", [1, 4, 1], scores[..4].to_vec()),
            Tensor::f32("s1", [1, 2, 1], scores[4..].to_vec()),
            Tensor::f32("b0", [1, 4, 16], boxes[..64].to_vec()),
            Tensor::f32("b1", [1, 2, 16], boxes[64..].to_vec()),
        ]
    }

    #[test]
    fn boxes_lie_beside_the_middle_of_their_cell() {
        // Cell (1, 0) of stride 16 has its middle at (24, 8).
        let found = decoded(&decoder(), &outputs(1, 0.0, [1.0, -2.0, 4.0, 8.0]), 0.5);
        assert_eq!(found, [detection([23.0, 2.0, 27.0, 10.0], 0, 0.5)]);
    }

    #[test]
    fn the_second_layer_has_its_own_cells() {
        let found = decoded(&decoder(), &outputs(5, 0.0, [0.0, 0.0, 4.0, 8.0]), 0.5);
        assert_eq!(found, [detection([14.0, 12.0, 18.0, 20.0], 0, 0.5)]);
    }

    #[test]
    fn joined_layers_decode_alike() {
        let specs = [f32_spec("b", &[1, 6, 16]), f32_spec("s", &[1, 6, 1])];
        let joined = BlazeFace::new(&LAYERS, INPUT, &specs).expect("boxes may come first");
        for index in 0..6 {
            let apart = outputs(index, 1.0, [1.0, 2.0, 3.0, 4.0]);
            let join = |a: usize, b: usize, dims: [usize; 3]| {
                let values = [&apart[a], &apart[b]]
                    .map(|t| t.as_f32().expect("f32"))
                    .concat();
                Tensor::f32("", dims, values)
            };
            let together = [join(2, 3, [1, 6, 16]), join(0, 1, [1, 6, 1])];
            assert_eq!(
                decoded(&joined, &together, 0.5),
                decoded(&decoder(), &apart, 0.5)
            );
        }
    }

    #[test]
    fn refuses_other_shapes() {
        let new = |dims: &[[usize; 3]]| {
            let specs: Vec<TensorSpec> = dims.iter().map(|dims| f32_spec("out", dims)).collect();
            BlazeFace::new(&LAYERS, INPUT, &specs)
                .err()
                .map(|error| error.to_string())
        };
        assert_eq!(
            new(&[[1, 4, 1], [1, 3, 1], [1, 4, 16], [1, 2, 16]]).as_deref(),
            Some("output out has shape [1, 3, 1], expected [1, 2, 1]")
        );
        assert!(
            new(&[[1, 4, 1], [1, 2, 1], [1, 4, 16]]).is_some(),
            "boxes are missing"
        );
        assert!(new(&[]).is_some());
    }

    #[test]
    fn nan_scores_are_never_detections() {
        for raw in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(
                decoded(&decoder(), &outputs(0, raw, [0.0, 0.0, 4.0, 8.0]), 1e-30),
                []
            );
        }
    }

    #[test]
    fn boxes_without_end_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY] {
            assert_eq!(
                decoded(&decoder(), &outputs(0, 5.0, [0.0, 0.0, broken, 8.0]), 0.5),
                []
            );
        }
    }

    #[test]
    fn threshold_is_inclusive() {
        let raw = 0.4;
        let score = sigmoid(raw);
        let found = |threshold| {
            decoded(
                &decoder(),
                &outputs(0, raw, [0.0, 0.0, 4.0, 8.0]),
                threshold,
            )
        };
        assert_eq!(found(score).len(), 1);
        assert_eq!(found(score + 1e-6), []);
    }

    #[test]
    fn empty_head_decodes_to_nothing() {
        let specs = [f32_spec("s", &[1, 0, 1]), f32_spec("b", &[1, 0, 16])];
        let empty = BlazeFace::new(&[], INPUT, &specs).expect("no anchors");
        let outputs = [
            Tensor::f32("s", [1, 0, 1], vec![]),
            Tensor::f32("b", [1, 0, 16], vec![]),
        ];
        assert_eq!(decoded(&empty, &outputs, 0.0), []);
    }
}
