//! [`recognise`]: the family of a model, from what the file says of itself, or from what its card says.
//!
//! Each family has a function that looks at the [`Facts`] and says "mine, because ...", or nothing; none of them knows
//! the others. Evidence, in this order: metadata, the input, output names, output dims, operators near the outputs.
//! If more than one reading remains, and the card does not decide, the model is refused: a wrong reading is a model
//! that silently finds nothing.

use super::card::{Card, MAX_CLASSES};
use super::family::Family;
use super::{
    blazeface, boxes_scores, counted, detr, detr_rows, dets, e2e6, evidence, fastestdet, gfl, nms3,
    rows, scrfd, ssd, tfssd, ultraface, yolov5_raw, yunet, yunet_2022,
};
use crate::base::tensor::{ColourOrder, Interpolation, ResizeMode};
use crate::onnx::error::ModelError;
use crate::onnx::facts::Facts;

/// How the authors of a family prepare pictures; see [`crate::base::tensor::InputSpec`].
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
    /// 0 where the file does not tell.
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
const READERS: [fn(&Facts) -> Option<Reading>; 29] = [
    blazeface::recognise::read,
    evidence::yolo::read_yolox_raw,
    evidence::yolo::read_yolox_decoded,
    evidence::yolo::read_yolov5,
    evidence::yolo::read_yolov8,
    yunet::recognise::read,
    ultraface::recognise::read,
    gfl::recognise::read,
    fastestdet::recognise::read,
    e2e6::recognise::read,
    nms3::recognise::read,
    detr::recognise::read_sigmoid,
    detr::recognise::read_softmax,
    detr_rows::recognise::read,
    tfssd::recognise::read,
    rows::recognise::read_yolov7,
    rows::recognise::read_yolo_nas,
    rows::recognise::read_paddle,
    rows::recognise::read_corners,
    dets::recognise::read,
    counted::recognise::read,
    boxes_scores::recognise::read_yolo_nas,
    boxes_scores::recognise::read_paddle,
    boxes_scores::damo::read,
    scrfd::recognise::read,
    ssd::recognise::read,
    yolov5_raw::recognise::read_yolov5,
    yolov5_raw::recognise::read_yolov7,
    yunet_2022::recognise::read,
];

/// Reads a model as the family that its card names, or says what of it does not fit.
type Told = fn(&Facts, &Card) -> Result<Reading, String>;

/// The values of a card's `decode`.
const TOLD: [(&str, Told); 22] = [
    ("blazeface", blazeface::recognise::told),
    ("yolox_raw", evidence::yolo::told_yolox_raw),
    ("yolov5", evidence::yolo::told_yolov5),
    ("yolov8", evidence::yolo::told_yolov8),
    ("yunet", yunet::recognise::told),
    ("ultraface", ultraface::recognise::told),
    ("ultraface_raw", ultraface::recognise::told_raw),
    ("gfl", gfl::recognise::told),
    ("fastestdet", fastestdet::recognise::told),
    ("e2e6", e2e6::recognise::told),
    ("nms3", nms3::recognise::told),
    ("detr", detr::recognise::told),
    ("tfssd", tfssd::recognise::told),
    ("detr_rows", detr_rows::recognise::told),
    ("rows", rows::recognise::told),
    ("dets", dets::recognise::told),
    ("counted", counted::recognise::told),
    ("boxes_scores", boxes_scores::recognise::told),
    ("scrfd", scrfd::recognise::told),
    ("ssd", ssd::recognise::told),
    ("yolov5_raw", yolov5_raw::recognise::told),
    ("yunet_2022", yunet_2022::recognise::told),
];

/// The values that a card's `decode` may have.
pub fn decode_names() -> impl Iterator<Item = &'static str> {
    TOLD.iter().map(|(name, _)| *name)
}

/// Finds the one reading of a model, with the card's overrides in it.
///
/// # Errors
/// [`ModelError::NotADetector`], [`ModelError::Ambiguous`], [`ModelError::TooLarge`] for more classes than a detector
/// has, or [`ModelError::Card`] if the card does not fit.
pub fn recognise(facts: &Facts, card: &Card) -> Result<Reading, ModelError> {
    let mut readings: Vec<Reading> = READERS.iter().filter_map(|read| read(facts)).collect();
    readings.retain(|reading| !card.excludes(&reading.family));
    if let Some(decode) = card.decode {
        readings.retain(|reading| {
            reading.family.name() == decode && !card.contradicts(&reading.family)
        });
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
        0 => {
            let why = ssd::recognise::why_not(facts);
            let why = why.unwrap_or_else(|| "its outputs are those of no family".into());
            Err(facts.not_a_detector(why))
        }
        1 => check_classes(readings.remove(0)),
        _ => Err(ModelError::Ambiguous {
            readings: readings
                .iter()
                .map(|r| format!("{}, because {}", r.name, r.because))
                .collect(),
        }),
    }
}

/// A class gets a label, so their number, of which a dim is the only proof, is a matter of memory.
fn check_classes(reading: Reading) -> Result<Reading, ModelError> {
    if reading.classes as u64 <= MAX_CLASSES {
        return Ok(reading);
    }
    Err(ModelError::TooLarge {
        what: format!("the model read as {}", reading.name),
        found: format!("{} classes", reading.classes),
        limit: format!("{MAX_CLASSES} classes"),
    })
}

/// What the tests of the readers share.
#[cfg(test)]
pub mod testing {
    use super::*;
    use crate::onnx::testing::model;
    use std::path::Path;
    use tract_onnx::pb::NodeProto;

    pub fn card(text: &str) -> Card {
        Card::parse(Path::new("x.detect.json"), text.as_bytes()).expect("a card")
    }

    pub type Outputs<'a> = &'a [(&'a str, &'a [i64])];

    /// The facts of a graph of `nodes` that takes a picture `x` of dims `input`.
    pub fn with_facts_of<T>(
        nodes: Vec<NodeProto>,
        input: &[i64],
        outputs: Outputs,
        look: impl FnOnce(&Facts) -> T,
    ) -> T {
        let model = model(nodes, &[("x", input)], outputs);
        let graph = model.graph.as_ref().expect("just made");
        look(&Facts::of(&model, graph).expect("it takes a picture"))
    }

    pub fn with_facts<T>(input: &[i64], outputs: Outputs, look: impl FnOnce(&Facts) -> T) -> T {
        with_facts_of(Vec::new(), input, outputs, look)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{card, with_facts};
    use super::*;

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
        assert!(matches!(error, ModelError::TooLarge { .. }), "{error}");
        assert!(error.to_string().contains("65537 classes"), "{error}");
    }
}
