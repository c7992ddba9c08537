//! UltraFace, the Ultra-Light-Fast face detector: scores of background and face `[1, n, 2]` and boxes `[1, n, 4]`,
//! one for each SSD prior over the input.
//!
//! Exported with its decoding, whose exponential shows in the graph, or without.

use super::{UltraFace, UltraFaceRaw};
use crate::base::tensor::{ColourOrder, Interpolation, ResizeMode};
use crate::families::card::Card;
use crate::families::evidence::face_priors;
use crate::families::evidence::grid_cells::{misfit, told_by_card};
use crate::families::evidence::head::Head;
use crate::families::family::Family;
use crate::families::reading::{Convention, Reading};
use crate::onnx::facts::{Facts, Port};

const EXPECTED: &str = "scores [1, n, 2] and boxes [1, n, 4]";

pub fn read(facts: &Facts) -> Option<Reading> {
    let (boxes, count) = boxes(facts)?;
    let priors = face_priors::count(facts)?;
    if count != Some(priors) {
        return None;
    }
    let head = Head::trace(facts.graph, &boxes.name, 4);
    if head.selects {
        return None;
    }
    let because = |decodes: &str| {
        format!(
            "it has two scores and a box for each of {priors} priors, which the graph {decodes}"
        )
    };
    Some(match head.is_decoded() {
        true => reading(UltraFace, because("decodes")),
        false => reading(UltraFaceRaw, because("does not decode")),
    })
}

pub fn read_as(facts: &Facts, _: &Card) -> Result<Reading, String> {
    boxes(facts).ok_or_else(|| misfit(facts, "ultraface", EXPECTED))?;
    Ok(reading(UltraFace, told_by_card()))
}

pub fn read_as_raw(facts: &Facts, _: &Card) -> Result<Reading, String> {
    boxes(facts).ok_or_else(|| misfit(facts, "ultraface_raw", EXPECTED))?;
    Ok(reading(UltraFaceRaw, told_by_card()))
}

/// The output of boxes and their number, if there are as many scores.
fn boxes<'a>(facts: &'a Facts) -> Option<(&'a Port, Option<usize>)> {
    let [a, b] = &facts.outputs[..] else {
        return None;
    };
    match (a.dims(), b.dims()) {
        (&[_, n, Some(2)], &[_, m, Some(4)]) if n == m => Some((b, n)),
        (&[_, n, Some(4)], &[_, m, Some(2)]) if n == m => Some((a, n)),
        _ => None,
    }
}

fn reading(family: impl Family, because: String) -> Reading {
    Reading {
        name: "UltraFace",
        family: Box::new(family),
        because,
        classes: 1,
        convention: Convention {
            colour: ColourOrder::Rgb,
            mean: [127.0; 3],
            std: [128.0; 3],
            resize: ResizeMode::Stretch,
            pad_value: 0.0,
            interpolation: Interpolation::Linear,
        },
        sure: true,
        // A cell that reaches over the border is one, so any size will do.
        stride: 1,
        labels: &["face"],
        score_threshold: Some(0.7),
        iou_threshold: Some(0.3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::evidence::testing::{Outputs, boxed, with_facts, with_facts_of};
    use crate::onnx::testing::node;

    /// 8 x 8, 4 x 4, 2 x 2 and 1 cells: 192 + 32 + 8 + 3 priors.
    const INPUT: [i64; 4] = [1, 3, 64, 64];

    #[test]
    fn the_exponential_tells_whether_the_graph_decodes() {
        let outputs: Outputs = &[("boxes", &[1, 235, 4]), ("scores", &[1, 235, 2])];
        let family = |op| {
            let nodes = vec![node(op, &["x"], &["boxes"])];
            with_facts_of(nodes, &INPUT, outputs, |facts| {
                read(facts).map(|r| r.family)
            })
        };
        assert_eq!(family("Exp"), Some(boxed(UltraFace)));
        assert_eq!(family("Concat"), Some(boxed(UltraFaceRaw)));
        assert_eq!(family("TopK"), None);
    }

    #[test]
    fn other_numbers_of_boxes_need_a_card() {
        let outputs: Outputs = &[("scores", &[1, 300, 2]), ("boxes", &[1, 300, 4])];
        let card = Card::default();
        with_facts(&INPUT, outputs, |facts| {
            assert_eq!(read(facts), None);
            let family = |told: Result<Reading, String>| told.map(|r| r.family);
            assert_eq!(family(read_as(facts, &card)), Ok(boxed(UltraFace)));
            assert_eq!(family(read_as_raw(facts, &card)), Ok(boxed(UltraFaceRaw)));
        });
        with_facts(&INPUT, &outputs[..1], |facts| {
            assert_eq!(read(facts), None);
            let error = read_as(facts, &card).err().unwrap_or_default();
            assert!(error.contains(EXPECTED), "{error}");
        });
    }
}
