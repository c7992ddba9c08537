//! A table of candidates of any [`TableForm`]. One f32 output `[1, n, numbers]` or `[1, numbers, n]`; numbers: four of
//! a box, perhaps an objectness, numbers that are not used, one score a class, and numbers that are not used but for an
//! angle. Score = objectness x class, each after its activation.

use super::{BOX, TableForm};
use crate::base::detection::Detection;
use crate::base::geometry::{BBox, Size};
use crate::base::tensor::Tensor;
use crate::families::decoding::candidates::{BLOCK, highest_scores, push, reaches};
use crate::families::decoding::output::{Dim, Output, with_classes};
use crate::families::decoding::{DecodeError, Decoder, Extras, Labelling};
use crate::families::family::DecoderInput;

pub(crate) struct Table {
    output: Output,
    form: TableForm,
    input: Size,
    labelling: Labelling,
}

impl Table {
    /// The number of classes may be 0: as many as the output has.
    pub fn new(form: &TableForm, model: &DecoderInput) -> Result<Self, DecodeError> {
        let fields = form.fields();
        let numbers = with_classes(fields, model.classes);
        let width = Dim::fields_and(fields, model.classes);
        let (wanted, expected) = if form.rows {
            (
                [Dim::Is(1), Dim::ANY, width],
                format!("[1, candidates, {numbers}]"),
            )
        } else {
            (
                [Dim::Is(1), width, Dim::ANY],
                format!("[1, {numbers}, candidates]"),
            )
        };
        Ok(Self {
            output: Output::find(model.outputs, &wanted, &expected)?,
            form: form.clone(),
            input: model.input,
            labelling: model.labelling.clone(),
        })
    }

    /// The numbers of one run, and how they lie.
    pub fn numbers<'a>(
        output: &Output,
        rows: bool,
        outputs: &'a [Tensor],
    ) -> Result<Numbers<'a>, DecodeError> {
        let (values, dims) = output.read(outputs)?;
        let (candidates, width) = if rows {
            (dims[1], dims[2])
        } else {
            (dims[2], dims[1])
        };
        Ok(Numbers {
            values,
            candidates,
            width,
            steps: if rows { (width, 1) } else { (1, candidates) },
        })
    }

    fn bbox(&self, numbers: &Numbers, candidate: usize) -> BBox {
        let four = [0, 1, 2, 3].map(|field| numbers.at(candidate, field));
        match self.form.meaning {
            Extras::Angle => {
                let angle = numbers.at(candidate, numbers.width - 1);
                self.form.boxes.around(four, angle, self.input)
            }
            _ => self.form.boxes.bbox(four, self.input),
        }
    }

    fn report(
        &self,
        numbers: &Numbers,
        candidate: usize,
        threshold: f32,
        found: &mut Vec<Detection>,
    ) {
        let activation = self.form.activation;
        let factor = if self.form.objectness {
            activation.probability(numbers.at(candidate, BOX))
        } else {
            1.0
        };
        let scores = (self.form.first_score()..numbers.width - self.form.extras)
            .map(|field| activation.probability(numbers.at(candidate, field)));
        self.labelling
            .choose(scores, factor, threshold, |class, score| {
                push(found, self.bbox(numbers, candidate), class, score);
            });
    }
}

impl Decoder for Table {
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let numbers = Self::numbers(&self.output, self.form.rows, outputs)?;
        let least = self.form.activation.least(score_threshold);
        let scores = self.form.first_score()..numbers.width - self.form.extras;
        let candidates = numbers.candidates;
        if self.form.objectness {
            // The product with a probability is no higher.
            for candidate in (0..candidates).filter(|c| numbers.at(*c, BOX) >= least) {
                self.report(&numbers, candidate, score_threshold, found);
            }
        } else if self.form.rows {
            let rows = numbers.values.chunks_exact(numbers.width).enumerate();
            for (candidate, _) in rows.filter(|(_, row)| reaches(&row[scores.clone()], least)) {
                self.report(&numbers, candidate, score_threshold, found);
            }
        } else {
            let scores = &numbers.values[scores.start * candidates..scores.end * candidates];
            for start in (0..candidates).step_by(BLOCK) {
                let end = candidates.min(start + BLOCK);
                let highest = highest_scores(scores, candidates, start, end);
                for candidate in (start..end).filter(|c| highest[c - start] >= least) {
                    self.report(&numbers, candidate, score_threshold, found);
                }
            }
        }
        Ok(())
    }
}

/// The numbers of a table, candidate by candidate.
pub(crate) struct Numbers<'a> {
    pub values: &'a [f32],
    pub candidates: usize,
    pub width: usize,
    /// From one candidate to the next, and from one number to the next.
    steps: (usize, usize),
}

impl Numbers<'_> {
    pub fn at(&self, candidate: usize, field: usize) -> f32 {
        self.values[candidate * self.steps.0 + field * self.steps.1]
    }

    /// One number of every candidate.
    pub fn field(&self, field: usize) -> impl Iterator<Item = f32> + Clone + '_ {
        (0..self.candidates).map(move |candidate| self.at(candidate, field))
    }
}
