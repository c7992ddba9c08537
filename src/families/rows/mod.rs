//! Rows of detections, already suppressed: YOLOv7 and YOLOv6 with NMS, YOLO-NAS, PaddleDetection.

mod decode;
mod recognise;

use super::card::Card;
use super::card::Key;
use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::{Choices, at_places};
use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
/// One output of rows in which a detection is spread over `columns`.
pub struct Rows {
    /// Place of the output in the order of the file.
    pub place: usize,
    /// The meaning of each number of a row.
    pub columns: Vec<Column>,
}

/// The meaning of one number of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Left side in input pixels.
    Left,
    /// Top side in input pixels.
    Top,
    /// Right side in input pixels.
    Right,
    /// Bottom side in input pixels.
    Bottom,
    /// Score, 0 to 1.
    Score,
    /// Class number.
    Class,
    /// The number of the picture, which is the only one, or anything else that is of no use.
    Other,
}

impl Column {
    /// The columns that every row has once.
    pub const WANTED: [Self; 6] = [
        Self::Left,
        Self::Top,
        Self::Right,
        Self::Bottom,
        Self::Score,
        Self::Class,
    ];
}

/// The meanings of the numbers of a row.
pub static COLUMNS: Key<Vec<Column>> = Key {
    name: "columns",
    expected: "a list of \"x1\", \"y1\", \"x2\", \"y2\", \"score\", \"class\", each of them once, and \"other\"",
    read: columns,
};

fn columns(value: &Value) -> Option<Vec<Column>> {
    let column = |name: &Value| match name.as_str()? {
        "x1" => Some(Column::Left),
        "y1" => Some(Column::Top),
        "x2" => Some(Column::Right),
        "y2" => Some(Column::Bottom),
        "score" => Some(Column::Score),
        "class" => Some(Column::Class),
        "other" => Some(Column::Other),
        _ => None,
    };
    let list = value.as_array().filter(|list| list.len() <= 64)?;
    let columns: Vec<Column> = list.iter().map(column).collect::<Option<_>>()?;
    Column::WANTED
        .iter()
        .all(|wanted| columns.iter().filter(|column| *column == wanted).count() == 1)
        .then_some(columns)
}

impl Rows {
    /// Rows of every candidate in the only output, as DeepStream takes them.
    pub fn deepstream() -> Self {
        Self {
            place: 0,
            columns: Self::DEEPSTREAM.to_vec(),
        }
    }

    /// Corners, score and class number of every candidate, as DeepStream takes them.
    pub const DEEPSTREAM: [Column; 6] = [
        Column::Left,
        Column::Top,
        Column::Right,
        Column::Bottom,
        Column::Score,
        Column::Class,
    ];
}

impl Family for Rows {
    fn name(&self) -> &'static str {
        "rows"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::rows(
            self.place,
            &self.columns,
            model.outputs,
        )?))
    }

    fn has_raw_heads(&self) -> bool {
        false
    }

    fn apply_card(&mut self, card: &Card) {
        if let Some(columns) = card.get(&COLUMNS) {
            self.columns = columns;
        }
    }

    fn contradicts(&self, card: &Card) -> bool {
        (card.get(&COLUMNS)).is_some_and(|own| self.columns.len() != own.len())
    }

    fn writes_class_numbers(&self) -> bool {
        true
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        let batch = (given.candidates % 2 == 1).then_some(1);
        let dims = batch.into_iter();
        let dims = dims.chain([given.candidates, self.columns.len()]).collect();
        at_places([self.place], [dims])
    }
}

/// Makes rows of up to nine columns; most often those that a row must have are among them.
#[cfg(any(test, feature = "stub-engine"))]
fn sample(choices: &mut dyn Choices) -> Box<dyn Family> {
    const ALL: [Column; 7] = [
        Column::Left,
        Column::Top,
        Column::Right,
        Column::Bottom,
        Column::Score,
        Column::Class,
        Column::Other,
    ];
    let place = choices.place();
    let mut columns = Column::WANTED.to_vec();
    for _ in 0..choices.below(4) {
        let at = choices.below(columns.len());
        columns.insert(at, choices.one_of(&ALL));
    }
    let swapped = choices.below(columns.len());
    columns.swap(0, swapped);
    if choices.below(16) == 0 {
        columns.pop();
    }
    Box::new(Rows { place, columns })
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "rows",
    readers: &[
        recognise::read_yolov7,
        recognise::read_yolo_nas,
        recognise::read_paddle,
        recognise::read_corners,
        recognise::read_deepstream,
    ],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[&COLUMNS],
    micro_models: &[
        "yolov7_nms_micro",
        "yolo_nas_flat_micro",
        "paddle_micro",
        "corners6_micro",
    ],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[sample],
};
