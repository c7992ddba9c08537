//! [`OwnThresholds`]: the thresholds that a model brings, for where its user sets none.
//!
//! Each of the two is taken from the first that tells it: the card, the metadata of the file (`model_info
//! confidence_threshold` and `model_info iou_threshold`, as training tools of the OpenVINO project write them), the
//! family. Else it is the usual one.

use super::card::Card;
use super::decision::{Decision, topic};
use super::reading::Reading;
use crate::onnx::facts::Facts;

/// Where nothing tells it.
const SCORE: f32 = 0.4;
const IOU: f32 = 0.45;

/// An IoU threshold at which nothing is suppressed: of graphs that have done it themselves.
const NO_SUPPRESSION: f32 = 1.0;

const SCORE_KEY: &str = "model_info confidence_threshold";
const IOU_KEY: &str = "model_info iou_threshold";

/// See above.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnThresholds {
    /// Score threshold, 0 to 1.
    pub score: f32,
    /// IoU threshold, 0 to 1; 1 suppresses nothing.
    pub iou: f32,
    /// Both, and where they come from.
    pub decision: Decision,
}

impl OwnThresholds {
    /// `reading` has those of the card in it already. What metadata says and cannot be used goes to `warnings`.
    pub fn find(card: &Card, facts: &Facts, reading: &Reading, warnings: &mut Vec<String>) -> Self {
        let mut in_metadata = |key| in_metadata(facts, key, warnings);
        let (score_told, iou_told) = (in_metadata(SCORE_KEY), in_metadata(IOU_KEY));
        // What the graph has done needs not be done again.
        let iou_told = iou_told.filter(|_| reading.iou_threshold != Some(NO_SUPPRESSION));
        let (score, score_source) = first(
            card.score_threshold,
            score_told,
            reading.score_threshold,
            SCORE,
        );
        let (iou, iou_source) = first(card.iou_threshold, iou_told, reading.iou_threshold, IOU);
        let decision = Decision::new(
            topic::THRESHOLDS,
            format!("score {score}, IoU {iou}"),
            format!("{score_source} score, {iou_source} IoU"),
            [score_source, iou_source].contains(&USUAL),
        );
        Self {
            score,
            iou,
            decision,
        }
    }
}

const USUAL: &str = "the usual";

/// The first value there is, and whose it is.
fn first(
    card: Option<f32>,
    metadata: Option<f32>,
    family: Option<f32>,
    usual: f32,
) -> (f32, &'static str) {
    let sources = [
        (card, "the card's"),
        (metadata, "the metadata's"),
        (family, "the family's"),
    ];
    let told = sources
        .iter()
        .find_map(|(value, source)| Some(((*value)?, *source)));
    told.unwrap_or((usual, USUAL))
}

fn in_metadata(facts: &Facts, key: &str, warnings: &mut Vec<String>) -> Option<f32> {
    let text = facts.metadata(key)?;
    let number = text.trim().parse().ok().filter(|n| (0.0..=1.0).contains(n));
    if number.is_none() {
        warnings.push(format!(
            "the metadata \"{key}\" is \"{text}\", expected 0 to 1: it is not used"
        ));
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::recognise::recognise;
    use crate::onnx::proto::StringStringEntryProto;
    use crate::onnx::testing::model;
    use std::path::Path;

    /// The name in a card, and the dims of an output that fits.
    type Head = (&'static str, &'static [i64]);

    const YOLOV8: Head = ("yolov8", &[1, 6, 84]);
    const FASTESTDET: Head = ("fastestdet", &[1, 85, 4, 4]);
    const END_TO_END: Head = ("e2e6", &[1, 300, 6]);

    /// Finds score, IoU, reason and whether it is a guess, for a model of this head and metadata and a card of these keys.
    fn found(
        (decode, dims): Head,
        metadata: &[(&str, &str)],
        keys: &str,
    ) -> (f32, f32, String, bool) {
        let (own, warnings) = found_with_warnings((decode, dims), metadata, keys);
        assert_eq!(warnings, [""; 0]);
        let decision = own.decision;
        (own.score, own.iou, decision.reason, decision.guessed)
    }

    fn found_with_warnings(
        (decode, dims): Head,
        metadata: &[(&str, &str)],
        keys: &str,
    ) -> (OwnThresholds, Vec<String>) {
        let mut model = model(Vec::new(), &[("x", &[1, 3, 64, 64])], &[("out", dims)]);
        let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
            key: (*key).into(),
            value: (*value).into(),
        };
        model.metadata_props = metadata.iter().map(entry).collect();
        let facts = Facts::new(&model, model.graph.as_ref().expect("just made"));
        let facts = facts.expect("it takes a picture");
        let card = format!("{{\"decode\": \"{decode}\"{keys}}}");
        let card = Card::parse(Path::new("x.detect.json"), card.as_bytes()).expect("a card");
        let reading = recognise(&facts, &card).expect("the card names it");
        let mut warnings = Vec::new();
        let own = OwnThresholds::find(&card, &facts, &reading, &mut warnings);
        (own, warnings)
    }

    #[test]
    fn the_card_comes_before_metadata_and_metadata_before_the_family() {
        let metadata = [(SCORE_KEY, "0.35"), (IOU_KEY, " 0.6 ")];
        let yolov8 = |metadata: &[_], keys| found(YOLOV8, metadata, keys);
        assert_eq!(
            yolov8(&[], ""),
            (0.4, 0.45, "the usual score, the usual IoU".into(), true)
        );
        assert_eq!(
            yolov8(&metadata[..1], ""),
            (
                0.35,
                0.45,
                "the metadata's score, the usual IoU".into(),
                true
            )
        );
        assert_eq!(
            yolov8(&metadata, ""),
            (
                0.35,
                0.6,
                "the metadata's score, the metadata's IoU".into(),
                false
            )
        );
        assert_eq!(
            yolov8(&metadata, r#", "score_threshold": 0.5"#),
            (
                0.5,
                0.6,
                "the card's score, the metadata's IoU".into(),
                false
            )
        );
        assert_eq!(
            yolov8(&metadata[..1], r#", "nms_iou": null"#),
            (
                0.35,
                1.0,
                "the metadata's score, the card's IoU".into(),
                false
            )
        );
        assert_eq!(
            found(FASTESTDET, &[], ""),
            (
                0.5,
                0.45,
                "the family's score, the family's IoU".into(),
                false
            )
        );
        assert_eq!(found(FASTESTDET, &[(SCORE_KEY, "0.3")], "").0, 0.3);
    }

    #[test]
    fn what_a_graph_has_suppressed_is_not_suppressed_again() {
        let metadata = [(SCORE_KEY, "0.3"), (IOU_KEY, "0.5")];
        let (score, iou, ..) = found(END_TO_END, &metadata, "");
        assert_eq!((score, iou), (0.3, 1.0));
        let (_, iou, ..) = found(END_TO_END, &metadata, r#", "nms_iou": 0.7"#);
        assert_eq!(iou, 0.7, "unless the card says so");
    }

    #[test]
    fn metadata_that_cannot_be_used_is_a_warning() {
        for bad in ["", "high", "1.5", "-0.1", "NaN", "inf"] {
            let (own, warnings) = found_with_warnings(YOLOV8, &[(SCORE_KEY, bad)], "");
            assert_eq!((own.score, own.decision.guessed), (0.4, true), "{bad}");
            let [warning] = &warnings[..] else {
                panic!("one warning, not {warnings:?}");
            };
            assert!(
                warning.contains(SCORE_KEY) && warning.contains(bad),
                "{warning}"
            );
        }
    }
}
