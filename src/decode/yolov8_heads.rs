//! Raw heads of YOLOv8, where the graph ends before it makes boxes of them. Two f32 outputs for every stride, in the
//! order of the strides: sides `[1, 4 x bins, rows, columns]`, then classes `[1, classes, rows, columns]`. Also YOLOv9,
//! v11, v12, and YOLO26 with one bin.
//!
//! A score is the sigmoid of a class; no objectness. A side, of left, top, right, bottom, is the mean distance of the
//! softmax over its bins, or its only number, times the stride, in input pixels from the middle of the cell.
//!
//! The classes are compared before the sigmoid with what gives the threshold; all else is done for the few above.

use super::candidates::{least_raw_score, push, sigmoid};
use super::gfl::mean_bin;
use super::output::{Dim, Output};
use super::yolov8::{BLOCK, highest_scores};
use super::{DecodeError, Decoder, Labelling};
use crate::detection::Detection;
use crate::geometry::{BBox, Size};
use crate::tensor::{Tensor, TensorSpec};

const SIDES: usize = 4;

pub(super) struct Yolov8Heads {
    levels: Vec<Level>,
    bins: usize,
    labelling: Labelling,
}

struct Level {
    stride: u32,
    sides: Output,
    classes: Output,
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
        if bins == 0 || strides.contains(&0) || outputs.len() != 2 * strides.len() {
            return Err(DecodeError::Outputs {
                found: outputs.to_vec(),
                expected: format!(
                    "[1, {}, rows, columns] and [1, classes, rows, columns] for each of the strides {strides:?}",
                    SIDES * bins
                ),
            });
        }
        let mut levels = Vec::with_capacity(strides.len());
        for (level, &stride) in strides.iter().enumerate() {
            let (columns, rows) = (input.width.div_ceil(stride), input.height.div_ceil(stride));
            let output = |index: usize, channels: Dim, text: String| {
                let map = [Dim::Is(rows as usize), Dim::Is(columns as usize)];
                let wanted = [Dim::Is(1), channels, map[0], map[1]];
                let expected =
                    format!("[1, {text}, {rows}, {columns}] (stride {stride} over {input})");
                Output::at(index, &outputs[index], &wanted, &expected)
            };
            let text = match classes {
                0 => "classes".into(),
                _ => classes.to_string(),
            };
            levels.push(Level {
                stride,
                sides: output(2 * level, Dim::Is(SIDES * bins), (SIDES * bins).to_string())?,
                classes: output(2 * level + 1, Dim::fields_and(0, classes), text)?,
            });
        }
        Ok(Self {
            levels,
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
        // Read all before the first is decoded: an error must leave `found` as it was.
        let mut maps = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            let (sides, _) = level.sides.read(outputs)?;
            let (classes, dims) = level.classes.read(outputs)?;
            maps.push(Maps {
                stride: level.stride as f32,
                columns: dims[3],
                area: dims[2] * dims[3],
                sides,
                classes,
            });
        }
        for maps in maps {
            maps.decode(self.bins, &self.labelling, score_threshold, found);
        }
        Ok(())
    }
}

/// The numbers of one stride of one run, channel by channel.
struct Maps<'a> {
    stride: f32,
    columns: usize,
    /// Numbers of one channel.
    area: usize,
    sides: &'a [f32],
    classes: &'a [f32],
}

impl Maps<'_> {
    fn decode(
        &self,
        bins: usize,
        labelling: &Labelling,
        threshold: f32,
        found: &mut Vec<Detection>,
    ) {
        let least = least_raw_score(threshold);
        for start in (0..self.area).step_by(BLOCK) {
            let end = self.area.min(start + BLOCK);
            let highest = highest_scores(self.classes, self.area, start, end);
            for cell in (start..end).filter(|cell| highest[cell - start] >= least) {
                let raw = self.classes[cell..].iter().step_by(self.area);
                let scores = raw.map(|&raw| {
                    if raw.is_finite() {
                        sigmoid(raw)
                    } else {
                        f32::NAN
                    }
                });
                labelling.choose(scores, 1.0, threshold, |class, score| {
                    push(found, self.bbox(cell, bins), class, score);
                });
            }
        }
    }

    fn bbox(&self, cell: usize, bins: usize) -> BBox {
        let side = |side: usize| {
            let numbers = self.sides[side * bins * self.area + cell..].iter();
            let mut numbers = numbers.step_by(self.area).take(bins).copied();
            match bins {
                1 => numbers.next().unwrap_or(f32::NAN) * self.stride,
                _ => mean_bin(numbers) * self.stride,
            }
        };
        let x = ((cell % self.columns) as f32 + 0.5) * self.stride;
        let y = ((cell / self.columns) as f32 + 0.5) * self.stride;
        BBox::new(x - side(0), y - side(1), x + side(2), y + side(3))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{decoded, detection, f32_spec};
    use super::*;

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
