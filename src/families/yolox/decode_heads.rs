//! Raw heads of YOLOX, where the graph ends before it joins them. Three f32 outputs for every stride, in the order of the
//! strides: box `[1, 4, rows, columns]`, objectness `[1, 1, rows, columns]`, then classes `[1, classes, rows, columns]`.
//!
//! Score = sigmoid of objectness x sigmoid of a class; the box is that of [`yolox`](crate::families::yolox::decode).
//!
//! The objectness is compared before the sigmoid with what gives the threshold, as no class makes a score higher; all
//! else is done for the few above.

use crate::base::detection::Detection;
use crate::base::geometry::Size;
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::{least_raw_score, probability, push, reaches};
use crate::families::decoding::maps::{Channels, Level, Maps, levels, read};
use crate::families::decoding::{DecodeError, Decoder, Labelling};
use crate::families::yolox::decode::bbox;

/// Cells looked at together.
const BLOCK: usize = 128;

/// Places of the heads of a level.
const BOX: usize = 0;
const OBJECTNESS: usize = 1;
const CLASSES: usize = 2;

pub(crate) struct YoloxHeads {
    levels: Vec<Level<3>>,
    labelling: Labelling,
}

impl YoloxHeads {
    /// `classes` of 0: as many as the outputs have.
    pub fn new(
        strides: &[u32],
        input: Size,
        classes: usize,
        outputs: &[TensorSpec],
        labelling: Labelling,
    ) -> Result<Self, DecodeError> {
        let channels = [
            Channels::exactly(4),
            Channels::exactly(1),
            Channels::classes(classes),
        ];
        Ok(Self {
            levels: levels(strides, &channels, input, outputs)?,
            labelling,
        })
    }
}

impl Decoder for YoloxHeads {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        for maps in read(&self.levels, outputs)? {
            decode(&maps, &self.labelling, score_threshold, found);
        }
        Ok(())
    }
}

fn decode(maps: &Maps<3>, labelling: &Labelling, threshold: f32, found: &mut Vec<Detection>) {
    let least = least_raw_score(threshold);
    let blocks = maps.heads[OBJECTNESS].chunks(BLOCK);
    for (start, block) in (0..).step_by(BLOCK).zip(blocks) {
        if !reaches(block, least) {
            continue;
        }
        let above = (start..).zip(block).filter(|(_, raw)| **raw >= least);
        for (place, &raw) in above {
            // Nor does any objectness make a score higher than the class.
            let scores = maps.numbers(CLASSES, place).map(|raw| match raw >= least {
                true => probability(raw),
                false => f32::NAN,
            });
            labelling.choose(scores, probability(raw), threshold, |class, score| {
                let mut numbers = [0.0; 4];
                let channels = maps.numbers(BOX, place);
                (numbers.iter_mut().zip(channels)).for_each(|(number, raw)| *number = raw);
                push(found, bbox(maps.cell(place), numbers), class, score);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::geometry::BBox;
    use crate::families::decoding::candidates::sigmoid;
    use crate::families::decoding::testing::{decoded, detection, f32_spec};
    use crate::families::yolox::decode::Yolox;

    /// 4 x 2 cells of 16, 2 x 1 of 32.
    const INPUT: Size = Size::new(64, 32);
    const STRIDES: [u32; 2] = [16, 32];
    const MAPS: [[usize; 2]; 2] = [[2, 4], [1, 2]];
    const NEVER: f32 = -1000.0;
    const ALWAYS: f32 = 1000.0;
    /// The middle of a cell, and its size.
    const CELL: [f32; 4] = [0.5, 0.5, 0.0, 0.0];

    fn specs(classes: usize) -> Vec<TensorSpec> {
        let level = |[rows, columns]: [usize; 2]| {
            [4, 1, classes].map(|channels| f32_spec("head", &[1, channels, rows, columns]))
        };
        MAPS.into_iter().flat_map(level).collect()
    }

    fn decoder(classes: usize, labelling: Labelling) -> YoloxHeads {
        YoloxHeads::new(&STRIDES, INPUT, classes, &specs(classes), labelling).expect("the layout")
    }

    /// All cells silent but one of `level`.
    fn outputs(level: usize, cell: usize, heads: [&[f32]; 3]) -> Vec<Tensor> {
        let tensor = |index: usize, head: usize, rest: f32| {
            let ([rows, columns], own) = (MAPS[index], heads[head]);
            let mut values = vec![rest; own.len() * rows * columns];
            for (channel, value) in own.iter().enumerate().filter(|_| index == level) {
                values[channel * rows * columns + cell] = *value;
            }
            Tensor::f32("head", [1, own.len(), rows, columns], values)
        };
        let three =
            |index| [(0, 0.0), (1, NEVER), (2, NEVER)].map(|(h, rest)| tensor(index, h, rest));
        (0..MAPS.len()).flat_map(three).collect()
    }

    fn best(outputs: &[Tensor], classes: usize, threshold: f32) -> Vec<Detection> {
        decoded(&decoder(classes, Labelling::Best), outputs, threshold)
    }

    #[test]
    fn offsets_and_logarithms_become_corners() {
        // Cell (2, 1) of stride 16: its corner is (32, 16).
        let sides = [0.5, 0.25, 0.0, 2.0_f32.ln()];
        let found = best(&outputs(0, 6, [&sides, &[ALWAYS], &[-3.0, 0.0]]), 2, 0.5);
        assert_eq!(found.len(), 1);
        let wanted = detection([32.0, 4.0, 48.0, 36.0], 1, 0.5);
        let corners = |d: &Detection| [d.bbox.x1, d.bbox.y1, d.bbox.x2, d.bbox.y2];
        for (a, b) in corners(&found[0]).iter().zip(corners(&wanted)) {
            assert!((a - b).abs() < 1e-4, "{found:?}");
        }
        assert_eq!((found[0].class, found[0].score), (1, 0.5));
    }

    #[test]
    fn each_stride_has_its_cells() {
        assert_eq!(
            best(&outputs(1, 1, [&CELL, &[0.0], &[ALWAYS]]), 1, 0.5),
            [detection([32.0, 0.0, 64.0, 32.0], 0, 0.5)]
        );
    }

    /// Numbers from -3 to 3, none like another, of heads that follow one another.
    fn any_heads(classes: usize) -> Vec<Tensor> {
        let specs = specs(classes).into_iter().enumerate();
        let tensor = |(head, spec): (usize, TensorSpec)| {
            let count = spec.dims.iter().product();
            let number =
                |i: usize| ((i * 7919 + head * 104_729) % 1013) as f32 / 1013.0 * 6.0 - 3.0;
            Tensor::f32(
                "head",
                spec.dims,
                (0..count).map(number).collect::<Vec<_>>(),
            )
        };
        specs.map(tensor).collect()
    }

    /// Computes the output of a graph that is not ended at the heads.
    fn joined(heads: &[Tensor], classes: usize) -> Tensor {
        let mut rows = Vec::new();
        for level in heads.chunks(3) {
            let area = level[0].dims[2] * level[0].dims[3];
            for cell in 0..area {
                for (head, tensor) in level.iter().enumerate() {
                    let numbers = tensor.as_f32().expect("floats");
                    let own = numbers[cell..].iter().step_by(area);
                    rows.extend(own.map(|n| if head == 0 { *n } else { sigmoid(*n) }));
                }
            }
        }
        Tensor::f32("out", [1, 10, 5 + classes], rows)
    }

    #[test]
    fn finds_what_is_found_in_the_joined_output() {
        for classes in [1, 4, 7] {
            let heads = any_heads(classes);
            let whole = joined(&heads, classes);
            for labelling in [Labelling::Best, Labelling::Every] {
                let specs = [f32_spec("out", &whole.dims)];
                let reader = Yolox::new(&STRIDES, INPUT, classes, &specs, labelling.clone());
                let reader = reader.expect("the layout");
                for threshold in [0.0, 0.2, 0.4, 0.6] {
                    let wanted = decoded(&reader, std::slice::from_ref(&whole), threshold);
                    let found = decoded(&decoder(classes, labelling.clone()), &heads, threshold);
                    assert_eq!(found, wanted, "{classes} classes from {threshold}");
                    assert!(threshold > 0.4 || !found.is_empty(), "nothing was compared");
                }
            }
        }
    }

    #[test]
    fn ties_take_the_lower_class() {
        let outputs = outputs(0, 0, [&CELL, &[1.0], &[0.0, 1.0, 1.0]]);
        assert_eq!(best(&outputs, 3, 0.5)[0].class, 1);
    }

    #[test]
    fn threshold_is_inclusive() {
        for (objectness, class) in [(-4.0, ALWAYS), (ALWAYS, -0.3), (0.0, 2.0), (2.0, 0.0)] {
            let outputs = outputs(0, 3, [&CELL, &[objectness], &[class]]);
            let score = sigmoid(objectness) * sigmoid(class);
            assert_eq!(best(&outputs, 1, score).len(), 1, "{objectness}, {class}");
            assert_eq!(best(&outputs, 1, score + 1e-6), [], "{objectness}, {class}");
        }
        let all = outputs(0, 0, [&CELL, &[0.0], &[0.0]]);
        assert_eq!(
            best(&all, 1, 0.0).len(),
            10,
            "a threshold of 0 takes every cell"
        );
    }

    #[test]
    fn nan_scores_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for (objectness, class) in [(broken, 1.0), (1.0, broken)] {
                for threshold in [0.0, 0.1] {
                    let outputs = outputs(0, 5, [&CELL, &[objectness], &[class]]);
                    let at_the_cell = |d: &Detection| d.bbox == BBox::new(16.0, 16.0, 32.0, 32.0);
                    assert!(!best(&outputs, 1, threshold).iter().any(at_the_cell));
                }
            }
        }
        let outputs = outputs(0, 0, [&CELL, &[ALWAYS], &[f32::NAN, 1.0]]);
        let found = best(&outputs, 2, 0.5);
        assert_eq!(found[0].class, 1, "NaN does not hide another class");
    }

    #[test]
    fn boxes_without_end_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for field in 0..4 {
                let mut sides = CELL;
                sides[field] = broken;
                let outputs = outputs(0, 0, [&sides, &[1.0], &[1.0]]);
                assert_eq!(best(&outputs, 1, 0.5), []);
            }
        }
    }

    #[test]
    fn refuses_other_shapes() {
        let new = |specs: &[TensorSpec]| {
            let decoder = YoloxHeads::new(&STRIDES, INPUT, 2, specs, Labelling::Best);
            decoder.err().map(|error| error.to_string())
        };
        assert_eq!(new(&specs(2)), None);
        let mut other = specs(2);
        other[4] = f32_spec("obj", &[1, 2, 1, 2]);
        assert_eq!(
            new(&other).as_deref(),
            Some("output obj has shape [1, 2, 1, 2], expected [1, 1, 1, 2] (stride 32 over 64x32)")
        );
        let missing = new(&specs(2)[3..]).expect("a stride is missing");
        assert!(
            missing.ends_with(
                "expected [1, 4, rows, columns] and [1, 1, rows, columns] and [1, 2, rows, columns] for each of the strides [16, 32]"
            ),
            "{missing}"
        );
        assert!(new(&specs(5)).is_some(), "another number of classes");
    }

    #[test]
    fn an_error_leaves_what_was_found_as_it_was() {
        let mut outputs = outputs(0, 0, [&CELL, &[1.0], &[1.0]]);
        outputs[5] = Tensor::f32("head", [1, 1, 2, 2], vec![0.0; 4]);
        let mut found = Vec::new();
        let decoder = decoder(1, Labelling::Best);
        assert!(decoder.decode(&outputs, 0.5, &mut found).is_err());
        assert_eq!(found, []);
    }

    #[test]
    fn empty_head_decodes_to_nothing() {
        let decoder = YoloxHeads::new(&[], INPUT, 0, &[], Labelling::Best).expect("no heads");
        assert_eq!(decoded(&decoder, &[], 0.0), []);
    }
}
