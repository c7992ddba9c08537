//! | `box_format`, `box_scale` | `centre`, `corners`: the four numbers of a box in a table; `pixels`, `shares`: their unit |
//! | `score_activation` | `none`, `sigmoid`: what makes probabilities of the scores of a table |
//! | `transposed` | true = the candidates of a table lie the other way than its family's usually do |
//! | `output` | name of the output that is the table of candidates, of several |
//! [`Card::parse`]: a card is JSON of these keys, each of which may be missing; others are notes and are passed over.
//!
//! | key | value |
//! |---|---|
//! | `decode` | a family: `blazeface`, `yolox_raw`, `yolov5`, `yolov8`, `yunet`, `ultraface`, `ultraface_raw`, `gfl`, `fastestdet`, `e2e6`, `nms3`, `detr`, `detr_rows`, `tfssd`, `rows`, `dets`, `counted`, `boxes_scores`, `scrfd`, `ssd`, `yolov5_raw`, `yunet_2022` |
//! | `strides` | `[8, 16, 32]`: input pixels a grid cell, in the order of the output |
//! | `anchor_layers` | `[[16, 2], [32, 6]]`: stride and anchors a cell of each grid |
//! | `anchors` | `[[[10, 13], [16, 30], [33, 23]], ...]`: width and height of each anchor in input pixels, for every output of `yolov5_raw` |
//! | `prior_layers` | `{"variances": [0.1, 0.2], "layers": [{"cells": [19, 19], "step": 16, "boxes": [[60, 60], [105, 105]]}, ...]}`: the priors of `ssd`. A layer has `cells` columns and rows, `step` pixels apart (missing: the input's side over their number), and in each, in this order, `boxes` of so many pixels' width and height |
//! | `reg_max` | bins of a distance, less one |
//! | `center_offset` | where in its cell a box is measured from: `zero` the corner, `half_stride` the middle, `half_stride_minus_half` |
//! | `first_class` | 0 or 1: where the class numbers of `tfssd` begin |
//! | `activation` | `sigmoid`, `softmax`: what makes scores of the logits of `detr` |
//! | `columns` | `["other", "x1", "y1", "x2", "y2", "class", "score"]`: what the numbers of a row of `rows` are |
//! | `num_classes`, `labels` | a number; a list of as many texts |
//! | `score_threshold`, `nms_iou` | 0 to 1; `nms_iou` null = nothing is to be suppressed |
//! | `multi_label` | true = a candidate is reported as every class above the threshold, not as its best one: for evaluations at very low thresholds, which count second guesses |
//! | `input.name` | of the graph's input |
//! | `input.width`, `height` | pixels, for a model of free size |
//! | `input.layout` | `NCHW`, `NHWC` |
//! | `input.colour` | `RGB`, `BGR` |
//! | `input.mean`, `std` | three numbers each, in the order of `colour`: (pixel - mean) / std with pixels 0..255 |
//! | `input.resize_mode` | `stretch`, `letterbox_center`, `letterbox_tl` |
//! | `input.pad_value` | 0 to 255 |
//! | `input.interpolation` | `linear`, `cubic`, `area` |

use super::FAMILIES;
use super::card::{Card, MAX_CLASSES, MAX_SIDE, number};
use crate::base::tensor::{ColourOrder, Interpolation, Layout, ResizeMode};
use crate::families::error::FamilyError;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

impl Card {
    /// Reads a card. `path` is for messages.
    ///
    /// # Errors
    /// [`FamilyError::Card`] with the key, what was found and what was wanted.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, FamilyError> {
        read(text)
            .map(|card| Self {
                path: path.into(),
                ..card
            })
            .map_err(|what| FamilyError::Card {
                path: path.into(),
                what,
            })
    }
}

fn read(text: &[u8]) -> Result<Card, String> {
    let root: Value = serde_json::from_slice(text).map_err(|error| format!("not JSON: {error}"))?;
    let top = Keys::new("", &root)
        .ok_or_else(|| format!("{}, expected an object {{...}}", shown(&root)))?;
    let input = match root.get("input") {
        None => Card::default(),
        Some(input) => {
            let keys = Keys::new("input.", input)
                .ok_or_else(|| format!("input is {}, expected an object {{...}}", shown(input)))?;
            read_input(&keys)?
        }
    };
    let decode = one_of(FAMILIES.iter().map(|family| family.name));
    let count = format!("a number, 1 to {MAX_CLASSES}");
    Ok(Card {
        decode: top.get("decode", &decode, |value| {
            let mut names = FAMILIES.iter().map(|family| family.name);
            names.find(|name| Some(*name) == value.as_str())
        })?,
        of_families: read_keys_of_families(&top)?,
        classes: top.get("num_classes", &count, classes)?,
        labels: top.get("labels", "a list of texts", texts)?,
        score_threshold: top.get("score_threshold", "a number, 0 to 1", fraction)?,
        iou_threshold: match root.get("nms_iou") {
            Some(Value::Null) => Some(1.0),
            _ => top.get("nms_iou", "a number, 0 to 1, or null", fraction)?,
        },
        output: top.get("output", "the name of an output", |value| {
            value.as_str().map(str::to_owned)
        })?,
        multi_label: top.get("multi_label", "true or false", Value::as_bool)?,
        ..input
    })
}

/// Reads the keys that only some families have, whichever the family of this card.
fn read_keys_of_families(top: &Keys) -> Result<BTreeMap<&'static str, Value>, String> {
    let mut values = BTreeMap::new();
    for key in FAMILIES.iter().flat_map(|family| family.keys) {
        let value = top.get(key.name(), key.expected(), |value| {
            key.accepts(value).then(|| value.clone())
        })?;
        values.extend(value.map(|value| (key.name(), value)));
    }
    Ok(values)
}

fn read_input(input: &Keys) -> Result<Card, String> {
    let side = format!("a number of pixels, 1 to {MAX_SIDE}");
    let any = "three numbers like [0, 0, 0]";
    let not_zero = "three numbers, none of them 0, like [255, 255, 255]";
    Ok(Card {
        name: input.get("name", "a text", |value| value.as_str().map(str::to_owned))?,
        width: input.get("width", &side, pixels)?,
        height: input.get("height", &side, pixels)?,
        layout: input.choice("layout", &[("NCHW", Layout::Nchw), ("NHWC", Layout::Nhwc)])?,
        colour: input.choice(
            "colour",
            &[("RGB", ColourOrder::Rgb), ("BGR", ColourOrder::Bgr)],
        )?,
        mean: input.get("mean", any, |value| three(value, |_| true))?,
        std: input.get("std", not_zero, |value| three(value, |n| n != 0.0))?,
        resize: input.choice(
            "resize_mode",
            &[
                ("stretch", ResizeMode::Stretch),
                ("letterbox_center", ResizeMode::LetterboxCentre),
                ("letterbox_tl", ResizeMode::LetterboxTopLeft),
            ],
        )?,
        pad_value: input.get("pad_value", "a number, 0 to 255", |value| {
            number(value).filter(|n| (0.0..=255.0).contains(n))
        })?,
        interpolation: input.choice(
            "interpolation",
            &[
                ("linear", Interpolation::Linear),
                ("cubic", Interpolation::Cubic),
                ("area", Interpolation::Area),
            ],
        )?,
        ..Card::default()
    })
}

/// The values of one JSON object. A key whose value is null counts as missing.
struct Keys<'a> {
    prefix: &'static str,
    object: &'a Value,
}

impl<'a> Keys<'a> {
    fn new(prefix: &'static str, object: &'a Value) -> Option<Self> {
        object.is_object().then_some(Self { prefix, object })
    }

    fn get<T>(
        &self,
        key: &str,
        wanted: &str,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        match self.object.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => convert(value).map(Some).ok_or_else(|| {
                format!(
                    "{}{key} is {}, expected {wanted}",
                    self.prefix,
                    shown(value)
                )
            }),
        }
    }

    fn choice<T: Copy>(
        &self,
        key: &str,
        choices: &[(&'static str, T)],
    ) -> Result<Option<T>, String> {
        let wanted = one_of(choices.iter().map(|(name, _)| *name));
        self.get(key, &wanted, |value| {
            choices
                .iter()
                .find(|(name, _)| Some(*name) == value.as_str())
                .map(|(_, choice)| *choice)
        })
    }
}

fn one_of(names: impl Iterator<Item = &'static str>) -> String {
    format!(
        "one of {}",
        names
            .map(|name| format!("\"{name}\""))
            .collect::<Vec<_>>()
            .join(", ")
    )
}

/// A value as the user wrote it, cut to what fits a line.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn fraction(value: &Value) -> Option<f32> {
    number(value).filter(|n| (0.0..=1.0).contains(n))
}

fn pixels(value: &Value) -> Option<u32> {
    value
        .as_u64()
        .and_then(|n| u32::try_from(n).ok())
        .filter(|n| (1..=MAX_SIDE).contains(n))
}

fn classes(value: &Value) -> Option<usize> {
    let classes = value.as_u64().filter(|n| (1..=MAX_CLASSES).contains(n))?;
    Some(classes as usize)
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let list = value.as_array()?.iter();
    list.map(|text| Some(text.as_str()?.to_owned())).collect()
}

fn three(value: &Value, good: impl Fn(f32) -> bool) -> Option<[f32; 3]> {
    let numbers: Option<Vec<f32>> = value
        .as_array()?
        .iter()
        .map(|n| number(n).filter(|n| good(*n)))
        .collect();
    numbers?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::blazeface::{self, AnchorLayer};
    use crate::families::card::STRIDES;
    use crate::families::detr::{self, Activation};
    use crate::families::gfl::{self, AnchorPoint};
    use crate::families::rows::{self, Column};
    use crate::families::tfssd;

    fn parse(text: &str) -> Result<Card, String> {
        Card::parse(Path::new("x.detect.json"), text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_key_is_read_and_notes_are_passed_over() {
        let card = parse(
            r#"{"decode": "blazeface", "strides": [8, 16], "anchor_layers": [[16, 2]], "first_class": 1, "num_classes": 2,
                "activation": "softmax", "columns": ["class", "score", "x1", "y1", "x2", "y2", "other"], "reg_max": 7, "center_offset": "half_stride",
                "labels": ["a", "b"], "score_threshold": 0.25, "nms_iou": 0.5, "multi_label": true, "expected": [{"image": 1}],
                "input": {"name": "x", "width": 640, "height": 384, "layout": "NHWC", "colour": "BGR",
                          "mean": [1, 2, 3], "std": [4, 5, 6.5], "resize_mode": "letterbox_tl", "pad_value": 114,
                          "interpolation": "area", "formula": "(pixel - mean)/std"}}"#,
        )
        .unwrap();
        assert_eq!((card.decode, card.classes), (Some("blazeface"), Some(2)));
        assert_eq!((card.width, card.height), (Some(640), Some(384)));
        assert_eq!(
            (card.layout, card.colour),
            (Some(Layout::Nhwc), Some(ColourOrder::Bgr))
        );
        assert_eq!(
            (card.mean, card.std),
            (Some([1.0, 2.0, 3.0]), Some([4.0, 5.0, 6.5]))
        );
        assert_eq!(
            (card.resize, card.pad_value),
            (Some(ResizeMode::LetterboxTopLeft), Some(114.0))
        );
        assert_eq!(
            (card.interpolation, card.name.as_deref()),
            (Some(Interpolation::Area), Some("x"))
        );
        assert_eq!(
            (card.score_threshold, card.iou_threshold),
            (Some(0.25), Some(0.5))
        );
        assert_eq!(card.multi_label, Some(true));
        assert_eq!(card.get(&tfssd::FIRST_CLASS), Some(1));
        assert_eq!(card.get(&detr::ACTIVATION), Some(Activation::Softmax));
        let columns = card.get(&rows::COLUMNS).expect("seven of them");
        assert_eq!((columns[0], columns[6]), (Column::Class, Column::Other));
        assert_eq!(card.get(&STRIDES), Some(vec![8, 16]));
        assert_eq!(
            card.get(&blazeface::ANCHOR_LAYERS),
            Some(vec![AnchorLayer {
                stride: 16,
                anchors: 2
            }])
        );
        assert_eq!(card.labels, Some(vec!["a".into(), "b".into()]));
        assert_eq!(
            (card.get(&gfl::REG_MAX), card.get(&gfl::CENTER_OFFSET)),
            (Some(7), Some(AnchorPoint::Middle))
        );
    }

    #[test]
    fn an_empty_card_overrides_nothing_and_null_means_missing() {
        let path = Path::new("x.detect.json").to_path_buf();
        assert_eq!(
            parse("{}").unwrap(),
            Card {
                path,
                ..Card::default()
            }
        );
        let card = parse(r#"{"strides": null, "input": {"pad_value": null}}"#).unwrap();
        assert_eq!((card.get(&STRIDES), card.pad_value), (None, None));
    }

    #[test]
    fn no_suppression_is_an_iou_of_one() {
        assert_eq!(
            parse(r#"{"nms_iou": null}"#).unwrap().iou_threshold,
            Some(1.0)
        );
    }

    #[test]
    fn a_wrong_value_is_told_with_key_found_and_wanted() {
        for (text, key, found, wanted) in [
            ("[1]", "", "[1]", "an object"),
            (r#"{"decode": "v8"}"#, "decode", "\"v8\"", "\"yolov8\""),
            (r#"{"decode": 8}"#, "decode", "8", "\"blazeface\""),
            (r#"{"input": 1}"#, "input", "1", "an object"),
            (
                r#"{"input": {"colour": "rgb"}}"#,
                "input.colour",
                "\"rgb\"",
                "\"RGB\"",
            ),
            (
                r#"{"input": {"std": [1, 0, 1]}}"#,
                "input.std",
                "[1,0,1]",
                "none of them 0",
            ),
            (
                r#"{"input": {"mean": [1, 0]}}"#,
                "input.mean",
                "[1,0]",
                "three",
            ),
            (r#"{"input": {"width": 0}}"#, "input.width", "0", "8192"),
            (
                r#"{"input": {"pad_value": 256}}"#,
                "input.pad_value",
                "256",
                "255",
            ),
            (r#"{"strides": []}"#, "strides", "[]", "[8, 16, 32]"),
            (r#"{"strides": [0]}"#, "strides", "[0]", "[8, 16, 32]"),
            (
                r#"{"anchor_layers": [[16]]}"#,
                "anchor_layers",
                "[[16]]",
                "[[16, 2]",
            ),
            (r#"{"reg_max": 0}"#, "reg_max", "0", "1 to 255"),
            (
                r#"{"center_offset": "middle"}"#,
                "center_offset",
                "\"middle\"",
                "\"half_stride\"",
            ),
            (r#"{"num_classes": -1}"#, "num_classes", "-1", "1 to"),
            (r#"{"first_class": 2}"#, "first_class", "2", "0 or 1"),
            (r#"{"labels": [1]}"#, "labels", "[1]", "texts"),
            (
                r#"{"activation": "relu"}"#,
                "activation",
                "\"relu\"",
                "\"softmax\"",
            ),
            (
                r#"{"columns": ["x1", "y1", "x2", "y2", "score"]}"#,
                "columns",
                "\"score\"]",
                "each of them once",
            ),
            (
                r#"{"score_threshold": 1.5}"#,
                "score_threshold",
                "1.5",
                "0 to 1",
            ),
            (r#"{"nms_iou": "no"}"#, "nms_iou", "\"no\"", "null"),
        ] {
            let error = parse(text).unwrap_err();
            for part in ["x.detect.json", key, found, wanted] {
                assert!(error.contains(part), "{part} in: {error}");
            }
        }
        assert!(parse("{").unwrap_err().contains("not JSON"));
    }

    #[test]
    fn a_long_value_is_cut() {
        let text = format!(r#"{{"decode": "{}"}}"#, "ü".repeat(5000));
        // What remains are the names of the families.
        assert!(parse(&text).unwrap_err().len() < 600);
    }
}
