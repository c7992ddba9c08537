//! [`recognise`]: the family of a model, from what the file says of itself, or from what its card says.
//!
//! Each family has readers, which look at the [`Facts`] and say "mine, because ...", or nothing; none of them knows
//! another family. Evidence, in this order: metadata, the input, output names, output dims, operators near the outputs.
//! If more than one reading remains, and the card does not decide, the model is refused: a wrong reading is a model
//! that silently finds nothing.

use super::FAMILIES;
use super::card::{BOX_FORMAT, BOX_SCALE, Card, MAX_CLASSES, SCORE_ACTIVATION};
use super::decoding::Labelling;
use super::error::FamilyError;
use super::evidence::head::Head;
use super::evidence::named_outputs::is_integer;
use super::evidence::ultralytics::{finds_boxes, is_ultralytics, named_classes};
use super::family::DecoderInput;
use super::reading::Reading;
use super::registration::Registration;
use super::table_form::seen::Certain;
use super::undecided::Undecided;
use crate::base::geometry::Size;
use crate::base::tensor::{Element, TensorSpec};
use crate::onnx::error::OnnxError;
use crate::onnx::facts::{Facts, Port};

/// Side of an input that is free.
const USUAL_SIDE: u32 = 640;

/// Finds the one reading of a model, with the card's overrides in it.
///
/// # Errors
/// [`OnnxError::NotADetector`], [`FamilyError::Ambiguous`], [`OnnxError::TooLarge`] for more classes than a detector
/// has, or [`FamilyError::Card`] if the card does not fit.
pub fn recognise(facts: &Facts, card: &Card) -> Result<Reading, FamilyError> {
    if let Some(task) = facts
        .metadata("task")
        .filter(|_| is_ultralytics(facts) && !finds_boxes(facts))
    {
        let why = format!("its metadata name the task \"{task}\", which finds no boxes");
        return Err(facts.not_a_detector(why).into());
    }
    let mut readings: Vec<Reading> = (FAMILIES.iter())
        .flat_map(|family| family.readers)
        .filter_map(|read| read(facts))
        .collect();
    readings.retain(|reading| !reading.family.excluded_by(card));
    if let Some(decode) = card.decode {
        readings
            .retain(|reading| reading.family.name() == decode && !reading.family.contradicts(card));
        if readings.len() != 1 {
            let family = FAMILIES.iter().find(|family| family.name == decode);
            let family = family.ok_or_else(|| {
                card.error(format!("decode is \"{decode}\", which no family is called"))
            })?;
            readings = vec![(family.read_as)(facts, card).map_err(|what| card.error(what))?];
        }
    }
    for reading in &mut readings {
        reading.apply_card(card, named_classes(facts))?;
    }
    // A card may make two readings one without naming the family.
    let same = |a: &Reading, b: &Reading| *a.family == *b.family && a.convention == b.convention;
    let mut readings = readings
        .into_iter()
        .fold(Vec::new(), |mut kept: Vec<Reading>, reading| {
            if !kept.iter().any(|other| same(other, &reading)) {
                kept.push(reading);
            }
            kept
        });
    match readings.len() {
        0 => {
            let mut reasons = FAMILIES
                .iter()
                .filter_map(|family| (family.why_not?)(facts));
            let why = reasons
                .next()
                .unwrap_or_else(|| "its outputs are those of no family".into());
            Err(refused(facts, why).into())
        }
        1 => check_classes(readings.remove(0)),
        _ => Undecided::of_rows(&readings).ok_or_else(|| FamilyError::Ambiguous {
            readings: readings.iter().map(Reading::with_evidence).collect(),
        }),
    }
}

/// Makes the error about a model of no family, with the cards that would be accepted.
fn refused(facts: &Facts, why: String) -> OnnxError {
    let specs: Vec<TensorSpec> = (facts.outputs.iter())
        .map(|port| TensorSpec {
            name: port.name.clone(),
            dims: port.dims().iter().map(|dim| dim.unwrap_or(0)).collect(),
            element: if is_integer(port) {
                Element::I64
            } else {
                Element::F32
            },
        })
        .collect();
    let side = |side: Option<u32>| side.unwrap_or(USUAL_SIDE);
    let input = Size::new(side(facts.picture.width), side(facts.picture.height));
    // What a graph has chosen is no table of all candidates.
    let chooses = |port: &Port| Head::trace(facts.graph, &port.name, 0).selects;
    let chosen = facts.outputs.iter().any(chooses);
    let accepts = |family: &&&Registration| {
        let card = Card {
            decode: Some(family.name),
            ..Card::default()
        };
        (family.read_as)(facts, &card).is_ok_and(|reading| {
            let model = DecoderInput {
                input,
                classes: reading.classes,
                outputs: &specs,
                labelling: Labelling::Best,
            };
            let suits = !chosen || reading.iou_threshold == Some(1.0);
            suits && reading.family.decoder(model).is_ok()
        })
    };
    let mut error = facts.not_a_detector(why);
    if let OnnxError::NotADetector { cards, .. } = &mut error {
        *cards = (FAMILIES.iter().filter(accepts))
            .map(|family| format!("{{\"decode\": \"{}\"}}", family.name))
            .collect();
    }
    error
}

/// Returns what file and card state, so that the first inference need not tell it; names of classes count if there are
/// as many as `classes`.
pub fn certain(facts: &Facts, card: &Card, classes: usize) -> Certain {
    let by_card = card.classes.is_some() || card.labels.is_some();
    Certain {
        classes: by_card || named_classes(facts) == Some(classes),
        format: card.get(&BOX_FORMAT).is_some(),
        scale: card.get(&BOX_SCALE).is_some(),
        activation: card.get(&SCORE_ACTIVATION).is_some(),
        resize: card.resize.is_some(),
    }
}

/// A class gets a label, so their number, of which a dim is the only proof, is a matter of memory.
fn check_classes(reading: Reading) -> Result<Reading, FamilyError> {
    if reading.classes as u64 <= MAX_CLASSES {
        return Ok(reading);
    }
    Err(FamilyError::Onnx(OnnxError::TooLarge {
        what: format!("the model read as {}", reading.name),
        found: format!("{} classes", reading.classes),
        limit: format!("{MAX_CLASSES} classes"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::evidence::testing::{card, with_facts};

    #[test]
    fn more_classes_than_a_detector_has_are_refused() {
        let read = |classes: i64| {
            let dims = [1, 0, 5 + classes];
            with_facts(&[1, 3, 64, 64], &[("y", &dims)], |facts| {
                recognise(facts, &card(r#"{"decode": "yolov5"}"#))
            })
        };
        assert_eq!(
            read(65_536).expect("as many as a card may say").classes,
            65_536
        );
        let error = read(65_537).expect_err("one more");
        assert!(
            matches!(error, FamilyError::Onnx(OnnxError::TooLarge { .. })),
            "{error}"
        );
        assert!(error.to_string().contains("65537 classes"), "{error}");
    }
}
