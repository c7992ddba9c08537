//! Head of generalised focal loss: NanoDet, PicoDet. For every stride scores `[1, n, classes]` and sides of boxes
//! `[1, n, 4 x bins]`, one row a cell; outputs of a kind come in the order of the strides. Or both side by side, of
//! all strides in turn, as one output `[1, n, classes + 4 x bins]`. All f32.
//!
//! Scores are probabilities. A side, of left, top, right, bottom, is the mean distance of the softmax over its bins,
//! times the stride, in input pixels from the anchor point of the cell. Boxes are held to the input, as the authors do
//! before suppression.

use super::AnchorPoint;
use crate::base::detection::Detection;
use crate::base::geometry::{BBox, Size};
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::{push, reaches};
use crate::families::decoding::distribution::mean_bin;
use crate::families::decoding::grid::Grid;
use crate::families::decoding::output::{Dim, Output, with_classes};
use crate::families::decoding::{DecodeError, Decoder, Labelling};

const SIDES: usize = 4;

/// The facts that the outputs do not tell.
pub(crate) struct Layout<'a> {
    pub strides: &'a [u32],
    /// Numbers of one side.
    pub bins: usize,
    pub anchor_point: AnchorPoint,
}

pub(crate) struct Gfl {
    parts: Vec<Part>,
    /// Scores and sides lie in one output.
    joined: bool,
    grid: Grid,
    bins: usize,
    anchor_point: AnchorPoint,
    input: Size,
    labelling: Labelling,
}

/// Scores and sides that belong together; the same output twice where they are joined.
struct Part {
    scores: Output,
    sides: Output,
    /// Number of its first cell.
    start: usize,
}

impl Gfl {
    /// `classes` of 0: as many as the outputs have.
    pub fn new(
        layout: Layout,
        input: Size,
        classes: usize,
        outputs: &[TensorSpec],
        labelling: Labelling,
    ) -> Result<Self, DecodeError> {
        let grid = Grid::new(input, layout.strides.iter().map(|&stride| (stride, 1)));
        let fields = SIDES * layout.bins;
        let joined = outputs.len() == 1;
        let parts = if joined {
            let expected = format!(
                "[1, {}, {}] (strides {:?} over {input})",
                grid.len(),
                with_classes(fields, classes),
                layout.strides
            );
            let wanted = [
                Dim::Is(1),
                Dim::Is(grid.len()),
                Dim::fields_and(fields, classes),
            ];
            let output = Output::find(outputs, &wanted, &expected)?;
            vec![Part {
                scores: output.clone(),
                sides: output,
                start: 0,
            }]
        } else {
            parts(layout.strides, fields, input, classes, outputs)?
        };
        Ok(Self {
            parts,
            joined,
            grid,
            bins: layout.bins,
            anchor_point: layout.anchor_point,
            input,
            labelling,
        })
    }

    fn bbox(&self, cell: usize, sides: &[f32]) -> BBox {
        let cell = self.grid.cell(cell);
        let offset = self.anchor_point.offset(cell.stride);
        let (x, y) = (cell.x * cell.stride + offset, cell.y * cell.stride + offset);
        let side = |side: usize| {
            mean_bin(sides[side * self.bins..][..self.bins].iter().copied()) * cell.stride
        };
        BBox::new(x - side(0), y - side(1), x + side(2), y + side(3)).clip(self.input)
    }
}

/// Outputs of scores and of sides, told apart by their width, or by their order where that is the same.
fn parts(
    strides: &[u32],
    fields: usize,
    input: Size,
    classes: usize,
    outputs: &[TensorSpec],
) -> Result<Vec<Part>, DecodeError> {
    let all: Vec<(usize, &TensorSpec)> = outputs.iter().enumerate().collect();
    let is_sides = |spec: &TensorSpec| spec.dims.get(2) == Some(&fields);
    let (sides, scores): (Vec<_>, Vec<_>) = if outputs.iter().all(is_sides) {
        let (scores, sides) = all.split_at(all.len() / 2);
        (sides.to_vec(), scores.to_vec())
    } else {
        all.iter().partition(|(_, spec)| is_sides(spec))
    };
    if scores.len() != strides.len() || sides.len() != strides.len() {
        return Err(DecodeError::Outputs {
            found: outputs.to_vec(),
            expected: format!(
                "[1, n, classes] and [1, n, {fields}] for each of the strides {strides:?}"
            ),
        });
    }
    let mut parts = Vec::new();
    let mut start = 0;
    for ((&stride, scores), sides) in strides.iter().zip(scores).zip(sides) {
        let cells = Grid::new(input, [(stride, 1)]).len();
        let output = |(index, spec): (usize, &TensorSpec), last: Dim, text: &str| {
            let wanted = [Dim::Is(1), Dim::Is(cells), last];
            let expected = format!("[1, {cells}, {text}] (stride {stride} over {input})");
            Output::at(index, spec, &wanted, &expected)
        };
        let text = match classes {
            0 => "classes".into(),
            _ => classes.to_string(),
        };
        parts.push(Part {
            scores: output(scores, Dim::fields_and(0, classes), &text)?,
            sides: output(sides, Dim::Is(fields), &fields.to_string())?,
            start,
        });
        start += cells;
    }
    Ok(parts)
}

impl Decoder for Gfl {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let fields = SIDES * self.bins;
        // Read all before the first is decoded: an error must leave `found` as it was.
        let mut read = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            read.push((
                part.scores.read(outputs)?,
                part.sides.read(outputs)?,
                part.start,
            ));
        }
        for ((scores, score_dims), (sides, side_dims), start) in read {
            let classes = score_dims[2] - if self.joined { fields } else { 0 };
            let scores = scores.chunks_exact(score_dims[2]);
            let sides = sides.chunks_exact(side_dims[2]);
            for (index, (scores, sides)) in scores.zip(sides).enumerate() {
                let scores = &scores[..classes];
                if !reaches(scores, score_threshold) {
                    continue;
                }
                let report = |class, score| {
                    let sides = &sides[sides.len() - fields..];
                    push(found, self.bbox(start + index, sides), class, score);
                };
                let scores = scores.iter().copied();
                self.labelling.choose(scores, 1.0, score_threshold, report);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::decoding::testing::{decoded, detection, f32_spec};

    /// 4 x 2 cells of 16, 2 x 1 of 32.
    const INPUT: Size = Size::new(64, 32);
    const CELLS: [usize; 2] = [8, 2];
    const BINS: usize = 3;
    const FIELDS: usize = SIDES * BINS;
    /// Softmax leaves all to the bin that has it.
    const ALL: f32 = 1000.0;

    fn layout(anchor_point: AnchorPoint) -> Layout<'static> {
        Layout {
            strides: &[16, 32],
            bins: BINS,
            anchor_point,
        }
    }

    fn specs(classes: usize) -> Vec<TensorSpec> {
        let dims = |width| CELLS.map(|cells| [1, cells, width]);
        let all = [dims(classes), dims(FIELDS)].concat();
        all.iter().map(|dims| f32_spec("out", dims)).collect()
    }

    fn decoder(classes: usize, anchor_point: AnchorPoint) -> Gfl {
        let labelling = Labelling::Best;
        Gfl::new(
            layout(anchor_point),
            INPUT,
            classes,
            &specs(classes),
            labelling,
        )
        .expect("the layout")
    }

    /// The numbers of four sides whose distances are whole bins.
    fn sides(bins: [usize; SIDES]) -> [f32; FIELDS] {
        let mut fields = [0.0; FIELDS];
        for (side, bin) in bins.into_iter().enumerate() {
            fields[side * BINS + bin] = ALL;
        }
        fields
    }

    /// All cells silent but `index`, counted over both strides.
    fn outputs(index: usize, scores: &[f32], sides: &[f32; FIELDS]) -> Vec<Tensor> {
        let (level, row) = if index < CELLS[0] {
            (0, index)
        } else {
            (1, index - CELLS[0])
        };
        let kind = |wanted: &[f32]| {
            let width = wanted.len();
            CELLS
                .iter()
                .enumerate()
                .map(move |(i, &cells)| {
                    let mut values = vec![0.0; cells * width];
                    if i == level {
                        values[row * width..][..width].copy_from_slice(wanted);
                    }
                    Tensor::f32("out", [1, cells, width], values)
                })
                .collect::<Vec<_>>()
        };
        [kind(scores), kind(sides)].concat()
    }

    /// Both kinds side by side in one output.
    fn joined(apart: &[Tensor], classes: usize) -> [Tensor; 1] {
        let values = |tensor: &Tensor| tensor.as_f32().expect("f32").to_vec();
        let mut all = Vec::new();
        for level in 0..CELLS.len() {
            let (scores, sides) = (values(&apart[level]), values(&apart[CELLS.len() + level]));
            for (scores, sides) in scores.chunks(classes).zip(sides.chunks(FIELDS)) {
                all.extend([scores, sides].concat());
            }
        }
        [Tensor::f32(
            "out",
            [1, CELLS.iter().sum(), classes + FIELDS],
            all,
        )]
    }

    #[test]
    fn distances_are_measured_from_the_anchor_point() {
        // Cell (2, 1) of stride 16.
        let outputs = outputs(6, &[0.1, 0.9], &sides([1, 1, 2, 0]));
        for (anchor_point, x, y) in [
            (AnchorPoint::Corner, 32.0, 16.0),
            (AnchorPoint::Middle, 40.0, 24.0),
            (AnchorPoint::MiddlePixel, 39.5, 23.5),
        ] {
            let right = (x + 32.0_f32).min(64.0);
            assert_eq!(
                decoded(&decoder(2, anchor_point), &outputs, 0.5),
                [detection([x - 16.0, y - 16.0, right, y], 1, 0.9)]
            );
        }
    }

    #[test]
    fn distances_between_bins_are_means() {
        assert_eq!(mean_bin([0.0, 0.0, 0.0].into_iter()), 1.0);
        let mean = mean_bin([5.0, 5.0 + 3.0_f32.ln()].into_iter());
        assert!((mean - 0.75).abs() < 1e-6, "{mean}");
        let apart = [f32::MAX, f32::MIN].into_iter();
        assert_eq!(mean_bin(apart), 0.0, "no overflow");
    }

    #[test]
    fn each_stride_has_its_outputs_and_boxes_end_at_the_border() {
        let outputs = outputs(9, &[0.5], &sides([1, 2, 2, 2]));
        let found = decoded(&decoder(1, AnchorPoint::Middle), &outputs, 0.5);
        assert_eq!(found, [detection([16.0, 0.0, 64.0, 32.0], 0, 0.5)]);
    }

    #[test]
    fn joined_outputs_decode_alike() {
        let specs = [f32_spec("out", &[1, 10, 2 + FIELDS])];
        let layout = layout(AnchorPoint::Middle);
        let in_one = Gfl::new(layout, INPUT, 2, &specs, Labelling::Best).expect("the layout");
        for index in 0..10 {
            let apart = outputs(index, &[0.9, 0.2], &sides([0, 1, 1, 2]));
            assert_eq!(
                decoded(&in_one, &joined(&apart, 2), 0.5),
                decoded(&decoder(2, AnchorPoint::Middle), &apart, 0.5)
            );
        }
    }

    #[test]
    fn outputs_may_come_in_pairs() {
        let order = [0, 2, 1, 3];
        let specs = order.map(|i| specs(2)[i].clone());
        let layout = layout(AnchorPoint::Middle);
        let pairs = Gfl::new(layout, INPUT, 2, &specs, Labelling::Best).expect("told by width");
        let outputs = outputs(8, &[0.9, 0.2], &sides([0, 1, 1, 2]));
        let paired = order.map(|i| outputs[i].clone());
        let found = decoded(&pairs, &paired, 0.5);
        assert_eq!(
            found,
            decoded(&decoder(2, AnchorPoint::Middle), &outputs, 0.5)
        );
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn as_many_classes_as_fields_are_told_by_their_order() {
        let mut scores = [0.0; FIELDS];
        scores[7] = 0.9;
        let outputs = outputs(0, &scores, &sides([0, 0, 1, 1]));
        let found = decoded(&decoder(FIELDS, AnchorPoint::Corner), &outputs, 0.5);
        assert_eq!(found, [detection([0.0, 0.0, 16.0, 16.0], 7, 0.9)]);
    }

    #[test]
    fn refuses_other_shapes() {
        let new = |specs: &[TensorSpec]| {
            let layout = layout(AnchorPoint::Middle);
            let decoder = Gfl::new(layout, INPUT, 2, specs, Labelling::Best);
            decoder.err().map(|error| error.to_string())
        };
        assert_eq!(new(&specs(2)), None);
        assert_eq!(
            new(&[f32_spec("out", &[1, 9, 14])]).as_deref(),
            Some(
                "output out has shape [1, 9, 14], expected [1, 10, 12 + 2] (strides [16, 32] over 64x32)"
            )
        );
        let mut other = specs(2);
        other[1] = f32_spec("cls", &[1, 3, 2]);
        assert_eq!(
            new(&other).as_deref(),
            Some("output cls has shape [1, 3, 2], expected [1, 2, 2] (stride 32 over 64x32)")
        );
        assert!(new(&specs(2)[1..]).is_some(), "scores are missing");
        assert!(new(&specs(3)).is_some(), "another number of classes");
        assert!(new(&[]).is_some());
    }

    #[test]
    fn ties_take_the_lower_class() {
        let outputs = outputs(0, &[0.2, 0.7, 0.7], &sides([0, 0, 1, 1]));
        assert_eq!(
            decoded(&decoder(3, AnchorPoint::Middle), &outputs, 0.5)[0].class,
            1
        );
    }

    #[test]
    fn nan_scores_are_never_detections() {
        for score in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let outputs = outputs(0, &[score], &sides([0, 0, 1, 1]));
            assert_eq!(decoded(&decoder(1, AnchorPoint::Middle), &outputs, 0.1), []);
        }
    }

    #[test]
    fn boxes_without_end_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for field in 0..FIELDS {
                let mut sides = sides([1, 1, 1, 1]);
                sides[field] = broken;
                let outputs = outputs(0, &[0.9], &sides);
                assert_eq!(decoded(&decoder(1, AnchorPoint::Middle), &outputs, 0.5), []);
            }
        }
    }

    #[test]
    fn threshold_is_inclusive() {
        let outputs = outputs(0, &[0.25], &sides([0, 0, 1, 1]));
        let decoder = decoder(1, AnchorPoint::Middle);
        assert_eq!(decoded(&decoder, &outputs, 0.25).len(), 1);
        assert_eq!(decoded(&decoder, &outputs, 0.250_001), []);
    }

    #[test]
    fn empty_head_decodes_to_nothing() {
        let layout = Layout {
            strides: &[],
            bins: BINS,
            anchor_point: AnchorPoint::Middle,
        };
        let empty = Gfl::new(layout, INPUT, 1, &[], Labelling::Best).expect("no strides");
        assert_eq!(decoded(&empty, &[], 0.0), []);
    }
}
