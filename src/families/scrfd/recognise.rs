//! SCRFD, the face detector of InsightFace: for every stride scores `[n, 1]`, boxes `[n, 4]` and, in some, five key points
//! `[n, 10]`, kind by kind. Its names are bare numbers and say nothing.
//!
//! Two anchors a cell of strides 8, 16 and 32, or one a cell of 8 to 128. Its authors' exports have a free input, and the
//! outputs that belong to one of 640x640: then the ratios of their lengths tell.

use super::Scrfd;
use crate::base::tensor::{ColourOrder, Interpolation, ResizeMode};
use crate::families::card::{Card, STRIDES};
use crate::families::evidence::grid_cells::{cells, largest, misfit, told_by_card};
use crate::families::evidence::head::Head;
use crate::families::reading::{Convention, Reading};
use crate::onnx::facts::Facts;

/// Strides, and anchors a cell.
const FORMS: [(&[u32], usize); 2] = [(&[8, 16, 32], 2), (&[8, 16, 32, 64, 128], 1)];
const EXPECTED: &str =
    "for three or five strides one [n, 1] and one [n, 4] each, and perhaps one [n, 10]";

pub fn read(facts: &Facts) -> Option<Reading> {
    let levels = Levels::find(facts)?;
    let &(strides, anchors) = (FORMS.iter()).find(|form| form.0.len() == levels.counts.len())?;
    if !levels.fit(facts, strides, anchors) {
        return None;
    }
    // Scores that are none yet would be read as if they were.
    if Head::trace(facts.graph, levels.scores, 1).sigmoids == 0 {
        return None;
    }
    let because = format!(
        "it has scores and boxes apart for the strides {strides:?}, {anchors} a cell, with a sigmoid in the graph"
    );
    Some(reading(strides, anchors, because))
}

pub fn read_as(facts: &Facts, card: &Card) -> Result<Reading, String> {
    let levels = Levels::find(facts).ok_or_else(|| misfit(facts, "scrfd", EXPECTED))?;
    let form = FORMS
        .iter()
        .find(|form| form.0.len() == levels.counts.len());
    let &(strides, anchors) = form.ok_or_else(|| misfit(facts, "scrfd", EXPECTED))?;
    let own = card.get(&STRIDES);
    let strides = own.as_deref().unwrap_or(strides);
    Ok(reading(strides, anchors, told_by_card()))
}

/// The outputs, kind by kind.
struct Levels<'a> {
    /// Name of the first output of scores.
    scores: &'a str,
    /// Anchors of each stride; `None` where the export leaves it free.
    counts: Vec<Option<usize>>,
}

impl<'a> Levels<'a> {
    fn find(facts: &'a Facts) -> Option<Self> {
        let mut all = Vec::new();
        for output in &facts.outputs {
            match *output.dims() {
                [count, Some(width)] => all.push((output, width, count)),
                [Some(1), count, Some(width)] => all.push((output, width, count)),
                _ => return None,
            }
        }
        let of = |wanted: usize| {
            let kind = all.iter().filter(|(_, width, _)| *width == wanted);
            kind.map(|(_, _, count)| *count).collect::<Vec<_>>()
        };
        let (scores, boxes, points) = (of(1), of(4), of(10));
        let complete = scores == boxes
            && (points.is_empty() || points == scores)
            && 2 * scores.len() + points.len() == all.len();
        let (first, ..) = all.iter().find(|(_, width, _)| *width == 1)?;
        complete.then(|| Self {
            scores: &first.name,
            counts: scores,
        })
    }

    fn fit(&self, facts: &Facts, strides: &[u32], anchors: usize) -> bool {
        let whole = facts.picture.width.is_some() && facts.picture.height.is_some();
        if whole {
            let fits = |(&stride, count): (&u32, &Option<usize>)| {
                count.is_some() && cells(facts, &[stride]).map(|n| n * anchors) == *count
            };
            return strides.iter().zip(&self.counts).all(fits);
        }
        // Each stride has a quarter of the cells of the one before, or is free as the input is.
        let quarter = |pair: &[Option<usize>]| match *pair {
            [Some(n), Some(m)] => n == 4 * m,
            _ => true,
        };
        self.counts.windows(2).all(quarter)
    }
}

fn reading(strides: &[u32], anchors: usize, because: String) -> Reading {
    Reading {
        name: "SCRFD",
        stride: largest(strides),
        family: Box::new(Scrfd {
            strides: strides.to_vec(),
            anchors,
        }),
        because,
        classes: 1,
        convention: Convention {
            colour: ColourOrder::Rgb,
            mean: [127.5; 3],
            std: [128.0; 3],
            resize: ResizeMode::LetterboxTopLeft,
            pad_value: 0.0,
            interpolation: Interpolation::Linear,
        },
        sure: true,
        labels: &["face"],
        score_threshold: Some(0.5),
        iou_threshold: Some(0.4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::Family;
    use crate::families::evidence::testing::{Outputs, card, with_facts, with_facts_of};
    use crate::onnx::testing::node;

    /// 8 x 8, 4 x 4 and 2 x 2 cells of two anchors.
    const INPUT: [i64; 4] = [1, 3, 64, 64];
    const OUTPUTS: Outputs = &[
        ("448", &[128, 1]),
        ("471", &[32, 1]),
        ("494", &[8, 1]),
        ("451", &[128, 4]),
        ("474", &[32, 4]),
        ("497", &[8, 4]),
        ("454", &[128, 10]),
        ("477", &[32, 10]),
        ("500", &[8, 10]),
    ];

    fn family(input: &[i64], outputs: Outputs) -> Option<Box<dyn Family>> {
        let nodes = vec![node("Sigmoid", &["x"], &[outputs[0].0])];
        with_facts_of(nodes, input, outputs, |facts| read(facts).map(|r| r.family))
    }

    fn three() -> Option<Box<dyn Family>> {
        let strides = vec![8, 16, 32];
        Some(Box::new(Scrfd {
            strides,
            anchors: 2,
        }))
    }

    #[test]
    fn it_is_told_by_the_lengths_of_its_outputs() {
        assert_eq!(family(&INPUT, OUTPUTS), three());
        assert_eq!(family(&INPUT, &OUTPUTS[..6]), three(), "no key points");
        assert_eq!(family(&[1, 3, -1, -1], OUTPUTS), three(), "free input");
        let batch: Vec<(&str, Vec<i64>)> = (OUTPUTS.iter())
            .map(|(name, dims)| (*name, [&[1], *dims].concat()))
            .collect();
        let batch: Vec<(&str, &[i64])> = batch.iter().map(|(n, d)| (*n, &d[..])).collect();
        assert_eq!(family(&INPUT, &batch), three());
    }

    #[test]
    fn five_strides_have_one_anchor() {
        let counts = [256, 64, 16, 4, 1];
        let dims: Vec<[i64; 2]> = [1, 4]
            .iter()
            .flat_map(|width| counts.map(|n| [n, *width]))
            .collect();
        let outputs: Vec<(&str, &[i64])> = dims.iter().map(|d| ("o", &d[..])).collect();
        let strides = vec![8, 16, 32, 64, 128];
        let wanted = Scrfd {
            strides,
            anchors: 1,
        };
        assert_eq!(
            family(&[1, 3, 128, 128], &outputs),
            Some(Box::new(wanted) as Box<dyn Family>)
        );
    }

    #[test]
    fn other_outputs_are_no_scrfd() {
        let other: Outputs = &[
            ("a", &[128, 1]),
            ("b", &[32, 1]),
            ("c", &[9, 1]),
            ("d", &[128, 4]),
            ("e", &[32, 4]),
            ("f", &[9, 4]),
        ];
        for outputs in [&OUTPUTS[..8], &OUTPUTS[..3], other] {
            assert_eq!(family(&INPUT, outputs), None, "{outputs:?}");
        }
        assert_eq!(family(&[1, 3, 32, 32], OUTPUTS), None, "another input");
        let raw = with_facts(&INPUT, OUTPUTS, read);
        assert_eq!(raw, None, "no sigmoid");
    }

    #[test]
    fn a_card_tells_it_of_raw_looking_graphs() {
        let card = card(r#"{"strides": [8, 16, 32]}"#);
        with_facts(&INPUT, OUTPUTS, |facts| {
            assert_eq!(read_as(facts, &card).ok().map(|r| r.family), three());
        });
        let error = with_facts(&INPUT, &OUTPUTS[..2], |facts| read_as(facts, &card).err());
        assert!(error.is_some_and(|error| error.contains(EXPECTED)));
    }
}
