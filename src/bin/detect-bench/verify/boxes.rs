//! Compares boxes found in pictures with those of a card: `expected: [{"image": PATH, "boxes": [[x1, y1, x2, y2, score,
//! label], ...]}, ...]`.
//!
//! A box whose score is within the tolerance of the threshold may be found or not.

use super::Checked;
use crate::agreement::{Found, pairs};
use crate::analyse::{self, Analyser};
use crate::args::VerifyArgs;
use crate::failure::Failure;
use crate::settings::Settings;
use gstdetect::base::geometry::BBox;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Number of folders above the card in which its pictures are looked for.
const UPWARDS: usize = 3;

struct Expected {
    image: String,
    boxes: Vec<Found>,
}

/// Returns a verdict on each picture.
pub fn check(
    model: &Path,
    card: &Path,
    arguments: &VerifyArgs,
    settings: &Settings,
) -> Result<Vec<Checked>, Failure> {
    let wrong = |what: String| Failure::Usage(format!("{}: {what}", card.display()));
    let text = std::fs::read_to_string(card).map_err(|err| wrong(err.to_string()))?;
    let json: Value =
        serde_json::from_str(&text).map_err(|err| wrong(format!("it is not JSON: {err}")))?;
    let expected = expected(&json).map_err(wrong)?;
    // A whole card also describes the model.
    let mut settings = settings.clone();
    if json.get("decode").is_some() && settings.get("model-config").is_none() {
        settings.set("model-config", &card.display().to_string());
    }
    let mut analyser = Analyser::new(Some(model), &settings)?;
    let threshold = f64::from(analyser.model.in_force.score_threshold);
    let mut checked = Vec::new();
    for Expected { image, boxes } in expected {
        let path = find(&image, card, arguments.pictures.as_deref())?;
        // RGB, as other programs decode pictures; the file's own colours may be coarser.
        let looked = analyser.look(&analyse::picture(&path, Some("RGB"))?)?;
        checked.push(compare(image, &boxes, &looked.found, threshold, arguments));
    }
    Ok(checked)
}

fn expected(json: &Value) -> Result<Vec<Expected>, String> {
    let wanted = "it needs a list \"expected\" of {\"image\": ..., \"boxes\": [[x1, y1, x2, y2, score, label], ...]}";
    let one = |picture: &Value| {
        let boxes = picture.get("boxes")?.as_array()?.iter().map(found);
        Some(Expected {
            image: picture.get("image")?.as_str()?.to_owned(),
            boxes: boxes.collect::<Option<_>>()?,
        })
    };
    let pictures = json.get("expected").and_then(Value::as_array);
    let all = pictures.and_then(|pictures| pictures.iter().map(one).collect::<Option<Vec<_>>>());
    all.ok_or_else(|| wanted.to_owned())
}

fn found(row: &Value) -> Option<Found> {
    let number = |place: usize| row.get(place)?.as_f64();
    let side = |place: usize| Some(number(place)? as f32);
    Some(Found {
        bbox: BBox::new(side(0)?, side(1)?, side(2)?, side(3)?),
        score: number(4)?,
        label: row.get(5)?.as_str()?.to_owned(),
    })
}

fn find(image: &str, card: &Path, folder: Option<&Path>) -> Result<PathBuf, Failure> {
    let card = std::path::absolute(card).unwrap_or_else(|_| card.to_owned());
    let folders = match folder {
        Some(folder) => vec![folder],
        None => card.ancestors().skip(1).take(UPWARDS).collect(),
    };
    let name = Path::new(image).file_name().map(Path::new);
    let places = folders
        .iter()
        .flat_map(|folder| [Some(folder.join(image)), name.map(|name| folder.join(name))]);
    let found = places.flatten().find(|path| path.is_file());
    found.ok_or_else(|| {
        Failure::pipeline(format!(
            "the picture {image} is in none of the folders {folders:?}; name its folder with --pictures"
        ))
    })
}

fn compare(
    image: String,
    expected: &[Found],
    found: &[Found],
    threshold: f64,
    arguments: &VerifyArgs,
) -> Checked {
    let tolerance = f64::from(arguments.score);
    let pairs: Vec<_> = (pairs(expected, found, arguments.iou).into_iter())
        .filter(|(wanted, got, _)| (expected[*wanted].score - found[*got].score).abs() <= tolerance)
        .collect();
    let clear = |found: &Found| found.score >= threshold + tolerance;
    let missing = expected
        .iter()
        .enumerate()
        .filter(|(n, b)| clear(b) && !pairs.iter().any(|p| p.0 == *n));
    let extra = found
        .iter()
        .enumerate()
        .filter(|(n, b)| clear(b) && !pairs.iter().any(|p| p.1 == *n));
    let describe = |what: &str, found: &Found| {
        let b = &found.bbox;
        format!(
            "{what} {} {:.3} at [{:.1}, {:.1}, {:.1}, {:.1}]",
            found.label, found.score, b.x1, b.y1, b.x2, b.y2
        )
    };
    let wrong: Vec<_> = (missing.map(|(_, b)| describe("missing", b)))
        .chain(extra.map(|(_, b)| describe("not expected", b)))
        .collect();
    let worst = pairs.iter().map(|pair| pair.2).fold(1.0, f32::min);
    let limits = format!(
        "tolerance: IoU {}, score {}",
        arguments.iou, arguments.score
    );
    Checked {
        what: image,
        holds: wrong.is_empty(),
        said: match wrong.is_empty() {
            true => format!("{} boxes, worst IoU {worst:.3} ({limits})", pairs.len()),
            false => format!("{} ({limits})", wrong.join("; ")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Arguments, Command};
    use clap::Parser;

    fn one(x: f32, score: f64) -> Found {
        Found {
            bbox: BBox::new(x, 0.0, x + 100.0, 100.0),
            score,
            label: "cat".into(),
        }
    }

    fn compared(expected: &[Found], found: &[Found]) -> Checked {
        let words = ["detect-bench", "verify", "x.onnx"];
        let Command::Verify(arguments) = Arguments::parse_from(words).command else {
            panic!("another command");
        };
        compare("x.png".into(), expected, found, 0.3, &arguments)
    }

    #[test]
    fn boxes_near_the_threshold_may_come_and_go() {
        assert!(compared(&[one(0.0, 0.9), one(500.0, 0.35)], &[one(1.0, 0.91)]).holds);
        assert!(compared(&[one(0.0, 0.9)], &[one(1.0, 0.91), one(500.0, 0.36)]).holds);
    }

    #[test]
    fn missing_moved_and_unexpected_boxes_are_named() {
        let expected = [one(0.0, 0.9)];
        for (found, part) in [
            (vec![], "missing cat 0.900 at [0.0, 0.0, 100.0, 100.0]"),
            (vec![one(20.0, 0.9)], "not expected cat 0.900 at [20.0"),
            (vec![one(0.0, 0.75)], "missing"),
            (
                vec![one(0.0, 0.9), one(300.0, 0.7)],
                "not expected cat 0.700",
            ),
        ] {
            let checked = compared(&expected, &found);
            assert!(
                !checked.holds && checked.said.contains(part),
                "{}",
                checked.said
            );
        }
    }

    #[test]
    fn a_card_without_boxes_is_refused() {
        let read = |text: &str| expected(&serde_json::from_str(text).expect("JSON"));
        assert!(read(r#"{"decode": "yolov8"}"#).is_err());
        assert!(read(r#"{"expected": [{"image": "a.png", "boxes": [[1, 2, 3]]}]}"#).is_err());
        let card =
            read(r#"{"expected": [{"image": "a.png", "boxes": [[1, 2, 3, 4, 0.5, "cat"]]}]}"#);
        assert_eq!(card.expect("a card")[0].boxes[0].score, 0.5);
    }
}
