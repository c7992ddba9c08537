//! Proves that a graph suppresses as detect does, so that it can end before.
//!
//! Candidates are drawn by lot: groups of boxes that overlap, and scores of which some pass. What the graph makes of them,
//! read by the decoder of its family, must be what detect makes of the same candidates: the same boxes, classes and
//! scores, no more and no less. Several draws must agree. What does not come out equal stays in the graph.
//!
//! Exporters suppress in several ways: boxes in pixels or as shares, a background among the scores, every class of a
//! candidate or its best one, each class on its own or all together. Each is tried.

use crate::base::detection::Detection;
use crate::base::geometry::{BBox, Size};
use crate::base::tensor::{InputSpec, Tensor, TensorSpec};
use crate::families::boxes_scores::{BoxesScores, BoxesScoresPlaces};
use crate::families::decoding::{BoxForm, BoxFormat, BoxScale};
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

/// A score of the background, which is higher than any other.
const BACKGROUND: f32 = 0.99;

/// An overlap as close to the threshold as this proves nothing, because rounding may decide.
const MARGIN: f32 = 0.01;

/// A suppression that was proved to be like ours.
pub struct Proved {
    /// Where the graph is cut.
    pub suppression: Suppression,
    /// How the candidates are decoded.
    pub family: Box<dyn Family>,
    /// How detect suppresses among them.
    pub how: How,
    /// The table that boxes and scores are parts of, if there is one.
    pub table: Option<String>,
}

/// How candidates are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct How {
    /// Whether a candidate is reported as every class that passes, not as its best one.
    pub every_class: bool,
    /// Whether boxes of different classes suppress each other.
    pub across: bool,
}

/// The usual way first.
const HOWS: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];

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
    found.into_iter().find_map(|mut suppression| {
        if !(0.05..=0.95).contains(&suppression.iou) {
            return None;
        }
        let trial = Trial {
            suppression: &suppression,
            family,
            size: input.size,
        };
        let mut candidates = trial.candidates().into_iter();
        let (family, how) = candidates.find_map(|own| trial.how(&own).map(|how| (own, how)))?;
        suppression.across = how.across;
        let of_table = family.boxes == BoxesScores::CORNERS && !family.background;
        let table = || cut_suppression::table(graph, opset, input, &suppression);
        Some(Proved {
            table: of_table.then(table).flatten(),
            family: Box::new(family),
            how,
            suppression,
        })
    })
}

struct Trial<'a> {
    suppression: &'a Suppression,
    family: &'a dyn Family,
    size: Size,
}

/// Candidates of one draw, and what the graph makes of them.
struct Run {
    candidates: [Tensor; 2],
    by_graph: Vec<Detection>,
}

impl Trial<'_> {
    /// The families that the graph may be of which ends at the candidates.
    fn candidates(&self) -> Vec<BoxesScores> {
        let places = BoxesScoresPlaces {
            boxes: 0,
            scores: 1,
        };
        let format = match self.suppression.of_centres {
            true => BoxFormat::Centre,
            false => BoxFormat::Corners,
        };
        let several = self.suppression.classes > 1;
        let mut families = Vec::new();
        for background in [false, true] {
            for scale in [BoxScale::Pixels, BoxScale::Shares] {
                families.push(BoxesScores {
                    boxes: BoxForm { format, scale },
                    background,
                    ..BoxesScores::new(places, self.suppression.by_class)
                });
            }
        }
        families.retain(|family| several || !family.background);
        families
    }

    /// How detect makes of such candidates what the graph makes of them.
    fn how(&self, family: &BoxesScores) -> Option<How> {
        let mut left = HOWS.to_vec();
        let how = |(every_class, across)| How {
            every_class,
            across,
        };
        for draw in 0..DRAWS {
            let run = self.run(family, draw)?;
            left.retain(|own| self.agrees(family, &run, how(*own)));
            if left.is_empty() {
                return None;
            }
        }
        left.first().copied().map(how)
    }

    fn run(&self, family: &BoxesScores, draw: u64) -> Option<Run> {
        let suppression = self.suppression;
        let (boxes, scores) = drawn(suppression, family, self.size, draw)?;
        let outputs = suppression.run(boxes.clone(), scores.clone())?;
        let by_graph = self.decoded(self.family, &outputs, Labelling::Best)?;
        let [boxes_name, scores_name] = suppression.names();
        let [boxes_dims, scores_dims] = suppression.dims();
        let candidates = [
            Tensor::f32(boxes_name, boxes_dims, boxes),
            Tensor::f32(scores_name, scores_dims, scores),
        ];
        Some(Run {
            candidates,
            by_graph,
        })
    }

    /// Whether graph and detect make the same of the candidates of one draw.
    fn agrees(&self, family: &BoxesScores, run: &Run, how: How) -> bool {
        let labelling = Labelling::new(how.every_class, None);
        let Some(mut ours) = self.decoded(family, &run.candidates, labelling) else {
            return false;
        };
        let suppress = match how.across {
            true => nms::suppress_across_classes,
            false => nms::suppress,
        };
        suppress(&mut ours, self.suppression.iou, usize::MAX);
        self.are_same(&run.by_graph, ours)
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

    fn are_same(&self, by_graph: &[Detection], mut ours: Vec<Detection>) -> bool {
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

/// Boxes and scores of all candidates, as `family` writes them; `None` if there are too few for a proof.
fn drawn(
    suppression: &Suppression,
    family: &BoxesScores,
    size: Size,
    draw: u64,
) -> Option<(Vec<f32>, Vec<f32>)> {
    let (n, classes) = (suppression.candidates, suppression.classes);
    let groups = (n / (2 * EACH)).min(GROUPS);
    if groups == 0 {
        return None;
    }
    let first = usize::from(family.background);
    let mut lot = Lot(draw + 1);
    let mut boxes: Vec<[f32; 4]> = (0..n)
        .map(|_| sides(&mut lot, size, [0.5, 0.5], 0.2))
        .collect();
    let mut scores: Vec<f32> = (0..n * classes)
        .map(|_| lot.between(0.0, PASSES / 10.0))
        .collect();
    // Candidates far apart in the order of the head.
    let step = n / (groups * EACH);
    let (mut passing, mut rank): (Vec<BBox>, usize) = (Vec::new(), 0);
    for group in 0..groups {
        let middle = [lot.between(0.2, 0.8), lot.between(0.2, 0.8)];
        let class = first + lot.below(classes - first);
        for member in 0..EACH {
            let row = clear_of(&passing, suppression.iou, || {
                sides(&mut lot, size, middle, 0.1)
            })?;
            passing.push(BBox::new(row[0], row[1], row[2], row[3]));
            let place = (group * EACH + member) * step;
            boxes[place] = row;
            // Now and then another class, and a second one that passes as well.
            let own = if member == 1 {
                first + lot.below(classes - first)
            } else {
                class
            };
            let mut score = |class: usize, value: f32| {
                scores[suppression.place_of_score(place, class)] = value;
            };
            // No two are equal.
            rank += 1;
            let share = (rank * 7 % 53) as f32 / 53.0;
            if member == 2 && classes > first + 1 {
                let next = first + (own - first + 1) % (classes - first);
                score(next, PASSES + 0.1 * share);
            }
            score(own, PASSES + 0.15 + 0.1 * share);
            if family.background {
                score(0, BACKGROUND);
            }
        }
    }
    let boxes = boxes
        .into_iter()
        .flat_map(|row| as_written(row, family.boxes, size));
    Some((boxes.collect(), scores))
}

/// Writes corners in pixels as numbers of a box of this form.
fn as_written([x1, y1, x2, y2]: [f32; 4], form: BoxForm, size: Size) -> [f32; 4] {
    let (width, height) = match form.scale {
        BoxScale::Pixels => (1.0, 1.0),
        BoxScale::Shares => (size.width as f32, size.height as f32),
    };
    let [x1, y1, x2, y2] = [x1 / width, y1 / height, x2 / width, y2 / height];
    match form.format {
        BoxFormat::Corners => [x1, y1, x2, y2],
        BoxFormat::Centre => [(x1 + x2) / 2.0, (y1 + y2) / 2.0, x2 - x1, y2 - y1],
    }
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
