//! `detect`: boxes of pictures, as JSON in the form of a model's card, or drawn into copies.

use crate::agreement::Found;
use crate::analyse::{self, Analyser};
use crate::args::DetectArgs;
use crate::failure::Failure;
use crate::report::{print, to_json};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What a card has of these keys; `verify` reads it.
#[derive(Debug, Serialize)]
struct Card {
    name: String,
    engine: String,
    expected: Vec<Picture>,
}

#[derive(Debug, Serialize)]
struct Picture {
    image: String,
    /// Left, top, right and bottom in pixels, score, label; best first.
    boxes: Vec<(f64, f64, f64, f64, f64, String)>,
}

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
            boxes: looked.found.iter().map(told).collect(),
        });
    }
    print(&to_json(&Card {
        name: crate::run::name(arguments.model.as_deref()),
        engine: analyser.model.engine.clone(),
        expected: pictures,
    })?)
}

/// A tenth of a pixel and four places of a score, as in cards.
fn told(found: &Found) -> (f64, f64, f64, f64, f64, String) {
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

/// The name of a picture, as PNG, in `folder`.
fn copy_of(picture: &Path, folder: &Path) -> PathBuf {
    let name = picture.file_name().unwrap_or(picture.as_os_str());
    folder.join(name).with_extension("png")
}

#[cfg(test)]
mod tests {
    use super::*;
    use gstdetect::geometry::BBox;

    #[test]
    fn a_box_is_told_as_in_a_card() {
        let found = Found {
            bbox: BBox::new(1.26, 2.0, 30.04, 40.0),
            score: 0.923_456,
            label: "cat".into(),
        };
        let json = serde_json::to_string(&told(&found)).expect("JSON");
        assert_eq!(json, r#"[1.3,2.0,30.0,40.0,0.9235,"cat"]"#);
    }

    #[test]
    fn a_copy_keeps_the_name() {
        assert_eq!(
            copy_of(Path::new("/a/b.jpg"), Path::new("out")),
            Path::new("out/b.png")
        );
    }
}
