//! The YOLO layouts with one output of all candidates.
//!
//! | reading | output | candidates n | input |
//! |---|---|---|---|
//! | YOLOX, raw | `[1, n, 5 + classes]`, offsets | one a cell | BGR 0..255, letterbox top left, 114 |
//! | YOLOX, decoded in the graph | same, pixels, an exponential in the head | one a cell | same |
//! | YOLOv5 layout: v5, v7, v6 | same, pixels, no exponential where there is one a cell | three a cell; v6 one | RGB / 255, letterbox centre, 114 |
//! | YOLOv8 layout: v8, v9, v11, v12 | `[1, 4 + classes, n]`, pixels | one a cell | RGB / 255, letterbox centre, 114 |
//!
//! Where the dims leave two readings, the name of the output, as the exporters give it, decides: `output` (YOLOX),
//! `outputs` (YOLOv6), `output0` (Ultralytics). Where name and exponential disagree, the size of the first weights does:
//! YOLOX takes levels of 0..255, the others shares of 0..1.

use super::head::Head;
use super::scale::Scale;
use crate::base::tensor::{ColourOrder, Interpolation, ResizeMode};
use crate::families::card::Card;
use crate::families::evidence::grid_cells::{STRIDES, cells, largest, misfit, told_by_card};
use crate::families::family::Family;
use crate::families::recognise::{Convention, Reading};
use crate::onnx::facts::Facts;

/// One output `[1, n, 5 + classes]` or `[1, 4 + classes, n]`.
struct Table<'a> {
    output: &'a str,
    /// Numbers for each candidate.
    features: usize,
    /// `None` where the export leaves it free.
    candidates: Option<usize>,
}

fn rows<'a>(facts: &'a Facts) -> Option<Table<'a>> {
    let (output, dims) = facts.only_output()?;
    match *dims {
        [_, candidates, Some(features)] if features > 5 => Some(Table {
            output: &output.name,
            features,
            candidates,
        }),
        _ => None,
    }
}

fn columns<'a>(facts: &'a Facts) -> Option<Table<'a>> {
    let (output, dims) = facts.only_output()?;
    match *dims {
        [_, Some(features), candidates] if features > 4 => Some(Table {
            output: &output.name,
            features,
            candidates,
        }),
        _ => None,
    }
}

/// The strides whose grids have `candidates / per_cell` cells; the most common where their number is free.
fn strides(facts: &Facts, candidates: Option<usize>, per_cell: usize) -> Option<&'static [u32]> {
    let Some(candidates) = candidates else {
        return Some(STRIDES[0]);
    };
    STRIDES.into_iter().find(|strides| {
        cells(facts, strides).and_then(|n| n.checked_mul(per_cell)) == Some(candidates)
    })
}

/// Ultralytics' metadata name another task than plain boxes, or boxes already chosen.
fn other_task(facts: &Facts) -> bool {
    facts.metadata("task").is_some_and(|task| task != "detect")
        || facts.metadata("end2end") == Some("True")
}

/// Metadata as Ultralytics' exporters write them.
pub fn is_ultralytics(facts: &Facts) -> bool {
    facts.metadata("names").is_some() && facts.metadata("stride").is_some()
}

pub fn read_yolox_raw(facts: &Facts) -> Option<Reading> {
    let table = rows(facts)?;
    let strides = strides(facts, table.candidates, 1)?;
    let head = Head::of(facts.graph, table.output, table.features);
    // Objectness and classes go through a sigmoid of their own at every stride; NanoDet, with the same dims, has one.
    if head.exponential || head.grid || head.selects || head.sigmoids < 2 * strides.len() {
        return None;
    }
    let because = format!(
        "its {} candidates of {} numbers are one a cell of strides {strides:?} and the graph adds no grid",
        count(table.candidates),
        table.features
    );
    Some(yolox_raw(strides.to_vec(), table.features - 5, because))
}

pub fn read_yolox_decoded(facts: &Facts) -> Option<Reading> {
    let table = rows(facts)?;
    let strides = strides(facts, table.candidates, 1)?;
    let head = Head::of(facts.graph, table.output, table.features);
    let by_name = table.output == "output";
    if !(head.is_decoded() && (head.exponential || by_name)) {
        return None;
    }
    if !by_name && Scale::of(facts.graph) == Some(Scale::Shares) {
        return None;
    }
    let because = if by_name {
        format!(
            "its output is named \"output\", one candidate a cell of strides {strides:?}, with a grid added"
        )
    } else {
        format!(
            "the graph takes the exponential of sizes, one candidate a cell of strides {strides:?}"
        )
    };
    Some(Reading {
        name: "YOLOX, decoded in the graph",
        family: Family::Yolov5,
        convention: yolox_convention(),
        ..yolov5(table.features - 5, largest(strides), because)
    })
}

pub fn read_yolov5(facts: &Facts) -> Option<Reading> {
    let table = rows(facts)?;
    if other_task(facts) {
        return None;
    }
    let sure = is_ultralytics(facts);
    if let (Some(n), Some(strides)) = (table.candidates, strides(facts, table.candidates, 3)) {
        let because = format!("its {n} candidates are three a cell of strides {strides:?}");
        return Some(Reading {
            sure,
            ..yolov5(table.features - 5, largest(strides), because)
        });
    }
    let strides = strides(facts, table.candidates, 1)?;
    let head = Head::of(facts.graph, table.output, table.features);
    let exporter = match table.output {
        "output0" => "Ultralytics",
        "outputs" => "YOLOv6",
        _ => "",
    };
    let because = if exporter.is_empty() {
        "the graph adds a grid and takes no exponential".into()
    } else {
        format!(
            "its output is named \"{}\", as {exporter} does",
            table.output
        )
    };
    // An exporter's name speaks for this layout whatever the graph does, a grid without exponential does so too.
    let mine = head.is_decoded() && (!exporter.is_empty() || !head.exponential);
    if head.exponential && !sure && Scale::of(facts.graph) == Some(Scale::Levels) {
        return None;
    }
    mine.then(|| Reading {
        sure,
        ..yolov5(table.features - 5, largest(strides), because)
    })
}

pub fn read_yolov8(facts: &Facts) -> Option<Reading> {
    let table = columns(facts)?;
    let strides = strides(facts, table.candidates, 1)?;
    if other_task(facts) {
        return None;
    }
    let named = facts.metadata("task").is_some();
    let head = Head::of(facts.graph, table.output, table.features);
    // Raw heads have the same dims with boxes of 64 numbers.
    if head.selects || !(named || head.is_decoded()) {
        return None;
    }
    let because = format!(
        "its {} candidates of {} numbers lie in columns, one a cell of strides {strides:?}{}",
        count(table.candidates),
        table.features,
        if named {
            ", and its metadata name the task \"detect\""
        } else {
            ""
        }
    );
    let sure = named || is_ultralytics(facts);
    Some(Reading {
        sure,
        ..yolov8(table.features - 4, largest(strides), because)
    })
}

pub fn told_yolox_raw(facts: &Facts, card: &Card) -> Result<Reading, String> {
    let table =
        rows(facts).ok_or_else(|| misfit(facts, "yolox_raw", "one output [1, n, 5 + classes]"))?;
    let strides = match &card.strides {
        Some(strides) => strides.clone(),
        None => strides(facts, table.candidates, 1)
            .ok_or("decode is \"yolox_raw\" but the candidates are not one a cell, expected strides: [8, 16, 32]")?
            .to_vec(),
    };
    Ok(yolox_raw(strides, table.features - 5, told_by_card()))
}

pub fn told_yolov5(facts: &Facts, _: &Card) -> Result<Reading, String> {
    let table =
        rows(facts).ok_or_else(|| misfit(facts, "yolov5", "one output [1, n, 5 + classes]"))?;
    Ok(yolov5(
        table.features - 5,
        largest(STRIDES[0]),
        told_by_card(),
    ))
}

pub fn told_yolov8(facts: &Facts, _: &Card) -> Result<Reading, String> {
    let table =
        columns(facts).ok_or_else(|| misfit(facts, "yolov8", "one output [1, 4 + classes, n]"))?;
    Ok(yolov8(
        table.features - 4,
        largest(STRIDES[0]),
        told_by_card(),
    ))
}

fn count(candidates: Option<usize>) -> String {
    candidates.map_or("free number of".into(), |n| n.to_string())
}

fn yolox_convention() -> Convention {
    Convention {
        colour: ColourOrder::Bgr,
        mean: [0.0; 3],
        std: [1.0; 3],
        resize: ResizeMode::LetterboxTopLeft,
        pad_value: 114.0,
        interpolation: Interpolation::Linear,
    }
}

pub fn ultralytics_convention() -> Convention {
    Convention {
        colour: ColourOrder::Rgb,
        std: [255.0; 3],
        resize: ResizeMode::LetterboxCentre,
        ..yolox_convention()
    }
}

fn yolox_raw(strides: Vec<u32>, classes: usize, because: String) -> Reading {
    Reading {
        name: "YOLOX",
        stride: largest(&strides),
        family: Family::YoloxRaw { strides },
        because,
        classes,
        convention: yolox_convention(),
        sure: false,
        labels: &[],
        score_threshold: None,
        iou_threshold: None,
    }
}

fn yolov5(classes: usize, stride: u32, because: String) -> Reading {
    Reading {
        name: "YOLOv5 layout",
        family: Family::Yolov5,
        convention: ultralytics_convention(),
        stride,
        ..yolox_raw(Vec::new(), classes, because)
    }
}

fn yolov8(classes: usize, stride: u32, because: String) -> Reading {
    Reading {
        name: "YOLOv8 layout",
        family: Family::Yolov8,
        ..yolov5(classes, stride, because)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{float_tensor, model, node};

    /// Which readers take a decoded output of one candidate a cell for theirs, by the size of the first weights.
    fn readings(output: &str, weight: f32) -> Vec<&'static str> {
        let nodes = vec![
            node("Conv", &["x", "w", "b"], &["c"]),
            node("Exp", &["c"], &["e"]),
            node("Add", &["e", "grid"], &[output]),
        ];
        // 4 x 4, 2 x 2 and 1 cells of strides 8, 16 and 32.
        let mut model = model(nodes, &[("x", &[1, 3, 32, 32])], &[(output, &[1, 21, 7])]);
        let graph = model.graph.as_mut().expect("just made");
        graph.initializer = vec![
            float_tensor("w", &[1, 3, 1, 1], &[weight; 3]),
            float_tensor("b", &[1], &[0.0]),
            float_tensor("grid", &[1, 21, 2], &[0.0; 42]),
        ];
        let graph = model.graph.as_ref().expect("just made");
        let facts = Facts::of(&model, graph).expect("it takes a picture");
        let readings = [read_yolox_decoded(&facts), read_yolov5(&facts)];
        readings.into_iter().flatten().map(|r| r.name).collect()
    }

    #[test]
    fn where_name_and_exponential_disagree_the_weights_decide() {
        let (yolox, yolov5) = ("YOLOX, decoded in the graph", "YOLOv5 layout");
        assert_eq!(readings("output0", 0.05), [yolox]);
        assert_eq!(readings("output0", 1.0), [yolov5]);
        assert_eq!(readings("output0", 0.0), [yolox, yolov5], "no evidence");
        assert_eq!(readings("outputs", 1.0), [yolov5]);
        assert_eq!(readings("output", 1.0), [yolox], "the name agrees");
    }
}
