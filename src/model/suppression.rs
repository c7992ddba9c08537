//! Proves that a graph suppresses as detect does, so that it can end before.
//!
//! Candidates are drawn by lot: groups of boxes that overlap, and scores of which some pass. What the graph makes of them,
//! read by the decoder of its family, must be what detect makes of the same candidates: the same boxes, classes and
//! scores, no more and no less. Several draws must agree. What does not come out equal stays in the graph.

use crate::base::detection::Detection;
use crate::base::geometry::{BBox, Size};
use crate::base::tensor::{InputSpec, Tensor, TensorSpec};
use crate::families::boxes_scores::{BoxesScores, BoxesScoresPlaces};
use crate::families::{DecoderInput, Family, Labelling};
use crate::onnx::infer::Inference;
use crate::onnx::proto::{GraphProto, NodeProto};
use crate::onnx::rewrite::cut_suppression::{self, Suppression};
use crate::onnx::rewrite::{Cell, Ending};
use crate::vision::nms;

/// Draws that must all agree.
const DRAWS: u64 = 2;

/// Most groups of overlapping boxes of one draw: fewer boxes remain than any exporter keeps.
const GROUPS: usize = 8;

/// Boxes of a group.
const EACH: usize = 3;

/// Scores that pass are above this, others below a tenth of it: more than any threshold that exporters write into a graph.
const PASSES: f32 = 0.7;

/// An overlap as close to the threshold as this proves nothing, because rounding may decide.
const MARGIN: f32 = 0.01;

/// A suppression that was proved to be like ours.
pub struct Proved {
    /// Where the graph is cut.
    pub suppression: Suppression,
    /// How the candidates are decoded.
    pub family: Box<dyn Family>,
    /// Whether a candidate is reported as every class that passes.
    pub every_class: bool,
    /// The table that boxes and scores are parts of, if there is one.
    pub table: Option<String>,
}

/// The end of a graph whose table has corners where that of the other has centre and size.
pub struct InCorners<'a>(pub &'a dyn Ending);

impl Ending for InCorners<'_> {
    fn axis(&self) -> usize {
        self.0.axis()
    }

    fn orders(&self) -> &[&[usize]] {
        self.0.orders()
    }

    fn fields(&self, channels: &[usize]) -> Option<usize> {
        self.0.fields(channels)
    }

    fn in_pixels(&self) -> usize {
        self.0.in_pixels()
    }

    fn candidate(&self, cell: &Cell) -> Vec<f32> {
        let mut numbers = self.0.candidate(cell);
        if let [x, y, width, height, ..] = numbers[..] {
            let corners = BBox::from_centre(x, y, width, height);
            numbers[..4].copy_from_slice(&[corners.x1, corners.y1, corners.x2, corners.y2]);
        }
        numbers
    }

    fn accepts(&self, strides: &[u32], channels: &[usize]) -> bool {
        self.0.accepts(strides, channels)
    }

    fn computes(&self, node: &NodeProto, shapes: &Inference) -> bool {
        self.0.computes(node, shapes)
    }
}

/// Finds the suppression of a graph that is read as `family`, if the graph suppresses as detect does.
pub fn prove(
    graph: &GraphProto,
    read: &[String],
    opset: i64,
    family: &dyn Family,
    input: &InputSpec,
) -> Option<Proved> {
    let found = cut_suppression::find(graph, read, opset, input);
    found.into_iter().find_map(|suppression| {
        if !(0.05..=0.95).contains(&suppression.iou) {
            return None;
        }
        let trial = Trial {
            suppression: &suppression,
            family,
            size: input.size,
        };
        let every_class = [false, true]
            .into_iter()
            .find(|every| (0..DRAWS).all(|draw| trial.agrees(draw, *every)))?;
        Some(Proved {
            family: Box::new(trial.candidates()),
            every_class,
            table: cut_suppression::table(graph, opset, input, &suppression),
            suppression,
        })
    })
}

struct Trial<'a> {
    suppression: &'a Suppression,
    family: &'a dyn Family,
    size: Size,
}

impl Trial<'_> {
    /// The family of the graph that ends at the candidates.
    fn candidates(&self) -> BoxesScores {
        BoxesScores {
            places: BoxesScoresPlaces {
                boxes: 0,
                scores: 1,
            },
            by_class: self.suppression.by_class,
        }
    }

    /// Whether graph and detect make the same of the candidates of one draw.
    fn agrees(&self, draw: u64, every_class: bool) -> bool {
        let suppression = self.suppression;
        let Some((boxes, scores)) = drawn(suppression, self.size, draw) else {
            return false;
        };
        let run = suppression.run(boxes.clone(), scores.clone());
        let by_graph = run.and_then(|outputs| self.decoded(self.family, &outputs, Labelling::Best));
        let names = suppression.names().into_iter().zip(suppression.dims());
        let candidates: Vec<Tensor> = (names.zip([boxes, scores]))
            .map(|((name, dims), numbers)| Tensor::f32(name, dims, numbers))
            .collect();
        let labelling = match every_class {
            true => Labelling::Every,
            false => Labelling::Best,
        };
        let ours = self.decoded(&self.candidates(), &candidates, labelling);
        let (Some(by_graph), Some(mut ours)) = (by_graph, ours) else {
            return false;
        };
        nms::suppress(&mut ours, suppression.iou, usize::MAX);
        self.are_same(by_graph, ours)
    }

    /// Detections of outputs read as `family`; `None` if they are not those of the family.
    fn decoded(
        &self,
        family: &dyn Family,
        outputs: &[Tensor],
        labelling: Labelling,
    ) -> Option<Vec<Detection>> {
        let specs: Vec<TensorSpec> = outputs.iter().map(Tensor::spec).collect();
        let decoder = family.decoder(DecoderInput {
            input: self.size,
            classes: 0,
            outputs: &specs,
            labelling,
        });
        let mut found = Vec::new();
        decoder
            .ok()?
            .decode(outputs, PASSES / 2.0, &mut found)
            .ok()?;
        Some(found)
    }

    fn are_same(&self, by_graph: Vec<Detection>, mut ours: Vec<Detection>) -> bool {
        let pixel = 1e-4 * self.size.width.max(self.size.height) as f32;
        let near = |a: &BBox, b: &BBox| {
            let sides = |b: &BBox| [b.x1, b.y1, b.x2, b.y2];
            let mut pairs = sides(a).into_iter().zip(sides(b));
            pairs.all(|(a, b)| (a - b).abs() <= pixel)
        };
        let all_found = by_graph.iter().all(|found| {
            let same = ours.iter().position(|own| {
                own.class == found.class
                    && (own.score - found.score).abs() <= 1e-5
                    && near(&own.bbox, &found.bbox)
            });
            same.map(|place| ours.swap_remove(place)).is_some()
        });
        all_found && !by_graph.is_empty() && ours.is_empty()
    }
}

/// The generator of Knuth's MMIX; its upper bits.
struct Lot(u64);

impl Lot {
    /// A number from 0 to 1.
    fn share(&mut self) -> f32 {
        self.0 = (self.0)
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 24) as f32
    }

    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.share()
    }

    fn below(&mut self, count: usize) -> usize {
        ((self.share() * count as f32) as usize).min(count.saturating_sub(1))
    }
}

/// Boxes and scores of all candidates; `None` if there are too few for a proof.
fn drawn(suppression: &Suppression, size: Size, draw: u64) -> Option<(Vec<f32>, Vec<f32>)> {
    let (n, classes) = (suppression.candidates, suppression.classes);
    let groups = (n / (2 * EACH)).min(GROUPS);
    if groups == 0 {
        return None;
    }
    let mut lot = Lot(draw + 1);
    let mut boxes = Vec::with_capacity(4 * n);
    for _ in 0..n {
        boxes.extend(sides(&mut lot, size, [0.5, 0.5], 0.2));
    }
    let mut scores: Vec<f32> = (0..n * classes)
        .map(|_| lot.between(0.0, PASSES / 10.0))
        .collect();
    // Candidates far apart in the order of the head.
    let step = n / (groups * EACH);
    let (mut passing, mut rank): (Vec<BBox>, usize) = (Vec::new(), 0);
    for group in 0..groups {
        let middle = [lot.between(0.2, 0.8), lot.between(0.2, 0.8)];
        let class = lot.below(classes);
        for member in 0..EACH {
            let row = clear_of(&passing, suppression.iou, || {
                sides(&mut lot, size, middle, 0.1)
            })?;
            passing.push(BBox::new(row[0], row[1], row[2], row[3]));
            let place = (group * EACH + member) * step;
            boxes[place * 4..][..4].copy_from_slice(&row);
            // Now and then another class, and a second one that passes as well.
            let own = if member == 1 {
                lot.below(classes)
            } else {
                class
            };
            let mut score = |class: usize, value: f32| {
                let index = match suppression.by_class {
                    true => class * n + place,
                    false => place * classes + class,
                };
                scores[index] = value;
            };
            // No two are equal.
            rank += 1;
            let share = (rank * 7 % 53) as f32 / 53.0;
            if member == 2 && classes > 1 {
                score((own + 1) % classes, PASSES + 0.1 * share);
            }
            score(own, PASSES + 0.15 + 0.1 * share);
        }
    }
    Some((boxes, scores))
}

/// Corners of a box around a point that is given in shares of the input, as is how far it may lie from there.
fn sides(lot: &mut Lot, size: Size, middle: [f32; 2], away: f32) -> [f32; 4] {
    let [x, y] = middle.map(|m| m + lot.between(-away / 2.0, away / 2.0));
    let [w, h] = [0.0; 2].map(|_: f32| lot.between(0.15, 0.3));
    let (width, height) = (size.width as f32, size.height as f32);
    [
        (x - w / 2.0) * width,
        (y - h / 2.0) * height,
        (x + w / 2.0) * width,
        (y + h / 2.0) * height,
    ]
}

/// Draws until a box's overlap with none of the others is close to the threshold.
fn clear_of(others: &[BBox], iou: f32, mut draw: impl FnMut() -> [f32; 4]) -> Option<[f32; 4]> {
    let clear = |row: &[f32; 4]| {
        let own = BBox::new(row[0], row[1], row[2], row[3]);
        let mut overlaps = others.iter().map(|other| other.iou(&own));
        overlaps.all(|overlap| (overlap - iou).abs() > MARGIN)
    };
    std::iter::repeat_with(&mut draw).take(1000).find(clear)
}

#[cfg(test)]
mod tests;
