//! [`Undecided`]: a table of rows that may be of several layouts, until the first inference tells them apart.
//!
//! The number behind a box is an objectness, a score, or the score of the first class, and only the numbers show which:
//! class numbers are whole, and the objectness of YOLOv6 is 1 everywhere. Where they do not, the model is refused.

use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family, Settled};
use super::reading::Reading;
use super::rows::Rows;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;
use super::table_form::seen::{self, Certain, MANY, Range};
use super::table_form::{BOX, TableForm};
use super::yolov5::Yolov5;
use crate::base::tensor::Tensor;

/// See above.
#[derive(Debug, Clone, PartialEq)]
pub struct Undecided {
    families: Vec<Box<dyn Family>>,
    /// Each reading with its evidence.
    readings: Vec<String>,
}

impl Undecided {
    /// Makes one reading of several, if all are of rows that the first inference may tell apart.
    pub fn of_rows(readings: &[Reading]) -> Option<Reading> {
        let first = readings.first()?;
        let mut others = readings[1..].iter();
        let alike = others.all(|other| other.convention == first.convention);
        let mut families = readings.iter().map(|reading| &reading.family);
        (alike && families.all(|family| is_of_rows(family.as_ref()))).then(|| Reading {
            name: "a table of rows",
            family: Box::new(Self {
                families: readings.iter().map(|r| r.family.clone()).collect(),
                readings: readings.iter().map(Reading::with_evidence).collect(),
            }),
            because: "the first inference tells which".into(),
            classes: 0,
            ..first.clone()
        })
    }
}

fn is_of_rows(family: &dyn Family) -> bool {
    let form = family.downcast_ref::<TableForm>();
    let rows = family.downcast_ref::<Rows>();
    family.downcast_ref::<Yolov5>().is_some()
        || form.is_some_and(|form| form.rows)
        || rows.is_some_and(|rows| rows.columns == Rows::DEEPSTREAM)
}

/// Whether the first inference shows that its rows are of this family.
fn is_shown(family: &dyn Family, outputs: &[Tensor], model: &DecoderInput) -> bool {
    let numbers = seen::table(true, outputs, model.outputs).filter(|n| n.width > BOX + 1);
    let Some(numbers) = numbers else {
        return false;
    };
    if family.downcast_ref::<Rows>().is_some() {
        return seen::has_class_numbers(&numbers, model.input);
    }
    let range = |field| Range::over(numbers.field(field));
    if family.downcast_ref::<TableForm>().is_some() {
        // A score with nothing behind it that could be another, or be multiplied by it.
        let alone = range(BOX).is_probability() && !range(BOX + 1).is_probability();
        return alone && numbers.width > BOX + 2;
    }
    // YOLOv6 has no objectness, and writes 1.
    let objectness = range(BOX);
    objectness.least == 1.0 && objectness.most == 1.0 && numbers.candidates >= MANY
}

/// Returns how many classes rows of this family have by their length; 0 where they have class numbers.
fn classes_of(family: &dyn Family, outputs: &[Tensor]) -> usize {
    let fields = match family.downcast_ref::<TableForm>() {
        Some(form) => form.fields(),
        None => BOX + 1,
    };
    let width = outputs.first().and_then(|output| output.dims.last());
    match family.downcast_ref::<Rows>() {
        Some(_) => 0,
        None => width.map_or(0, |width| width.saturating_sub(fields)),
    }
}

impl Family for Undecided {
    fn name(&self) -> &'static str {
        self.families[0].name()
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        self.families[0].decoder(model)
    }

    fn has_raw_heads(&self) -> bool {
        false
    }

    fn settle(
        &self,
        outputs: &[Tensor],
        model: &DecoderInput,
        certain: &Certain,
    ) -> Option<Settled> {
        let settled = self
            .families
            .iter()
            .find(|family| is_shown(family.as_ref(), outputs, model));
        let Some(family) = settled else {
            return Some(Settled {
                undecided: self.readings.clone(),
                ..Settled::in_form(self.clone(), 0)
            });
        };
        let classes = classes_of(family.as_ref(), outputs);
        let model = DecoderInput {
            classes,
            ..model.clone()
        };
        let further = family.settle(outputs, &model, certain);
        further.or_else(|| {
            Some(Settled {
                family: family.clone(),
                classes,
                resize: None,
                warnings: Vec::new(),
                undecided: Vec::new(),
            })
        })
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        self.families[0].output_dims(given)
    }
}
