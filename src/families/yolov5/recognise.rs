//! The YOLOv5 layout, one output `[1, n, 5 + classes]` of boxes in pixels.
//!
//! | reading | candidates n | input |
//! |---|---|---|
//! | YOLOX, decoded in the graph | one a cell, an exponential in the head | BGR 0..255, letterbox top left, 114 |
//! | v5, v7, v6, no exponential where there is one a cell | three a cell; v6 one | RGB / 255, letterbox centre, 114 |
//!
//! Where the dims leave two readings, the name of the output, as the exporters give it, decides: `output` (YOLOX),
//! `outputs` (YOLOv6), `output0` (Ultralytics). Where name and exponential disagree, the size of the first weights does:
//! YOLOX takes levels of 0..255, the others shares of 0..1.

use super::Yolov5;
use crate::families::card::Card;
use crate::families::evidence::conventions;
use crate::families::evidence::grid_cells::{STRIDES, largest, misfit, told_by_card};
use crate::families::evidence::head::Head;
use crate::families::evidence::scale::Scale;
use crate::families::evidence::table::{rows, strides};
use crate::families::evidence::ultralytics::{is_ultralytics, other_task};
use crate::families::reading::Reading;
use crate::onnx::facts::Facts;

pub fn read_yolox_decoded(facts: &Facts) -> Option<Reading> {
    let table = rows(facts)?;
    let strides = strides(facts, table.candidates, 1)?;
    let head = Head::trace(facts.graph, table.output, table.features);
    let by_name = table.output == "output";
    if !(head.is_decoded() && (head.exponential || by_name)) {
        return None;
    }
    if !by_name && Scale::find(facts.graph) == Some(Scale::Shares) {
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
        convention: conventions::yolox(),
        ..yolov5(table.features - 5, largest(strides), because)
    })
}

pub fn read(facts: &Facts) -> Option<Reading> {
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
    let head = Head::trace(facts.graph, table.output, table.features);
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
    if head.exponential && !sure && Scale::find(facts.graph) == Some(Scale::Levels) {
        return None;
    }
    mine.then(|| Reading {
        sure,
        ..yolov5(table.features - 5, largest(strides), because)
    })
}

pub fn read_as(facts: &Facts, _: &Card) -> Result<Reading, String> {
    let table =
        rows(facts).ok_or_else(|| misfit(facts, "yolov5", "one output [1, n, 5 + classes]"))?;
    Ok(yolov5(
        table.features - 5,
        largest(STRIDES[0]),
        told_by_card(),
    ))
}

fn yolov5(classes: usize, stride: u32, because: String) -> Reading {
    Reading {
        name: "YOLOv5 layout",
        family: Box::new(Yolov5),
        because,
        classes,
        convention: conventions::ultralytics(),
        sure: false,
        stride,
        labels: &[],
        score_threshold: None,
        iou_threshold: None,
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
        let facts = Facts::new(&model, graph).expect("it takes a picture");
        let readings = [read_yolox_decoded(&facts), read(&facts)];
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
