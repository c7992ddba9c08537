//! `detect`: finds boxes in pictures, prints them as a model's card has them, or draws them into copies.

use crate::agreement::Found;
use crate::analyse::{self, Analyser};
use crate::args::DetectArgs;
use crate::failure::Failure;
use crate::report::print;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A picture and its boxes.
struct Picture {
    image: String,
    boxes: Vec<Row>,
}

/// Left, top, right and bottom in pixels, score, label.
type Row = (f64, f64, f64, f64, f64, String);

pub fn run(arguments: &DetectArgs) -> Result<(), Failure> {
    if let Some(folder) = &arguments.draw {
        std::fs::create_dir_all(folder).map_err(|err| Failure::output(folder, &err))?;
    }
    let settings = arguments.properties.settings()?;
    let mut analyser = Analyser::new(arguments.model.as_deref(), &settings)?;
    let mut pictures = Vec::new();
    for path in &arguments.files {
        let looked = analyser.look(&analyse::picture(path, None)?)?;
        if let Some(folder) = &arguments.draw {
            analyse::draw(&looked.sample, &copy_of(path, folder))?;
        }
        pictures.push(Picture {
            image: path.display().to_string(),
            boxes: looked.found.iter().map(row).collect(),
        });
    }
    let name = crate::run::name(arguments.model.as_deref());
    print(&card(&name, &analyser.model.engine, &pictures))
}

/// Writes the keys of a card that `verify` reads, with one box on each line, highest score first.
fn card(name: &str, engine: &str, pictures: &[Picture]) -> String {
    let text = |text: &str| Value::from(text).to_string();
    let all = pictures.iter().map(|picture| {
        let rows = picture.boxes.iter().map(|(x1, y1, x2, y2, score, label)| {
            format!(
                "\n      [{x1:.1}, {y1:.1}, {x2:.1}, {y2:.1}, {score}, {}]",
                text(label)
            )
        });
        let rows = rows.collect::<Vec<_>>().join(",");
        format!(
            "\n    {{\"image\": {}, \"boxes\": [{rows}]}}",
            text(&picture.image)
        )
    });
    format!(
        "{{\n  \"name\": {},\n  \"engine\": {},\n  \"expected\": [{}\n  ]\n}}\n",
        text(name),
        text(engine),
        all.collect::<Vec<_>>().join(",")
    )
}

/// Rounds a box to tenths of a pixel, and its score to four places, as cards have them.
fn row(found: &Found) -> Row {
    let pixels = |v: f32| (f64::from(v) * 10.0).round() / 10.0;
    let score = (found.score * 1e4).round() / 1e4;
    let b = &found.bbox;
    (
        pixels(b.x1),
        pixels(b.y1),
        pixels(b.x2),
        pixels(b.y2),
        score,
        found.label.clone(),
    )
}

/// Returns where the copy of a picture is written: under the same name, as PNG, in `folder`.
fn copy_of(picture: &Path, folder: &Path) -> PathBuf {
    let name = picture.file_name().unwrap_or(picture.as_os_str());
    folder.join(name).with_extension("png")
}

#[cfg(test)]
mod tests {
    use super::*;
    use gstdetect::base::geometry::BBox;

    #[test]
    fn a_box_is_written_as_in_a_card() {
        let found = Found {
            bbox: BBox::new(1.26, 2.0, 30.04, 40.0),
            score: 0.923_456,
            label: "cat".into(),
        };
        let picture = Picture {
            image: "a \"b\".jpg".into(),
            boxes: vec![row(&found), row(&found)],
        };
        let none = Picture {
            image: "c.jpg".into(),
            boxes: Vec::new(),
        };
        let card = card("x", "tract", &[picture, none]);
        assert!(
            card.contains("\n      [1.3, 2.0, 30.0, 40.0, 0.9235, \"cat\"],\n"),
            "{card}"
        );
        let json: Value = serde_json::from_str(&card).expect("JSON");
        assert_eq!(json["expected"][0]["image"], "a \"b\".jpg");
        assert_eq!(
            json["expected"][1]["boxes"].as_array().map(Vec::len),
            Some(0)
        );
    }

    #[test]
    fn a_copy_keeps_the_name() {
        assert_eq!(
            copy_of(Path::new("/a/b.jpg"), Path::new("out")),
            Path::new("out/b.png")
        );
    }
}
