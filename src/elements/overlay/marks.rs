//! Converts regions of interest to drawings: a box, and a tag with label, number of the track and score.

use super::settings::Settings;
use crate::base::geometry::BBox;
use crate::base::image::{PictureInfo, PixelFormat};
use crate::bridge::meta::Roi;
use crate::vision::draw::{Artist, Drawing, Mark, Style};

/// Lays out `rois` for `picture`, with `caption` in its corner.
pub(super) fn layout(
    artist: &mut Artist,
    settings: &Settings,
    picture: &PictureInfo,
    caption: Option<&str>,
    rois: &[Roi],
) -> Drawing {
    let size = picture.size;
    let style = Style::new(settings.line_width, settings.font_size, size);
    let tails: Vec<_> = rois.iter().map(|roi| tail(roi, settings)).collect();
    let marks: Vec<_> = rois
        .iter()
        .zip(&tails)
        .map(|(roi, tail)| Mark {
            bbox: BBox::new(
                roi.x as f32,
                roi.y as f32,
                (roi.x + i64::from(roi.width)) as f32,
                (roi.y + i64::from(roi.height)) as f32,
            ),
            class: &roi.label,
            text: if settings.show_labels { &roi.label } else { "" },
            tail,
        })
        .collect();
    // The same where a sink composes, so that it shows what would be painted.
    let cell = chroma_cell(picture.format);
    artist.draw(&marks, caption, style, size, cell)
}

/// Returns what stands behind the label on the tag: ` #7 0.87`. There is no space in front where there is no label.
fn tail(roi: &Roi, settings: &Settings) -> String {
    let track = roi.track.filter(|_| settings.show_labels);
    let score = roi.score.filter(|_| settings.show_scores);
    let has_label = settings.show_labels && !roi.label.is_empty();
    let parts = [
        has_label.then(String::new),
        track.map(|number| format!("#{number}")),
        score.map(|score| format!("{score:.2}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Number of pixels across and down that share one chroma sample.
fn chroma_cell(format: PixelFormat) -> (u32, u32) {
    use PixelFormat as F;
    match format {
        F::I420 | F::Yv12 | F::Nv12 | F::Nv21 => (2, 2),
        F::Yuy2 | F::Uyvy | F::Yvyu | F::Y42b | F::Nv16 => (2, 1),
        _ => (1, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_says_what_is_known_and_wanted() {
        let mut roi = Roi {
            x: 0,
            y: 0,
            width: 1,
            height: 1,
            label: "dog".into(),
            score: Some(0.874),
            id: 3,
            track: Some(7),
            age: None,
            share: None,
        };
        let mut settings = Settings::default();
        assert_eq!(tail(&roi, &settings), " #7 0.87");
        settings.show_labels = false;
        assert_eq!(tail(&roi, &settings), "0.87");
        settings.show_labels = true;
        settings.show_scores = false;
        assert_eq!(tail(&roi, &settings), " #7");
        roi.label = String::new();
        assert_eq!(tail(&roi, &settings), "#7");
        roi.track = None;
        assert_eq!(tail(&roi, &settings), "");
    }
}
