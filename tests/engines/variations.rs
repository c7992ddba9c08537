//! Every kind of export in every variation, on every engine: the right boxes, or a clear word.
//!
//! `tests/models/make_variations.py` makes the models. A sample of them lies in `tests/models/variations`; with
//! `DETECT_VARIATIONS=FOLDER` all of those in FOLDER are tried. The table of what came out is printed, and must be that of
//! `src/guide/exports.md`. `DETECT_GOLDEN=write` with all of the models writes the table there anew.

use crate::support::engines::{OPTIONS, installed};
use crate::support::families::{SIZE, picture};
use crate::support::{Folder, micro_model};
use gstdetect::base::detection::{Detection, Thresholds};
use gstdetect::base::geometry::BBox;
use gstdetect::base::image::{ImageView, PictureInfo, PixelFormat, Plane};
use gstdetect::detector::{Detector, DetectorOptions};
use gstdetect::engine::EngineKind;
use gstdetect::model::ModelOptions;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// How far boxes may be off, as IoU, and scores.
const EXACT: (f32, f32) = (0.99, 0.002);
/// Numbers of 16 bits have three digits.
const HALF: (f32, f32) = (0.95, 0.01);

/// What came of a model.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// The boxes of the twin, and no warning.
    Right,
    /// The boxes of the twin, but a warning.
    Doubted(String),
    /// Other boxes, and a warning.
    Warned(String),
    /// No model, for a reason that names what to do.
    Refused(String),
    /// Other boxes and no word, or a reason that helps nobody.
    Wrong(String),
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Doubted(_) => "doubted",
            Self::Warned(_) => "warned",
            Self::Refused(_) => "refused",
            Self::Wrong(_) => "WRONG",
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Right => "",
            Self::Doubted(text) | Self::Warned(text) | Self::Refused(text) | Self::Wrong(text) => {
                text
            }
        }
    }
}

struct Case {
    kind: String,
    variation: String,
    path: PathBuf,
    /// Class, score, left, top, right, bottom.
    expected: Vec<[f32; 6]>,
    fields: Value,
}

impl Case {
    fn number(&self, key: &str) -> f32 {
        self.fields[key].as_f64().expect("a number") as f32
    }
}

fn cases(folder: &Path) -> Vec<Case> {
    let text = std::fs::read(folder.join("cases.json")).expect("the file of cases");
    let cases: Vec<Value> = serde_json::from_slice(&text).expect("a list of cases");
    let text = |fields: &Value, key: &str| fields[key].as_str().expect("a text").to_owned();
    let case = |fields: Value| Case {
        kind: text(&fields, "kind"),
        variation: text(&fields, "variation"),
        path: folder.join(text(&fields, "model") + ".onnx"),
        expected: serde_json::from_value(fields["expected"].clone()).expect("rows of six"),
        fields,
    };
    cases.into_iter().map(case).collect()
}

fn outcome(case: &Case, engine: EngineKind) -> Outcome {
    let folder = Folder::new();
    let card = match &case.fields["card"] {
        Value::Null => None,
        card => Some(folder.file("card.json", card.to_string().as_bytes())),
    };
    let options = DetectorOptions {
        model: ModelOptions {
            path: Some(case.path.clone()),
            card,
            ..ModelOptions::default()
        },
        engine,
        engine_options: OPTIONS,
    };
    let mut detector = match Detector::open(&options) {
        Ok(detector) => detector,
        Err(error) => return refusal(error.to_string()),
    };
    let thresholds = Thresholds {
        score: case.number("threshold"),
        iou: case.number("iou"),
        max_detections: 1000,
        class_agnostic: false,
        min_size: 0,
        classes: None,
    };
    let pixels = picture();
    let plane = Plane {
        data: &pixels,
        stride: SIZE.width as usize * 3,
    };
    let info = PictureInfo::new(PixelFormat::Rgb, SIZE);
    let image = ImageView::new(info, &[plane]).expect("a picture");
    let analysis = match detector.detect(&image, &thresholds) {
        Ok(analysis) => analysis,
        Err(error) => return Outcome::Wrong(format!("it fails on a picture: {error}")),
    };
    let warnings = detector.model().warnings.iter().chain(&analysis.warning);
    let warnings: Vec<&str> = warnings.map(String::as_str).collect();
    let said = warnings.join("; ");
    match (difference(case, analysis.detections), said.is_empty()) {
        (None, true) => Outcome::Right,
        (None, false) => Outcome::Doubted(said),
        (Some(_), false) => Outcome::Warned(said),
        (Some(what), true) => {
            let model = detector.model();
            Outcome::Wrong(format!("{what}; read as {:?}", model.decisions))
        }
    }
}

/// A refusal must lead to a card or to another engine.
fn refusal(error: String) -> Outcome {
    let helps = ["A card", "in a card", "num_classes", "decode", "the engine"];
    match helps.iter().any(|word| error.contains(word)) {
        true => Outcome::Refused(error),
        false => Outcome::Wrong(error),
    }
}

/// How what was found is not what is expected, no more and no less.
fn difference(case: &Case, mut found: Vec<Detection>) -> Option<String> {
    let (overlap, near) = match case.fields["half"].as_bool() {
        Some(true) => HALF,
        _ => EXACT,
    };
    for &[class, score, x1, y1, x2, y2] in &case.expected {
        let wanted = BBox::new(x1, y1, x2, y2);
        let same = found.iter().position(|d| {
            d.class as f32 == class
                && (d.score - score).abs() < near
                && d.bbox.iou(&wanted) > overlap
        });
        let Some(index) = same else {
            return Some(format!(
                "no {class} of {score} at {x1} {y1} {x2} {y2} among {found:?}"
            ));
        };
        found.swap_remove(index);
    }
    (!found.is_empty()).then(|| format!("too many: {found:?}"))
}

/// The words of every engine for each kind and variation, in the order of the cases.
#[derive(Default)]
struct Table {
    kinds: Vec<String>,
    variations: Vec<String>,
    cells: BTreeMap<(String, String), String>,
}

impl Table {
    fn put(&mut self, kind: &str, variation: &str, cell: String) {
        for (list, name) in [(&mut self.kinds, kind), (&mut self.variations, variation)] {
            if !list.iter().any(|own| own == name) {
                list.push(name.to_owned());
            }
        }
        let place = (kind.to_owned(), variation.to_owned());
        self.cells.insert(place, cell);
    }

    fn get(&self, kind: &str, variation: &str) -> Option<&str> {
        let place = (kind.to_owned(), variation.to_owned());
        self.cells.get(&place).map(String::as_str)
    }

    fn written(&self) -> String {
        let mut text = format!("| kind | {} |\n", self.variations.join(" | "));
        text += &"|---".repeat(self.variations.len() + 1);
        text += "|\n";
        for kind in &self.kinds {
            let cells = self.variations.iter().map(|v| self.get(kind, v));
            let cells: Vec<&str> = cells.map(|cell| cell.unwrap_or("-")).collect();
            let _ = writeln!(text, "| {kind} | {} |", cells.join(" | "));
        }
        text
    }

    /// The only table of a page.
    fn read(page: &str) -> Self {
        let parts = |line: &str| -> Vec<String> {
            let parts = line.trim_matches('|').split('|').map(str::trim);
            parts.map(str::to_owned).collect()
        };
        let mut lines = page.lines().filter(|line| line.starts_with('|'));
        let names = parts(lines.next().unwrap_or_default());
        let mut table = Self::default();
        for line in lines.skip(1) {
            let cells = parts(line);
            for (variation, cell) in names.iter().zip(&cells).skip(1) {
                table.put(&cells[0], variation, cell.clone());
            }
        }
        table
    }

    /// The page with this table in place of its own.
    fn in_page(&self, page: &str) -> String {
        let own = |line: &&str| line.starts_with('|');
        let before = page.split_inclusive('\n').take_while(|line| !own(line));
        let after = page.split_inclusive('\n').skip_while(|line| !own(line));
        let before: String = before.collect();
        let after: String = after.skip_while(|line| own(line)).collect();
        before + &self.written() + &after
    }
}

/// One word if the engines agree, else one for each.
fn joined(outcomes: &[Outcome]) -> String {
    let words: Vec<&str> = outcomes.iter().map(Outcome::word).collect();
    match words.windows(2).all(|pair| pair[0] == pair[1]) {
        true => words[0].to_owned(),
        false => words.join("/"),
    }
}

#[test]
fn each_kind_in_each_variation_gives_the_right_boxes_or_a_clear_word() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide/exports.md");
    let text = std::fs::read_to_string(&page).expect("the page of the guide");
    let all = std::env::var_os("DETECT_VARIATIONS");
    let folder = all
        .clone()
        .map_or_else(|| micro_model("variations"), PathBuf::from);
    let engines = [&[EngineKind::Tract], &installed()[..]].concat();
    let (mut table, mut words) = (Table::default(), Vec::new());
    for case in cases(&folder) {
        let outcomes: Vec<Outcome> = engines.iter().map(|e| outcome(&case, *e)).collect();
        table.put(&case.kind, &case.variation, joined(&outcomes));
        for (engine, outcome) in engines.iter().zip(&outcomes) {
            if *outcome != Outcome::Right {
                let (kind, variation, word) = (&case.kind, &case.variation, outcome.word());
                words.push(format!(
                    "{kind}, {variation}, {engine}: {word}: {}",
                    outcome.text()
                ));
            }
        }
    }
    let names: Vec<String> = engines.iter().map(ToString::to_string).collect();
    println!("{}\n{}", names.join(", "), table.written());
    println!("{}", words.join("\n"));
    let wrong = words.iter().filter(|line| line.contains(": WRONG: "));
    assert_eq!(wrong.count(), 0, "boxes are wrong in silence");
    if all.is_some() && std::env::var_os("DETECT_GOLDEN").is_some() {
        std::fs::write(&page, table.in_page(&text)).expect("the folder is writable");
        return;
    }
    let wanted = Table::read(&text);
    for (kind, variation) in table.cells.keys() {
        let (cell, wanted) = (table.get(kind, variation), wanted.get(kind, variation));
        // Of engines that are not here nothing is known.
        let begins = |w: &str| w.starts_with(cell.unwrap_or_default());
        let same = cell == wanted || (engines.len() < 3 && wanted.is_some_and(begins));
        assert!(same, "{kind}, {variation}: {cell:?}, expected {wanted:?}");
    }
}
