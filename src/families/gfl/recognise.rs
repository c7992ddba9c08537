//! NanoDet and PicoDet: class scores, and for each side of a box a distribution over eight distances.
//!
//! | reading | outputs | strides | boxes measured from | input |
//! |---|---|---|---|---|
//! | NanoDet | `[1, n, classes + 32]` | 8 16 32 | middle of the cell | BGR, mean and deviation, stretch |
//! | NanoDet-Plus | same | 8 16 32 64 | corner of the cell | same |
//! | NanoDet, first version | `[1, n, classes]` a stride, then `[1, n, 32]` a stride | 8 16 32 | half a pixel before the middle | same |
//! | PicoDet | same | 8 16 32 64 | middle of the cell | RGB, mean and deviation, stretch, cubic |
//!
//! Other orders of the outputs apart are decoded, but no reading tells how their pictures are prepared.

use super::{AnchorPoint, Gfl, REG_MAX};
use crate::base::tensor::{ColourOrder, Interpolation, ResizeMode};
use crate::families::card::{self, Card};
use crate::families::evidence::grid_cells::{STRIDES, cells, largest, misfit, told_by_card};
use crate::families::evidence::head::Head;
use crate::families::reading::{Convention, Reading};
use crate::onnx::facts::Facts;

const BINS: usize = 8;
const SIDES: usize = 4;

pub fn read(facts: &Facts) -> Option<Reading> {
    read_joined(facts).or_else(|| read_apart(facts))
}

fn read_joined(facts: &Facts) -> Option<Reading> {
    let (features, candidates) = joined(facts)?;
    let classes = features.checked_sub(SIDES * BINS).filter(|n| *n > 0)?;
    let strides = STRIDES
        .into_iter()
        .find(|strides| candidates.is_some() && cells(facts, strides) == candidates)?;
    let head = Head::trace(facts.graph, &facts.outputs[0].name, features);
    // YOLOX, with the same dims, has a sigmoid for the objectness and one for the classes at every stride.
    let raw = !(head.exponential || head.grid || head.selects);
    if !raw || !(1..=strides.len()).contains(&head.sigmoids) {
        return None;
    }
    let because = format!(
        "its candidates of {classes} + {} numbers are one a cell of strides {strides:?}, with one sigmoid a stride",
        SIDES * BINS
    );
    let (name, anchor_point) = match strides.len() {
        4 => ("NanoDet-Plus", AnchorPoint::Corner),
        _ => ("NanoDet", AnchorPoint::Middle),
    };
    let family = family(strides, BINS, anchor_point);
    Some(nanodet(name, family, classes, because))
}

fn read_apart(facts: &Facts) -> Option<Reading> {
    let apart = Apart::find(facts, SIDES * BINS).filter(|apart| apart.scores_first)?;
    let of_cells = |strides: &&[u32]| {
        strides.len() == apart.counts.len()
            && (strides.iter().zip(&apart.counts))
                .all(|(stride, count)| count.is_some() && cells(facts, &[*stride]) == *count)
    };
    let strides = STRIDES.into_iter().find(of_cells)?;
    let because = format!(
        "it has scores of {} classes and {} numbers for the sides of boxes, apart for the strides {strides:?}",
        apart.classes,
        SIDES * BINS
    );
    let reading = |name, anchor_point| {
        let family = family(strides, BINS, anchor_point);
        nanodet(name, family, apart.classes, because)
    };
    Some(match strides.len() {
        4 => Reading {
            convention: picodet_convention(),
            ..reading("PicoDet", AnchorPoint::Middle)
        },
        _ => reading("NanoDet, first version", AnchorPoint::MiddlePixel),
    })
}

pub fn read_as(facts: &Facts, card: &Card) -> Result<Reading, String> {
    let bins = card.get(&REG_MAX).map_or(BINS, |reg_max| reg_max + 1);
    let fields = SIDES * bins;
    let apart = Apart::find(facts, fields);
    let in_one = joined(facts).filter(|(features, _)| *features > fields);
    let (classes, levels) = match (&apart, in_one) {
        (Some(apart), _) => (apart.classes, Some(apart.counts.len())),
        (None, Some((features, _))) => (features - fields, None),
        (None, None) => {
            let expected = format!(
                "one [1, n, classes + {fields}], or [1, n, classes] and [1, n, {fields}] for every stride \
                 (reg_max {})",
                bins - 1
            );
            return Err(misfit(facts, "gfl", &expected));
        }
    };
    let usual = || {
        let fits = |strides: &&[u32]| match levels {
            Some(levels) => strides.len() == levels,
            None => in_one.is_some_and(|(_, n)| n.is_some() && cells(facts, strides) == n),
        };
        STRIDES.into_iter().find(fits)
    };
    let own = card.get(&card::STRIDES);
    let strides = match &own {
        Some(strides) => &strides[..],
        None => usual().ok_or(
            "decode is \"gfl\" but the strides are not known, expected strides: [8, 16, 32]",
        )?,
    };
    let family = family(strides, bins, AnchorPoint::Middle);
    Ok(nanodet("GFL layout", family, classes, told_by_card()))
}

/// Numbers for each candidate, and candidates, of the only output.
fn joined(facts: &Facts) -> Option<(usize, Option<usize>)> {
    match *facts.only_output()?.1 {
        [_, candidates, Some(features)] => Some((features, candidates)),
        _ => None,
    }
}

/// Outputs of scores and of sides for every stride.
struct Apart {
    classes: usize,
    /// Candidates of each stride; `None` where the export leaves it free.
    counts: Vec<Option<usize>>,
    scores_first: bool,
}

impl Apart {
    /// `fields` numbers are the sides of one box.
    fn find(facts: &Facts, fields: usize) -> Option<Self> {
        let mut all = Vec::new();
        for output in &facts.outputs {
            match *output.dims() {
                [_, count, Some(width)] => all.push((width, count)),
                _ => return None,
            }
        }
        let levels = all.len() / 2;
        let (sides, scores): (Vec<_>, Vec<_>) = if all.iter().all(|(width, _)| *width == fields) {
            (all[levels..].to_vec(), all[..levels].to_vec())
        } else {
            all.iter().partition(|(width, _)| *width == fields)
        };
        let counts = |outputs: &[(usize, Option<usize>)]| {
            outputs.iter().map(|(_, count)| *count).collect::<Vec<_>>()
        };
        let classes = scores.first()?.0;
        let alike = scores.iter().all(|(width, _)| *width == classes);
        (alike && counts(&scores) == counts(&sides)).then(|| Self {
            classes,
            counts: counts(&scores),
            scores_first: all[..levels] == scores,
        })
    }
}

fn family(strides: &[u32], bins: usize, anchor_point: AnchorPoint) -> Gfl {
    Gfl {
        strides: strides.to_vec(),
        bins,
        anchor_point,
    }
}

fn nanodet(name: &'static str, family: Gfl, classes: usize, because: String) -> Reading {
    Reading {
        name,
        stride: largest(&family.strides),
        family: Box::new(family),
        because,
        classes,
        convention: Convention {
            colour: ColourOrder::Bgr,
            mean: [103.53, 116.28, 123.675],
            std: [57.375, 57.12, 58.395],
            resize: ResizeMode::Stretch,
            pad_value: 0.0,
            interpolation: Interpolation::Linear,
        },
        sure: false,
        labels: &[],
        score_threshold: Some(0.4),
        iou_threshold: Some(0.6),
    }
}

fn picodet_convention() -> Convention {
    Convention {
        colour: ColourOrder::Rgb,
        mean: [123.675, 116.28, 103.53],
        std: [58.395, 57.12, 57.375],
        resize: ResizeMode::Stretch,
        pad_value: 0.0,
        interpolation: Interpolation::Cubic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::Family;
    use crate::families::evidence::testing::{Outputs, card, with_facts, with_facts_of};
    use crate::onnx::testing::node;

    /// 8 x 8, 4 x 4, 2 x 2 cells and one of 64.
    const INPUT: [i64; 4] = [1, 3, 64, 64];
    const APART: Outputs = &[
        ("c8", &[1, 64, 3]),
        ("c16", &[1, 16, 3]),
        ("c32", &[1, 4, 3]),
        ("d8", &[1, 64, 32]),
        ("d16", &[1, 16, 32]),
        ("d32", &[1, 4, 32]),
    ];

    fn joined_reading(candidates: i64, sigmoids: usize, last: &str) -> Option<Reading> {
        let names: Vec<String> = (0..sigmoids).map(|i| format!("s{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut nodes: Vec<_> = (names.iter())
            .map(|name| node("Sigmoid", &["x"], &[name]))
            .collect();
        nodes.push(node(last, &names, &["y"]));
        let dims = [1, candidates, 35];
        with_facts_of(nodes, &INPUT, &[("y", &dims)], read)
    }

    #[test]
    fn joined_outputs_tell_the_version_by_their_strides() {
        let three = joined_reading(84, 3, "Concat").expect("NanoDet");
        assert_eq!(three.classes, 3);
        assert_eq!(three.family, family(&[8, 16, 32], 8, AnchorPoint::Middle));
        let four = joined_reading(85, 4, "Concat").expect("NanoDet-Plus");
        assert_eq!(
            four.family,
            family(&[8, 16, 32, 64], 8, AnchorPoint::Corner)
        );
    }

    #[test]
    fn other_joined_outputs_are_others() {
        assert_eq!(joined_reading(84, 6, "Concat"), None, "as YOLOX");
        assert_eq!(joined_reading(84, 0, "Concat"), None, "no scores");
        assert_eq!(joined_reading(84, 3, "Exp"), None, "decoded");
        assert_eq!(joined_reading(83, 3, "Concat"), None, "not one a cell");
        assert_eq!(joined_reading(-1, 3, "Concat"), None, "free");
    }

    #[test]
    fn outputs_apart_tell_the_model_by_their_strides() {
        let nanodet = with_facts(&INPUT, APART, read).expect("NanoDet");
        assert_eq!(nanodet.classes, 3);
        assert_eq!(
            nanodet.family,
            family(&[8, 16, 32], 8, AnchorPoint::MiddlePixel)
        );
        assert_eq!(nanodet.convention.colour, ColourOrder::Bgr);
        let mut four = APART.to_vec();
        four.insert(3, ("c64", &[1, 1, 3]));
        four.push(("d64", &[1, 1, 32]));
        let picodet = with_facts(&INPUT, &four, read).expect("PicoDet");
        assert_eq!(
            picodet.family,
            family(&[8, 16, 32, 64], 8, AnchorPoint::Middle)
        );
        assert_eq!(picodet.convention, picodet_convention());
    }

    #[test]
    fn pairs_of_outputs_need_a_card() {
        let pairs = [0, 3, 1, 4, 2, 5].map(|i| APART[i]);
        let card = card(r#"{"center_offset": "zero"}"#);
        with_facts(&INPUT, &pairs, |facts| {
            assert_eq!(read(facts), None);
            let told = read_as(facts, &card).expect("three strides");
            assert_eq!(told.family, family(&[8, 16, 32], 8, AnchorPoint::Middle));
        });
    }

    #[test]
    fn as_many_classes_as_numbers_of_sides_are_told_by_their_order() {
        let outputs = APART
            .iter()
            .map(|(name, dims)| (*name, [1, dims[1], 32]))
            .collect::<Vec<_>>();
        let outputs: Vec<(&str, &[i64])> = outputs
            .iter()
            .map(|(name, dims)| (*name, &dims[..]))
            .collect();
        assert_eq!(
            with_facts(&INPUT, &outputs, read).map(|r| r.classes),
            Some(32)
        );
    }

    #[test]
    fn a_card_tells_the_bins_and_strides() {
        let card = card(r#"{"reg_max": 15, "strides": [8, 16, 32]}"#);
        let told_of = |dims: &[i64]| {
            with_facts(&INPUT, &[("y", dims)], |facts| {
                read_as(facts, &card).map(|r| (r.classes, r.family))
            })
        };
        let wanted = family(&[8, 16, 32], 16, AnchorPoint::Middle);
        assert_eq!(
            told_of(&[1, -1, 66]),
            Ok((2, Box::new(wanted) as Box<dyn Family>))
        );
        let error = told_of(&[1, 84, 64]).unwrap_err();
        assert!(
            error.contains("classes + 64") && error.contains("reg_max 15"),
            "{error}"
        );
    }
}
