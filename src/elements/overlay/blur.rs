//! [`Blur`]: which regions are made unrecognisable, with how much margin, and what may be seen all the same.
//!
//! When in doubt it covers more: labels are compared without regard to case, boxes are widened, and widened further if they
//! are older than the frame, since their objects have moved.

use crate::base::geometry::Size;
use crate::bridge::meta::{Figures, Roi};
use crate::vision::draw::Rect;

/// Margin on each side, as a share of the width and height: boxes of faces end at chin and brow.
const MARGIN: f64 = 0.125;
/// Further margin for every second that the box is older than the frame, and its limit.
const MARGIN_PER_SECOND: f64 = 1.0;
const MAX_AGE_MARGIN: f64 = 0.5;
/// Most labels named in a warning.
const MAX_NAMED: usize = 12;

/// Value of the property `blur`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blur {
    text: Option<String>,
    /// The entries, each between two commas: ",face,license plate,".
    list: String,
}

impl Blur {
    pub fn new(text: Option<String>) -> Self {
        let entries = text.as_deref().map(normalised).unwrap_or_default();
        let list = match entries.as_str() {
            "" => String::new(),
            entries => format!(",{entries},"),
        };
        Self { text, list }
    }

    /// Returns the value as the user wrote it.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether the list has this label. A label that contains a comma is found where all its parts stand side by side.
    fn covers(&self, label: &str) -> bool {
        let label = normalised(label);
        !label.is_empty() && self.list.contains(&format!(",{label},"))
    }

    /// Returns the areas to make unrecognisable in a picture of `size`.
    pub fn areas(&self, rois: &[Roi], size: Size) -> Vec<Rect> {
        let mut areas = Vec::new();
        if !self.is_empty() {
            let covered = rois.iter().filter(|roi| self.covers(&roi.label));
            areas.extend(covered.map(|roi| area(roi, size)));
            areas.retain(|area| !area.is_empty());
        }
        areas
    }

    /// Returns a warning for each thing that may be seen although it should be covered.
    pub fn doubts(&self, figures: &Figures) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.is_empty() {
            return doubts;
        }
        let named = |entry: &&str| {
            let mut labels = figures.labels.iter().map(|label| normalised(label));
            labels.any(|label| {
                let parts = format!(",{label},");
                self.list.contains(&parts) && parts.contains(&format!(",{entry},"))
            })
        };
        let unknown = self.list.split(',').filter(|entry| !entry.is_empty());
        let unknown: Vec<_> = unknown.filter(|entry| !named(entry)).collect();
        if !figures.labels.is_empty() && !unknown.is_empty() {
            let mut labels = figures.labels.clone();
            if labels.len() > MAX_NAMED {
                labels.truncate(MAX_NAMED);
                labels.push("...".into());
            }
            doubts.push(format!(
                "blur: no box is called \"{}\" and so nothing is pixelated for it; the labels upstream are: {}",
                unknown.join("\", \""),
                labels.join(", ")
            ));
        }
        if !figures.active {
            doubts.push(
                "blur: upstream has active=false, so nothing is found and nothing is pixelated"
                    .into(),
            );
        }
        if figures.mode == "passthrough" {
            doubts.push(
                "blur: with mode=passthrough frames leave before they are analysed; \
                 use mode=newest or mode=every to show analysed frames only"
                    .into(),
            );
        }
        doubts
    }
}

/// Returns the entries of a comma list in small letters, without surrounding spaces and quotes.
fn normalised(text: &str) -> String {
    let trim = |entry: &str| {
        let entry = entry.trim().trim_matches(['"', '\'']).trim();
        entry.to_lowercase()
    };
    let entries = text.split(',').map(trim);
    let entries: Vec<_> = entries.filter(|entry| !entry.is_empty()).collect();
    entries.join(",")
}

/// The box with its margin, in whole pixels, clipped to the picture.
fn area(roi: &Roi, size: Size) -> Rect {
    let age = roi.age.map_or(0.0, gst::ClockTime::seconds_f64);
    let share = MARGIN + (age * MARGIN_PER_SECOND).min(MAX_AGE_MARGIN);
    let span = |from: i64, length: u32| {
        if length == 0 {
            return (0, 0);
        }
        let by = (f64::from(length) * share).ceil() as i64;
        // Far outside any picture.
        let limit = |v: i64| v.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        (limit(from - by), limit(from + i64::from(length) + by))
    };
    let ((x1, x2), (y1, y2)) = (span(roi.x, roi.width), span(roi.y, roi.height));
    Rect::new(x1, y1, x2, y2).intersect(&Rect::of_size(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(320, 240);

    fn roi(label: &str, x: i64, width: u32) -> Roi {
        Roi {
            x,
            y: 100,
            width,
            height: 40,
            label: label.into(),
            score: None,
            id: 0,
            track: None,
            age: None,
            share: None,
        }
    }

    fn blur(text: &str) -> Blur {
        Blur::new(Some(text.into()))
    }

    #[test]
    fn labels_are_found_however_they_are_written() {
        let list = blur(" Face, 'license plate',salt, pepper,,\"Gesicht\"");
        for label in [
            "face",
            "FACE ",
            "License Plate",
            "salt, pepper",
            "salt",
            "gesicht",
        ] {
            assert!(list.covers(label), "{label}");
        }
        for label in ["", "fac", "plate", "face, license", ","] {
            assert!(!list.covers(label), "{label}");
        }
        assert!(blur("").is_empty() && blur(" , ,").is_empty() && Blur::new(None).is_empty());
        assert_eq!(blur(" a,").text(), Some(" a,"));
    }

    #[test]
    fn a_box_is_widened_and_more_so_where_it_is_old() {
        let mut roi = roi("face", 100, 80);
        let area_of = |roi: &Roi| blur("face").areas(std::slice::from_ref(roi), SIZE);
        assert_eq!(area_of(&roi), [Rect::new(90, 95, 190, 145)]);
        roi.age = Some(gst::ClockTime::from_mseconds(100));
        assert_eq!(area_of(&roi), [Rect::new(82, 91, 198, 149)]);
        roi.age = Some(gst::ClockTime::from_seconds(3600));
        assert_eq!(area_of(&roi), [Rect::new(50, 75, 230, 165)]);
    }

    #[test]
    fn boxes_beyond_the_edge_are_covered_as_far_as_they_are_seen() {
        let rois = [
            roi("face", -30, 80),
            roi("face", 310, u32::MAX),
            roi("face", 325, 80), // its margin reaches the picture
            roi("face", 400, 80),
            roi("face", 50, 0),
            roi("person", 50, 50),
        ];
        let areas = blur("face").areas(&rois, SIZE);
        let spans: Vec<_> = areas.iter().map(|a| (a.x1, a.x2)).collect();
        assert_eq!(spans, [(0, 60), (0, 320), (315, 320)]);
    }

    #[test]
    fn what_may_be_seen_all_the_same_is_warned_of() {
        let figures = |mode: &str, active, labels: &[&str]| Figures {
            mode: mode.into(),
            active,
            labels: labels.iter().map(|l| l.to_string()).collect(),
            ..Figures::default()
        };
        let good = figures("newest", true, &["Face", "salt, pepper"]);
        assert_eq!(blur("face,salt,pepper").doubts(&good), [""; 0]);
        assert_eq!(blur("faces").doubts(&figures("every", true, &[])), [""; 0]);
        let doubts = blur("faces, face").doubts(&good);
        assert!(
            doubts.len() == 1
                && doubts[0].contains("called \"faces\" and")
                && doubts[0].contains("Face, salt"),
            "{doubts:?}"
        );
        let doubts = blur("face").doubts(&figures("passthrough", false, &["face"]));
        assert!(doubts[0].contains("active=false") && doubts[1].contains("passthrough"));
        assert_eq!(
            blur("").doubts(&figures("passthrough", false, &["face"])),
            [""; 0]
        );
    }
}
