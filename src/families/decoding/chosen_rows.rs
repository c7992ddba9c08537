//! [`ChosenRows`]: detections that the graph has chosen, one a row, of one output or spread over several.

use super::candidates::push;
use super::decoder::{DecodeError, Decoder};
use super::output::{Dim, Output};
use super::whole_numbers::{at_place, check_count, whole, whole_at};
use crate::base::detection::Detection;
use crate::base::geometry::BBox;
use crate::base::tensor::{Tensor, TensorSpec};

/// Where the scores or class numbers of the rows are.
pub(crate) enum Field {
    /// In the row of the box, as its number of this index.
    InRow(usize),
    /// In an output of their own, whose name is for errors.
    Beside(Output, String),
}

/// The rows of a graph that has chosen and suppressed its detections.
pub(crate) struct ChosenRows {
    pub boxes: Output,
    /// Numbers of one row of `boxes`.
    pub width: usize,
    /// Indices of left, top, right and bottom in a row.
    pub corners: [usize; 4],
    pub scores: Field,
    pub classes: Field,
    /// The output that says how many rows are detections; `None` where all are.
    pub count: Option<Output>,
    /// Whether rows without a detection are zeros. A score of 0 is then no detection, even if every score is wanted.
    pub zeros_fill_up: bool,
}

impl ChosenRows {
    /// Four outputs at the places of a number of detections, boxes `[1, n, 4]`, scores `[1, n]` and class numbers
    /// `[1, n]`.
    ///
    /// # Errors
    /// [`DecodeError`] if there are other outputs than `expected`.
    pub fn counted(
        [count_at, boxes_at, scores_at, classes_at]: [usize; 4],
        outputs: &[TensorSpec],
        expected: &str,
    ) -> Result<Self, DecodeError> {
        let spec = |place| at_place(outputs, place, expected);
        let (count, boxes) = (spec(count_at)?, spec(boxes_at)?);
        let (scores, classes) = (spec(scores_at)?, spec(classes_at)?);
        let list = [Dim::Is(1), Dim::ANY];
        let rows = [Dim::Is(1), Dim::ANY, Dim::Is(4)];
        // A number, in as many brackets as the exporter likes.
        let one = vec![Dim::Is(1); count.dims.len()];
        let count = Output::of_any_type(count_at, count, &one, "a number of detections [1]")?;
        let class_numbers =
            Output::of_any_type(classes_at, classes, &list, "class numbers [1, n]")?;
        let boxes = Output::at(boxes_at, boxes, &rows, "boxes [1, n, 4]")?;
        let list = Output::at(scores_at, scores, &list, "scores [1, n]")?;
        Ok(Self {
            boxes,
            width: 4,
            corners: [0, 1, 2, 3],
            scores: Field::Beside(list, scores.name.clone()),
            classes: Field::Beside(class_numbers, classes.name.clone()),
            count: Some(count),
            zeros_fill_up: false,
        })
    }

    /// Gives left, top, right and bottom, the score and the class number of every row that reaches the threshold.
    ///
    /// # Errors
    /// [`DecodeError`] as [`Decoder::decode`]; nothing has then been given.
    pub fn each(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        mut take: impl FnMut([f32; 4], f32, u32),
    ) -> Result<(), DecodeError> {
        let (boxes, _) = self.boxes.read(outputs)?;
        let rows = boxes.len() / self.width;
        let scores = match &self.scores {
            Field::InRow(at) => Numbers::InRow(*at),
            Field::Beside(output, name) => {
                let (scores, _) = output.read(outputs)?;
                check_count(name, scores.len(), rows)?;
                Numbers::Beside(scores)
            }
        };
        let classes = match &self.classes {
            Field::InRow(at) => Numbers::InRow(*at),
            Field::Beside(output, name) => {
                let classes = output.data(outputs)?;
                check_count(name, classes.len(), rows)?;
                Numbers::Beside(classes)
            }
        };
        let count = match &self.count {
            // What is not a number of detections is none, as with scores.
            Some(count) => whole_at(count.data(outputs)?, 0).unwrap_or(0) as usize,
            None => rows,
        };
        for (index, row) in boxes.chunks_exact(self.width).take(count).enumerate() {
            let score = match scores {
                Numbers::InRow(at) => row[at],
                Numbers::Beside(scores) => scores[index],
            };
            let fills_up = self.zeros_fill_up && score <= 0.0;
            if !(score >= score_threshold && score.is_finite()) || fills_up {
                continue;
            }
            let class = match classes {
                Numbers::InRow(at) => whole(row[at]),
                Numbers::Beside(classes) => whole_at(classes, index),
            };
            if let Some(class) = class {
                take(self.corners.map(|at| row[at]), score, class);
            }
        }
        Ok(())
    }
}

/// A [`Field`] of one run.
enum Numbers<T> {
    InRow(usize),
    Beside(T),
}

impl Decoder for ChosenRows {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        self.each(
            outputs,
            score_threshold,
            |[x1, y1, x2, y2], score, class| {
                push(found, BBox::new(x1, y1, x2, y2), class, score);
            },
        )
    }
}

/// Returns `wanted` with a leading 1 if the output has a dim more, as some exporters write.
pub(crate) fn with_batch(spec: &TensorSpec, wanted: &[Dim]) -> Vec<Dim> {
    let batch = (spec.dims.len() > wanted.len()).then_some(Dim::Is(1));
    batch.into_iter().chain(wanted.iter().copied()).collect()
}
