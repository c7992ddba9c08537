//! Regions of interest to what is drawn of them: a box, and a tag with label and score.

use super::settings::Settings;
use crate::draw::{Artist, Drawing, Mark, Style};
use crate::geometry::BBox;
use crate::image::{PictureInfo, PixelFormat};
use crate::meta::Roi;

/// What is drawn of `rois` into `picture`; `composed` where a sink does it.
pub(super) fn layout(
    artist: &mut Artist,
    settings: &Settings,
    picture: &PictureInfo,
    composed: bool,
    rois: &[Roi],
) -> Drawing {
    let size = picture.size;
    let style = Style::new(settings.line_width, settings.font_size, size);
    let texts: Vec<_> = rois.iter().map(|roi| text(roi, settings)).collect();
    let marks: Vec<_> = rois
        .iter()
        .zip(&texts)
        .map(|(roi, text)| Mark {
            bbox: BBox::new(
                roi.x as f32,
                roi.y as f32,
                (roi.x + i64::from(roi.width)) as f32,
                (roi.y + i64::from(roi.height)) as f32,
            ),
            class: &roi.label,
            text,
        })
        .collect();
    // A sink composes in red, green and blue: no chroma to care for.
    let cell = if composed {
        (1, 1)
    } else {
        chroma_cell(picture.format)
    };
    artist.draw(&marks, style, size, cell)
}

fn text(roi: &Roi, settings: &Settings) -> String {
    let label = settings.show_labels.then_some(roi.label.as_str());
    let score = roi
        .score
        .filter(|_| settings.show_scores)
        .map(|s| format!("{s:.2}"));
    let parts = [label, score.as_deref()];
    let parts: Vec<_> = parts
        .into_iter()
        .flatten()
        .filter(|p| !p.is_empty())
        .collect();
    parts.join(" ")
}

/// Pixels across and down that share one chroma sample.
fn chroma_cell(format: PixelFormat) -> (u32, u32) {
    use PixelFormat as F;
    match format {
        F::I420 | F::Yv12 | F::Nv12 | F::Nv21 => (2, 2),
        F::Yuy2 | F::Uyvy | F::Yvyu | F::Y42b | F::Nv16 => (2, 1),
        _ => (1, 1),
    }
}
