//! [`recognise`]: the family of a model, from what the file says of itself, or from what its card says.
//!
//! Each family has a function that looks at the [`Facts`] and says "mine, because ...", or nothing; none of them knows
//! the others. Evidence, in this order: metadata, the input, output names, output dims, operators near the outputs.
//! If more than one reading remains, and the card does not decide, the model is refused: a wrong reading is a model
//! that silently finds nothing.

mod blazeface;
mod head;
mod yolo;

use super::card::Card;
use super::error::ModelError;
use super::facts::Facts;
use super::family::Family;
use crate::tensor::{ColourOrder, Interpolation, ResizeMode};

/// How the authors of a family prepare pictures; see [`crate::tensor::InputSpec`].
#[derive(Debug, Clone, PartialEq)]
pub struct Convention {
    pub colour: ColourOrder,
    pub mean: [f32; 3],
    pub std: [f32; 3],
    pub resize: ResizeMode,
    pub pad_value: f32,
    pub interpolation: Interpolation,
}

/// One way to read a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// For people: "YOLOX, decoded in the graph".
    pub name: &'static str,
    pub family: Family,
    pub because: String,
    pub classes: usize,
    pub convention: Convention,
    /// The convention follows from the file, not from habit alone.
    pub sure: bool,
    /// A free input size must be a multiple of this.
    pub stride: u32,
    /// Labels of a family that finds one thing only.
    pub labels: &'static [&'static str],
    pub score_threshold: Option<f32>,
    pub iou_threshold: Option<f32>,
}

/// What recognises a family without being told.
const READERS: [fn(&Facts) -> Option<Reading>; 5] = [
    blazeface::read,
    yolo::read_yolox_raw,
    yolo::read_yolox_decoded,
    yolo::read_yolov5,
    yolo::read_yolov8,
];

/// Reads a model as the family that its card names, or says what of it does not fit.
type Told = fn(&Facts, &Card) -> Result<Reading, String>;

/// The values of a card's `decode`.
const TOLD: [(&str, Told); 4] = [
    ("blazeface", blazeface::told),
    ("yolox_raw", yolo::told_yolox_raw),
    ("yolov5", yolo::told_yolov5),
    ("yolov8", yolo::told_yolov8),
];

/// The values that a card's `decode` may have.
pub fn decode_names() -> impl Iterator<Item = &'static str> {
    TOLD.iter().map(|(name, _)| *name)
}

/// Finds the one reading of a model, with the card's overrides in it.
///
/// # Errors
/// [`ModelError::NotADetector`], [`ModelError::Ambiguous`], or [`ModelError::Card`] if the card does not fit.
pub fn recognise(facts: &Facts, card: &Card) -> Result<Reading, ModelError> {
    let mut readings: Vec<Reading> = READERS.iter().filter_map(|read| read(facts)).collect();
    if let Some(decode) = card.decode {
        readings.retain(|reading| reading.family.name() == decode);
        if readings.len() != 1 {
            let (_, told) = TOLD
                .iter()
                .find(|(name, _)| *name == decode)
                .ok_or_else(|| {
                    card.error(format!("decode is \"{decode}\", which no reader knows"))
                })?;
            readings = vec![told(facts, card).map_err(|what| card.error(what))?];
        }
    }
    for reading in &mut readings {
        card.apply(reading)?;
    }
    // A card may make two readings one without naming the family.
    let same = |a: &Reading, b: &Reading| a.family == b.family && a.convention == b.convention;
    let mut readings = readings
        .into_iter()
        .fold(Vec::new(), |mut kept: Vec<Reading>, reading| {
            if !kept.iter().any(|other| same(other, &reading)) {
                kept.push(reading);
            }
            kept
        });
    match readings.len() {
        0 => Err(facts.not_a_detector("its outputs are those of no family")),
        1 => Ok(readings.remove(0)),
        _ => Err(ModelError::Ambiguous {
            readings: readings
                .iter()
                .map(|r| format!("{}, because {}", r.name, r.because))
                .collect(),
        }),
    }
}
