//! [`recognise`]: the family of a model, from what the file says of itself, or from what its card says.
//!
//! Each family has readers, which look at the [`Facts`] and say "mine, because ...", or nothing; none of them knows
//! another family. Evidence, in this order: metadata, the input, output names, output dims, operators near the outputs.
//! If more than one reading remains, and the card does not decide, the model is refused: a wrong reading is a model
//! that silently finds nothing.

use super::FAMILIES;
use super::card::{Card, MAX_CLASSES};
use super::error::FamilyError;
use super::reading::Reading;
use crate::onnx::error::OnnxError;
use crate::onnx::facts::Facts;

/// Finds the one reading of a model, with the card's overrides in it.
///
/// # Errors
/// [`OnnxError::NotADetector`], [`FamilyError::Ambiguous`], [`OnnxError::TooLarge`] for more classes than a detector
/// has, or [`FamilyError::Card`] if the card does not fit.
pub fn recognise(facts: &Facts, card: &Card) -> Result<Reading, FamilyError> {
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
        reading.apply_card(card)?;
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
            Err(facts.not_a_detector(why).into())
        }
        1 => check_classes(readings.remove(0)),
        _ => Err(FamilyError::Ambiguous {
            readings: readings
                .iter()
                .map(|r| format!("{}, because {}", r.name, r.because))
                .collect(),
        }),
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
