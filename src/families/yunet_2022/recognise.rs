//! YuNet as of 2021 and 2022: three outputs `loc` `[n, 14]`, `conf` `[n, 2]` and `iou` `[n, 1]`, one row for each SSD prior
//! over the input.

use super::YuNet2022;
use crate::families::card::Card;
use crate::families::evidence::face_priors::PRIORS;
use crate::families::evidence::grid_cells::{misfit, told_by_card};
use crate::families::reading::Reading;
use crate::families::yunet::recognise as yunet;
use crate::onnx::facts::Facts;

const EXPECTED: &str = "[n, 14], [n, 2] and [n, 1]";

pub fn read(facts: &Facts) -> Option<Reading> {
    let count = rows(facts)?;
    let (width, height) = (facts.picture.width?, facts.picture.height?);
    // A part of a cell at the border is none.
    let of_layer = |(stride, priors): &(u32, usize)| {
        (width / stride) as usize * (height / stride) as usize * priors
    };
    let priors: usize = PRIORS.iter().map(of_layer).sum();
    if count != Some(priors) {
        return None;
    }
    let because =
        format!("it has a box with key points, two scores and an IoU for each of {priors} priors");
    Some(reading(because))
}

pub fn read_as(facts: &Facts, _: &Card) -> Result<Reading, String> {
    rows(facts).ok_or_else(|| misfit(facts, "yunet_2022", EXPECTED))?;
    Ok(reading(told_by_card()))
}

/// Rows of each of the three outputs.
fn rows(facts: &Facts) -> Option<Option<usize>> {
    let [_, _, _] = &facts.outputs[..] else {
        return None;
    };
    let of = |wanted: usize| {
        facts
            .outputs
            .iter()
            .find_map(|output| match *output.dims() {
                [count, Some(width)] | [Some(1), count, Some(width)] if width == wanted => {
                    Some(count)
                }
                _ => None,
            })
    };
    let (locations, scores, ious) = (of(14)?, of(2)?, of(1)?);
    (locations == scores && scores == ious).then_some(locations)
}

fn reading(because: String) -> Reading {
    Reading {
        name: "YuNet of 2022",
        family: Box::new(YuNet2022),
        stride: 32,
        ..yunet::reading(Vec::new(), because)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::evidence::testing::{Outputs, boxed, with_facts};

    /// The dims of its authors' export: 20 x 15, 10 x 7, 5 x 3 and 2 x 1 cells.
    const INPUT: [i64; 4] = [1, 3, 120, 160];
    const OUTPUTS: Outputs = &[
        ("loc", &[1076, 14]),
        ("conf", &[1076, 2]),
        ("iou", &[1076, 1]),
    ];

    #[test]
    fn it_is_told_by_the_number_of_its_priors() {
        let family =
            |input, outputs| with_facts(input, outputs, |facts| read(facts).map(|r| r.family));
        assert_eq!(family(&INPUT, OUTPUTS), Some(boxed(YuNet2022)));
        assert_eq!(family(&[1, 3, 120, 168], OUTPUTS), None);
        assert_eq!(family(&INPUT, &OUTPUTS[..2]), None);
        let wide: Outputs = &[OUTPUTS[0], OUTPUTS[1], ("iou", &[1076, 4])];
        assert_eq!(family(&INPUT, wide), None);
    }

    #[test]
    fn a_card_says_it_of_any_number() {
        let outputs: Outputs = &[("a", &[9, 14]), ("b", &[9, 2]), ("c", &[9, 1])];
        let card = Card::default();
        with_facts(&INPUT, outputs, |facts| {
            assert_eq!(read_as(facts, &card).map(|r| r.name), Ok("YuNet of 2022"));
        });
        let error = with_facts(&INPUT, &outputs[..1], |facts| read_as(facts, &card).err());
        assert!(error.is_some_and(|error| error.contains(EXPECTED)));
    }
}
