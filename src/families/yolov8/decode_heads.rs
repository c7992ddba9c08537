//! Raw heads of YOLOv8, where the graph ends before it makes boxes of them. Two f32 outputs for every stride, in the
//! order of the strides: sides `[1, 4 x bins, rows, columns]`, then classes `[1, classes, rows, columns]`. Also YOLOv9,
//! v11, v12, and YOLO26 with one bin.
//!
//! A score is the sigmoid of a class; no objectness. A side, of left, top, right, bottom, is the mean distance of the
//! softmax over its bins, or its only number, times the stride, in input pixels from the middle of the cell.
//!
//! The classes are compared before the sigmoid with what gives the threshold; all else is done for the few above.

use crate::base::detection::Detection;
use crate::base::geometry::{BBox, Size};
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::{
    BLOCK, highest_scores, least_raw_score, probability, push,
};
use crate::families::decoding::distribution::mean_bin;
use crate::families::decoding::maps::{Channels, Level, Maps, levels, read};
use crate::families::decoding::{DecodeError, Decoder, Labelling};

const SIDES: usize = 4;

/// Places of the heads of a level.
const BINS: usize = 0;
const CLASSES: usize = 1;

pub(crate) struct Yolov8Heads {
    levels: Vec<Level<2>>,
    bins: usize,
    labelling: Labelling,
}

impl Yolov8Heads {
    /// `classes` of 0: as many as the outputs have.
    pub fn new(
        strides: &[u32],
        bins: usize,
        input: Size,
        classes: usize,
        outputs: &[TensorSpec],
        labelling: Labelling,
    ) -> Result<Self, DecodeError> {
        let channels = [Channels::exactly(SIDES * bins), Channels::classes(classes)];
        Ok(Self {
            levels: levels(strides, &channels, input, outputs)?,
            bins,
            labelling,
        })
    }
}

impl Decoder for Yolov8Heads {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        for maps in read(&self.levels, outputs)? {
            decode(&maps, self.bins, &self.labelling, score_threshold, found);
        }
        Ok(())
    }
}

fn decode(
    maps: &Maps<2>,
    bins: usize,
    labelling: &Labelling,
    threshold: f32,
    found: &mut Vec<Detection>,
) {
    let least = least_raw_score(threshold);
    for start in (0..maps.area).step_by(BLOCK) {
        let end = maps.area.min(start + BLOCK);
        let highest = highest_scores(maps.heads[CLASSES], maps.area, start, end);
        for place in (start..end).filter(|place| highest[place - start] >= least) {
            let scores = maps.numbers(CLASSES, place).map(probability);
            labelling.choose(scores, 1.0, threshold, |class, score| {
                push(found, bbox(maps, place, bins), class, score);
            });
        }
    }
}

fn bbox(maps: &Maps<2>, place: usize, bins: usize) -> BBox {
    let cell = maps.cell(place);
    let side = |side: usize| {
        let mut numbers = maps.numbers(BINS, place).skip(side * bins).take(bins);
        match bins {
            1 => numbers.next().unwrap_or(f32::NAN) * cell.stride,
            _ => mean_bin(numbers) * cell.stride,
        }
    };
    let (x, y) = ((cell.x + 0.5) * cell.stride, (cell.y + 0.5) * cell.stride);
    BBox::new(x - side(0), y - side(1), x + side(2), y + side(3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::decoding::candidates::sigmoid;
    use crate::families::decoding::testing::{decoded, detection, f32_spec};

    /// 4 x 2 cells of 16, 2 x 1 of 32.
    const INPUT: Size = Size::new(64, 32);
    const STRIDES: [u32; 2] = [16, 32];
    const MAPS: [[usize; 2]; 2] = [[2, 4], [1, 2]];
    /// Softmax leaves all to the bin that has it.
    const ALL: f32 = 1000.0;
    const NEVER: f32 = -1000.0;

    fn specs(bins: usize, classes: usize) -> Vec<TensorSpec> {
        let pair = |[rows, columns]: [usize; 2]| {
            [SIDES * bins, classes].map(|channels| f32_spec("head", &[1, channels, rows, columns]))
        };
        MAPS.into_iter().flat_map(pair).collect()
    }

    fn decoder(bins: usize, classes: usize, labelling: Labelling) -> Yolov8Heads {
        let specs = specs(bins, classes);
        Yolov8Heads::new(&STRIDES, bins, INPUT, classes, &specs, labelling).expect("the layout")
    }

    /// All cells silent but one of `level`.
    fn outputs(level: usize, cell: usize, sides: &[f32], classes: &[f32]) -> Vec<Tensor> {
        let tensor =
            |[rows, columns]: [usize; 2], own: Option<&[f32]>, channels: usize, rest: f32| {
                let mut values = vec![rest; channels * rows * columns];
                for (channel, value) in own.into_iter().flatten().enumerate() {
                    values[channel * rows * columns + cell] = *value;
                }
                Tensor::f32("head", [1, channels, rows, columns], values)
            };
        let pair = |(index, map): (usize, [usize; 2])| {
            let own = |values| (index == level).then_some(values);
            [
                tensor(map, own(sides), sides.len(), 0.0),
                tensor(map, own(classes), classes.len(), NEVER),
            ]
        };
        MAPS.into_iter().enumerate().flat_map(pair).collect()
    }

    /// The numbers of four sides whose distances are whole bins of three.
    fn sides(bins: [usize; SIDES]) -> [f32; 12] {
        let mut fields = [0.0; 12];
        for (side, bin) in bins.into_iter().enumerate() {
            fields[side * 3 + bin] = ALL;
        }
        fields
    }

    fn best(outputs: &[Tensor], classes: usize, threshold: f32) -> Vec<Detection> {
        decoded(&decoder(3, classes, Labelling::Best), outputs, threshold)
    }

    #[test]
    fn distances_are_measured_from_the_middle_of_a_cell() {
        // Cell (2, 1) of stride 16: its middle is (40, 24).
        let outputs = outputs(0, 6, &sides([1, 0, 2, 1]), &[-3.0, 0.0]);
        assert_eq!(
            best(&outputs, 2, 0.5),
            [detection([24.0, 24.0, 72.0, 40.0], 1, 0.5)]
        );
    }

    #[test]
    fn each_stride_has_its_cells() {
        let outputs = outputs(1, 1, &sides([1, 1, 1, 1]), &[0.0]);
        assert_eq!(
            best(&outputs, 1, 0.5),
            [detection([16.0, -16.0, 80.0, 48.0], 0, 0.5)]
        );
    }

    #[test]
    fn a_single_number_is_the_distance() {
        let outputs = outputs(0, 0, &[0.5, -0.25, 1.0, 2.0], &[0.0]);
        let found = decoded(&decoder(1, 1, Labelling::Best), &outputs, 0.5);
        assert_eq!(found, [detection([0.0, 12.0, 24.0, 40.0], 0, 0.5)]);
    }

    #[test]
    fn ties_take_the_lower_class() {
        let outputs = outputs(0, 0, &sides([1; 4]), &[0.0, 1.0, 1.0]);
        assert_eq!(best(&outputs, 3, 0.5)[0].class, 1);
    }

    #[test]
    fn every_class_above_the_threshold_when_asked() {
        let outputs = outputs(0, 0, &sides([1; 4]), &[0.0, -5.0, 1.0]);
        let found = decoded(&decoder(3, 3, Labelling::Every), &outputs, 0.3);
        assert_eq!(found.iter().map(|d| d.class).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn threshold_is_inclusive() {
        for raw in [-4.0_f32, -0.3, 0.0, 2.0] {
            let outputs = outputs(0, 3, &sides([1; 4]), &[raw]);
            let score = sigmoid(raw);
            assert_eq!(best(&outputs, 1, score).len(), 1, "{raw}");
            assert_eq!(best(&outputs, 1, score + 1e-6), [], "{raw}");
        }
        let all = outputs(0, 0, &sides([1; 4]), &[0.0]);
        assert_eq!(
            best(&all, 1, 0.0).len(),
            10,
            "a threshold of 0 takes every cell"
        );
    }

    #[test]
    fn nan_scores_are_never_detections() {
        for score in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for threshold in [0.0, 0.1] {
                let outputs = outputs(0, 0, &sides([1; 4]), &[score]);
                let at_the_cell = |d: &&Detection| d.bbox == BBox::new(-8.0, -8.0, 24.0, 24.0);
                assert_eq!(best(&outputs, 1, threshold).iter().find(at_the_cell), None);
            }
        }
        let outputs = outputs(0, 0, &sides([1; 4]), &[f32::NAN, 1.0]);
        assert_eq!(
            best(&outputs, 2, 0.5)[0].class,
            1,
            "NaN does not hide another class"
        );
    }

    #[test]
    fn boxes_without_end_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for field in 0..12 {
                let mut sides = sides([1; 4]);
                sides[field] = broken;
                assert_eq!(best(&outputs(0, 0, &sides, &[1.0]), 1, 0.5), []);
            }
        }
    }

    #[test]
    fn refuses_other_shapes() {
        let new = |specs: &[TensorSpec]| {
            let decoder = Yolov8Heads::new(&STRIDES, 3, INPUT, 2, specs, Labelling::Best);
            decoder.err().map(|error| error.to_string())
        };
        assert_eq!(new(&specs(3, 2)), None);
        let mut other = specs(3, 2);
        other[3] = f32_spec("cls", &[1, 2, 2, 2]);
        assert_eq!(
            new(&other).as_deref(),
            Some("output cls has shape [1, 2, 2, 2], expected [1, 2, 1, 2] (stride 32 over 64x32)")
        );
        assert!(new(&specs(3, 2)[2..]).is_some(), "a stride is missing");
        assert!(new(&specs(3, 5)).is_some(), "another number of classes");
        assert!(new(&[]).is_some());
    }

    #[test]
    fn empty_head_decodes_to_nothing() {
        let decoder = Yolov8Heads::new(&[], 3, INPUT, 0, &[], Labelling::Best).expect("no heads");
        assert_eq!(decoded(&decoder, &[], 0.0), []);
    }
}
