//! BlazeFace, MediaPipe's short-range face detectors: scores `[1, n, 1]` and boxes with six key points `[1, n, 16]`,
//! of 896 anchors, in two tensors each (512 and 384) or in one.
//!
//! The anchors lie in two grids, 2 a cell in the finer and 6 a cell in one of twice the stride. The front camera's
//! model takes 128x128 (strides 8 and 16), the back camera's 256x256 (strides 16 and 32).

use super::{ANCHOR_LAYERS, AnchorLayer, BlazeFace};
use crate::base::tensor::{ColourOrder, Interpolation, ResizeMode};
use crate::families::card::Card;
use crate::families::reading::{Convention, Reading};
use crate::onnx::facts::Facts;

const ANCHORS_FINE: usize = 2;
const ANCHORS_COARSE: usize = 6;

pub fn read(facts: &Facts) -> Option<Reading> {
    let counts = counts(facts)?;
    let (width, height) = (facts.picture.width?, facts.picture.height?);
    if width != height {
        return None;
    }
    let layers = layers(&counts, width)?;
    let because = format!(
        "it has {} anchors with a score and 16 numbers each, on {width}x{height}",
        counts.iter().sum::<usize>()
    );
    Some(reading(layers, because))
}

pub fn read_as(facts: &Facts, card: &Card) -> Result<Reading, String> {
    let Some(layers) = card.get(&ANCHOR_LAYERS) else {
        return read(facts).ok_or_else(|| {
            "decode is \"blazeface\" but the outputs are not [1, n, 1] and [1, n, 16] of two grids, expected \
             anchor_layers: [[stride, anchors], ...]"
                .into()
        });
    };
    if counts(facts).is_none() {
        return Err("decode is \"blazeface\", which has outputs [1, n, 1] and [1, n, 16]".into());
    }
    Ok(reading(layers, "the card says so".into()))
}

fn reading(anchor_layers: Vec<AnchorLayer>, because: String) -> Reading {
    Reading {
        name: "BlazeFace",
        stride: anchor_layers
            .iter()
            .map(|layer| layer.stride)
            .max()
            .unwrap_or(1),
        family: Box::new(BlazeFace { anchor_layers }),
        because,
        classes: 1,
        convention: Convention {
            colour: ColourOrder::Rgb,
            mean: [127.5; 3],
            std: [127.5; 3],
            resize: ResizeMode::LetterboxCentre,
            pad_value: 0.0,
            interpolation: Interpolation::Linear,
        },
        sure: true,
        labels: &["face"],
        score_threshold: Some(0.6),
        iou_threshold: Some(0.3),
    }
}

/// Anchors in each tensor of scores, if each has its tensor of boxes.
fn counts(facts: &Facts) -> Option<Vec<usize>> {
    let (mut scores, mut boxes) = (Vec::new(), Vec::new());
    for output in &facts.outputs {
        match *output.dims() {
            [_, Some(n), Some(1)] => scores.push(n),
            [_, Some(n), Some(16)] => boxes.push(n),
            _ => return None,
        }
    }
    (!scores.is_empty() && scores == boxes).then_some(scores)
}

/// The grids that have so many anchors over `side` pixels.
fn layers(counts: &[usize], side: u32) -> Option<Vec<AnchorLayer>> {
    let (fine, coarse) = match *counts {
        [fine, coarse] => (fine, coarse),
        // 2 in each of four cells and 6 in the one over them are 14 to four fine cells.
        [n] if n % 14 == 0 => (n / 14 * 8, n / 14 * 6),
        _ => return None,
    };
    let layer = |count: usize, anchors: usize| {
        let cells = count.is_multiple_of(anchors).then_some(count / anchors)?;
        let grid = u32::try_from(cells.isqrt())
            .ok()
            .filter(|g| *g > 0 && (*g as usize).pow(2) == cells)?;
        side.is_multiple_of(grid).then_some(AnchorLayer {
            stride: side / grid,
            anchors,
        })
    };
    let (fine, coarse) = (layer(fine, ANCHORS_FINE)?, layer(coarse, ANCHORS_COARSE)?);
    (coarse.stride == 2 * fine.stride).then(|| vec![fine, coarse])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strides(counts: &[usize], side: u32) -> Option<Vec<u32>> {
        Some(
            layers(counts, side)?
                .iter()
                .map(|layer| layer.stride)
                .collect(),
        )
    }

    #[test]
    fn grids_follow_from_counts_and_size() {
        assert_eq!(strides(&[512, 384], 128), Some(vec![8, 16]));
        assert_eq!(strides(&[512, 384], 256), Some(vec![16, 32]));
        assert_eq!(strides(&[896], 128), Some(vec![8, 16]));
        assert_eq!(strides(&[896], 256), Some(vec![16, 32]));
    }

    #[test]
    fn other_counts_are_no_grids() {
        for counts in [
            &[512, 512][..],
            &[510, 384],
            &[384, 512],
            &[2304],
            &[],
            &[0, 0],
            &[1, 2, 3],
        ] {
            assert_eq!(strides(counts, 128), None, "{counts:?}");
        }
        assert_eq!(strides(&[512, 384], 100), None);
    }
}
