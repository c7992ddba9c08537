//! YuNet, the face detector of libfacedetection: for every stride, which its names tell, `cls_8` and `obj_8`
//! `[1, n, 1]`, `bbox_8` `[1, n, 4]` and five key points `kps_8` `[1, n, 10]`.

use super::YuNet;
use crate::base::tensor::{ColourOrder, Interpolation, ResizeMode};
use crate::families::card::{self, Card};
use crate::families::evidence::grid_cells::{STRIDES, cells, largest, misfit, told_by_card};
use crate::families::reading::{Convention, Reading};
use crate::onnx::facts::{Facts, Port};

const EXPECTED: &str = "for every stride two [1, n, 1] and one [1, n, 4]";

pub fn read(facts: &Facts) -> Option<Reading> {
    let strides = named_strides(facts)?;
    let because =
        format!("its outputs are named cls, obj and bbox, each for the strides {strides:?}");
    Some(reading(strides, because))
}

pub fn read_as(facts: &Facts, card: &Card) -> Result<Reading, String> {
    let of = |width| {
        let outputs = facts.outputs.iter();
        outputs
            .filter(|output| width_of(output) == Some(width))
            .count()
    };
    let levels = of(4);
    if levels == 0 || of(1) != 2 * levels {
        return Err(misfit(facts, "yunet", EXPECTED));
    }
    let usual = || STRIDES.into_iter().find(|strides| strides.len() == levels);
    let strides = match card.get(&card::STRIDES) {
        Some(strides) => strides,
        None => usual()
            .ok_or(
                "decode is \"yunet\" but the strides are not known, expected strides: [8, 16, 32]",
            )?
            .to_vec(),
    };
    Ok(reading(strides, told_by_card()))
}

/// The strides in the names of the outputs, if there are all outputs of each, as many numbers as cells.
fn named_strides(facts: &Facts) -> Option<Vec<u32>> {
    let stride = |output: &Port| output.name.strip_prefix("cls_")?.parse::<u32>().ok();
    let strides: Vec<u32> = facts.outputs.iter().filter_map(stride).collect();
    let fits = |stride: u32| {
        stride > 0
            && [("cls", 1), ("obj", 1), ("bbox", 4)]
                .iter()
                .all(|&(kind, width)| {
                    let name = format!("{kind}_{stride}");
                    let output = facts.outputs.iter().find(|output| output.name == name);
                    output.is_some_and(|output| match *output.dims() {
                        [_, Some(n), Some(last)] => {
                            last == width && cells(facts, &[stride]).is_none_or(|cells| n == cells)
                        }
                        [_, None, Some(last)] => last == width,
                        _ => false,
                    })
                })
    };
    (!strides.is_empty() && strides.iter().all(|stride| fits(*stride))).then_some(strides)
}

fn width_of(output: &Port) -> Option<usize> {
    match *output.dims() {
        [_, _, width] => width,
        _ => None,
    }
}

pub fn reading(strides: Vec<u32>, because: String) -> Reading {
    Reading {
        name: "YuNet",
        stride: largest(&strides),
        family: Box::new(YuNet { strides }),
        because,
        classes: 1,
        convention: Convention {
            colour: ColourOrder::Bgr,
            mean: [0.0; 3],
            std: [1.0; 3],
            resize: ResizeMode::LetterboxTopLeft,
            pad_value: 0.0,
            interpolation: Interpolation::Linear,
        },
        sure: true,
        labels: &["face"],
        score_threshold: Some(0.6),
        iou_threshold: Some(0.3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::evidence::testing::{Outputs, boxed, card, with_facts};

    /// 4 x 4 cells of 8, 2 x 2 of 16.
    const INPUT: [i64; 4] = [1, 3, 32, 32];
    const OUTPUTS: Outputs = &[
        ("cls_8", &[1, 16, 1]),
        ("cls_16", &[1, 4, 1]),
        ("obj_8", &[1, 16, 1]),
        ("obj_16", &[1, 4, 1]),
        ("bbox_8", &[1, 16, 4]),
        ("bbox_16", &[1, 4, 4]),
    ];

    #[test]
    fn strides_are_those_of_the_names() {
        let family = with_facts(&INPUT, OUTPUTS, |facts| read(facts).map(|r| r.family));
        let strides = vec![8, 16];
        assert_eq!(family, Some(boxed(YuNet { strides })));
        let free = [-1, 3, -1, -1];
        let outputs: Outputs = &[
            ("cls_8", &[-1, -1, 1]),
            ("obj_8", &[-1, -1, 1]),
            ("bbox_8", &[-1, -1, 4]),
        ];
        assert!(with_facts(&free, outputs, |facts| read(facts).is_some()));
    }

    #[test]
    fn outputs_that_are_missing_or_of_other_dims_are_no_yunet() {
        let wide: Outputs = &[
            ("cls_8", &[1, 16, 2]),
            ("obj_8", &[1, 16, 1]),
            ("bbox_8", &[1, 16, 4]),
        ];
        let few: Outputs = &[
            ("cls_8", &[1, 15, 1]),
            ("obj_8", &[1, 15, 1]),
            ("bbox_8", &[1, 15, 4]),
        ];
        for outputs in [&OUTPUTS[..5], wide, few, &[]] {
            assert!(
                with_facts(&INPUT, outputs, |facts| read(facts).is_none()),
                "{outputs:?}"
            );
        }
    }

    #[test]
    fn a_card_says_it_of_other_names() {
        let outputs: Outputs = &[("a", &[1, 4, 1]), ("b", &[1, 4, 1]), ("c", &[1, 4, 4])];
        let card = card(r#"{"strides": [16]}"#);
        let family = with_facts(&INPUT, outputs, |facts| {
            read_as(facts, &card).map(|r| r.family)
        });
        assert_eq!(family, Ok(boxed(YuNet { strides: vec![16] })));
        let error = with_facts(&INPUT, &outputs[1..], |facts| {
            read_as(facts, &card).err().unwrap_or_default()
        });
        assert!(
            error.contains("b [1, 4, 1]") && error.contains(EXPECTED),
            "{error}"
        );
    }
}
