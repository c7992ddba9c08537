//! YOLOv5 head without its decoding. For every stride one f32 output `[1, anchors, rows, columns, 5 + classes]` or
//! `[1, anchors x (5 + classes), rows, columns]`; the numbers of an anchor are x, y, width, height, objectness and one
//! a class.
//!
//! All go through a sigmoid, unless the graph has done that. Score = objectness x class. Box: centre = (2 x - 0.5 +
//! column) x stride, width = (2 width)^2 x that of the anchor; rows and heights alike. Also YOLOv7.

use super::AnchorBoxes;
use crate::base::detection::Detection;
use crate::base::geometry::{BBox, Size};
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::candidates::{ROW_FIELDS, least_raw_score, push, sigmoid};
use crate::families::decoding::output::{Dim, Output, with_classes};
use crate::families::decoding::{DecodeError, Decoder, Labelling};

pub(crate) struct Yolov5Raw {
    levels: Vec<Level>,
    /// The graph has a sigmoid.
    activated: bool,
    labelling: Labelling,
}

/// The output of one stride.
struct Level {
    output: Output,
    anchors: AnchorBoxes,
}

impl Yolov5Raw {
    /// Levels in the order of the outputs. `classes` of 0: as many as the outputs have.
    pub fn new(
        levels: &[AnchorBoxes],
        activated: bool,
        input: Size,
        classes: usize,
        outputs: &[TensorSpec],
        labelling: Labelling,
    ) -> Result<Self, DecodeError> {
        if levels.len() != outputs.len() {
            return Err(DecodeError::Outputs {
                found: outputs.to_vec(),
                expected: format!("{}, one for each stride", levels.len()),
            });
        }
        let level = |(index, (level, spec)): (usize, (&AnchorBoxes, &TensorSpec))| {
            let cells = |side: u32| side.div_ceil(level.stride.max(1)) as usize;
            let (rows, columns) = (cells(input.height), cells(input.width));
            let anchors = level.sizes.len();
            let width = Dim::fields_and(ROW_FIELDS, classes);
            let together = match classes {
                0 => Dim::AtLeast(anchors * (ROW_FIELDS + 1)),
                _ => Dim::Is(anchors * (ROW_FIELDS + classes)),
            };
            let apart = spec.dims.len() == 5;
            let wanted: &[Dim] = if apart {
                &[
                    Dim::Is(1),
                    Dim::Is(anchors),
                    Dim::Is(rows),
                    Dim::Is(columns),
                    width,
                ]
            } else {
                &[Dim::Is(1), together, Dim::Is(rows), Dim::Is(columns)]
            };
            let width = with_classes(ROW_FIELDS, classes);
            let expected = if apart {
                format!("[1, {anchors}, {rows}, {columns}, {width}]")
            } else {
                format!("[1, {anchors} x ({width}), {rows}, {columns}]")
            };
            Ok(Level {
                output: Output::at(index, spec, wanted, &expected)?,
                anchors: level.clone(),
            })
        };
        let levels = levels.iter().zip(outputs).enumerate().map(level);
        Ok(Self {
            levels: levels.collect::<Result<_, _>>()?,
            activated,
            labelling,
        })
    }

    fn activation(&self, value: f32) -> f32 {
        if self.activated {
            value
        } else {
            sigmoid(value)
        }
    }

    fn decode_level(
        &self,
        anchors: &AnchorBoxes,
        map: &Map,
        threshold: f32,
        found: &mut Vec<Detection>,
    ) {
        let least = match self.activated {
            true => threshold,
            false => least_raw_score(threshold),
        };
        let stride = anchors.stride as f32;
        for (anchor, &[width, height]) in anchors.sizes.iter().enumerate() {
            for cell in 0..map.rows * map.columns {
                let raw = |field: usize| map.number(anchor, cell, field);
                let objectness = raw(4);
                // Probabilities are at most 1, so the product is no higher. NaN is not at least the threshold either.
                if !(objectness.is_finite() && objectness >= least) {
                    continue;
                }
                let number = |field: usize| self.activation(raw(field));
                let centre =
                    |field: usize, cell: usize| (2.0 * number(field) - 0.5 + cell as f32) * stride;
                let side = |field: usize, side: f32| (2.0 * number(field)).powi(2) * side;
                let scores = (ROW_FIELDS..map.fields).map(|field| self.score(raw(field)));
                self.labelling
                    .choose(scores, number(4), threshold, |class, score| {
                        let bbox = BBox::from_centre(
                            centre(0, cell % map.columns),
                            centre(1, cell / map.columns),
                            side(2, width),
                            side(3, height),
                        );
                        push(found, bbox, class, score);
                    });
            }
        }
    }

    /// NaN where the number is not finite: a sigmoid would hide that.
    fn score(&self, raw: f32) -> f32 {
        if raw.is_finite() {
            self.activation(raw)
        } else {
            f32::NAN
        }
    }
}

/// The numbers of one output, whichever its order.
struct Map<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    /// Numbers of an anchor.
    fields: usize,
    /// The numbers of an anchor lie side by side.
    apart: bool,
}

impl<'a> Map<'a> {
    fn new(values: &'a [f32], dims: &[usize], anchors: usize) -> Option<Self> {
        let (fields, rows, columns, apart) = match *dims {
            [_, _, rows, columns, fields] => (fields, rows, columns, true),
            [_, together, rows, columns] if together.is_multiple_of(anchors) => {
                (together / anchors, rows, columns, false)
            }
            _ => return None,
        };
        Some(Self {
            values,
            rows,
            columns,
            fields,
            apart,
        })
    }

    fn number(&self, anchor: usize, cell: usize, field: usize) -> f32 {
        let cells = self.rows * self.columns;
        if self.apart {
            self.values[(anchor * cells + cell) * self.fields + field]
        } else {
            self.values[(anchor * self.fields + field) * cells + cell]
        }
    }
}

impl Decoder for Yolov5Raw {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        // Read all before the first is decoded: an error must leave `found` as it was.
        let mut maps = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            let (values, dims) = level.output.read(outputs)?;
            let anchors = level.anchors.sizes.len().max(1);
            let map = Map::new(values, dims, anchors).ok_or_else(|| {
                let expected = format!("as many numbers for each of {anchors} anchors");
                crate::families::decoding::output::shape_error("of a stride", dims, &expected)
            })?;
            maps.push((&level.anchors, map));
        }
        for (anchors, map) in &maps {
            self.decode_level(anchors, map, score_threshold, found);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::decoding::testing::{decoded, f32_spec};

    /// 2 x 1 cells of 16, one of 32.
    const INPUT: Size = Size::new(32, 16);

    fn levels() -> [AnchorBoxes; 2] {
        [
            AnchorBoxes {
                stride: 16,
                sizes: vec![[8.0, 4.0], [16.0, 32.0]],
            },
            AnchorBoxes {
                stride: 32,
                sizes: vec![[40.0, 20.0], [60.0, 10.0]],
            },
        ]
    }

    /// `[1, 2, 1, 2, 7]`, `[1, 2, 1, 1, 7]`, or with anchors and numbers in one axis.
    fn specs(apart: bool) -> [TensorSpec; 2] {
        [2, 1].map(|columns| {
            let apart_dims = [1, 2, 1, columns, 7];
            let together = [1, 14, 1, columns];
            let dims: &[usize] = if apart { &apart_dims } else { &together };
            f32_spec("out", dims)
        })
    }

    fn decoder(apart: bool, activated: bool) -> Yolov5Raw {
        let specs = specs(apart);
        Yolov5Raw::new(&levels(), activated, INPUT, 2, &specs, Labelling::Best).expect("the layout")
    }

    /// All silent but one anchor of one cell of the first stride.
    fn outputs(apart: bool, anchor: usize, cell: usize, numbers: [f32; 7]) -> [Tensor; 2] {
        let mut values = [vec![-20.0; 28], vec![-20.0; 14]];
        for (field, number) in numbers.into_iter().enumerate() {
            let at = if apart {
                (anchor * 2 + cell) * 7 + field
            } else {
                (anchor * 7 + field) * 2 + cell
            };
            values[0][at] = number;
        }
        let specs = specs(apart);
        let mut index = 0;
        values.map(|values| {
            index += 1;
            Tensor::f32("out", specs[index - 1].dims.clone(), values)
        })
    }

    fn assert_one(found: &[Detection], bbox: [f32; 4], class: u32, score: f32) {
        let [one] = found else { panic!("{found:?}") };
        let met = [one.bbox.x1, one.bbox.y1, one.bbox.x2, one.bbox.y2];
        let near = met.iter().zip(bbox).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(near && (one.score - score).abs() < 1e-6, "{one:?}");
        assert_eq!(one.class, class);
    }

    #[test]
    fn boxes_are_sigmoids_in_a_grid_with_anchors() {
        // Sigmoids of 0.5 and, for ln 3, of 0.75: the middle of the cell, once and 2.25 times the anchor.
        let ln3 = 3.0_f32.ln();
        let numbers = [0.0, 0.0, 0.0, ln3, ln3, -ln3, ln3];
        for apart in [true, false] {
            let decoder = decoder(apart, false);
            let found = decoded(&decoder, &outputs(apart, 0, 1, numbers), 0.5);
            assert_one(&found, [20.0, 3.5, 28.0, 12.5], 1, 0.5625);
            let found = decoded(&decoder, &outputs(apart, 1, 0, numbers), 0.5);
            assert_one(&found, [0.0, -28.0, 16.0, 44.0], 1, 0.5625);
        }
    }

    #[test]
    fn a_sigmoid_in_the_graph_is_not_done_again() {
        let mut outputs = outputs(true, 0, 0, [0.5, 0.5, 0.5, 0.5, 0.8, 1.0, 0.0]);
        for tensor in &mut outputs {
            let crate::base::tensor::TensorData::F32(values) = &mut tensor.data else {
                panic!("floats")
            };
            values
                .iter_mut()
                .filter(|v| **v < 0.0)
                .for_each(|v| *v = 0.0);
        }
        let found = decoded(&decoder(true, true), &outputs, 0.5);
        assert_one(&found, [4.0, 6.0, 12.0, 10.0], 0, 0.8);
    }

    #[test]
    fn numbers_that_are_not_finite_are_never_detections() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for field in [4, 5] {
                let mut numbers = [0.0, 0.0, 0.0, 0.0, 9.0, 9.0, -9.0];
                numbers[field] = broken;
                let found = decoded(&decoder(true, false), &outputs(true, 0, 0, numbers), 0.5);
                assert_eq!(found, [], "{field} {broken}");
            }
        }
        let numbers = [f32::NAN, 0.0, 0.0, 0.0, 9.0, 9.0, -9.0];
        let found = decoded(&decoder(true, false), &outputs(true, 0, 0, numbers), 0.5);
        assert_eq!(found, []);
    }

    #[test]
    fn refuses_other_shapes() {
        let new = |specs: &[TensorSpec], classes| {
            let decoder = Yolov5Raw::new(&levels(), false, INPUT, classes, specs, Labelling::Best);
            decoder.err().map(|error| error.to_string())
        };
        for apart in [true, false] {
            assert_eq!(new(&specs(apart), 2), None);
            assert_eq!(new(&specs(apart), 0), None);
            assert!(new(&specs(apart), 3).is_some());
            assert!(new(&specs(apart)[..1], 2).is_some());
        }
        let error = new(&specs(false), 3).unwrap_or_default();
        assert!(error.contains("expected [1, 2 x (5 + 3), 1, 2]"), "{error}");
        let uneven = [2, 1].map(|columns| f32_spec("out", &[1, 15, 1, columns]));
        assert_eq!(new(&uneven, 0), None, "seen at the run");
        let decoder = Yolov5Raw::new(&levels(), false, INPUT, 0, &uneven, Labelling::Best);
        let tensors = [2, 1].map(|n| Tensor::f32("out", [1, 15, 1, n], vec![0.0; 15 * n]));
        let error = decoder.map(|d| d.decode(&tensors, 0.5, &mut Vec::new()));
        assert!(matches!(error, Ok(Err(_))));
    }
}
