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
//!
//! Face detectors have ten numbers of landmarks before the class; YOLOv7's and segmenting models have key points or
//! coefficients of masks behind the classes. Names of classes tell how many; else the first inference does.

use super::Yolov5;
use crate::families::card::{Card, TRANSPOSED};
use crate::families::decoding::Extras;
use crate::families::evidence::conventions;
use crate::families::evidence::grid_cells::{STRIDES, largest, misfit, told_by_card};
use crate::families::evidence::head::Head;
use crate::families::evidence::objectness;
use crate::families::evidence::pieces::ends_in_a_class;
use crate::families::evidence::scale::Scale;
use crate::families::evidence::table::{
    Table, any_strides, columns, count, is_misread, rows, strides,
};
use crate::families::evidence::ultralytics::{
    finds_boxes, is_end_to_end, is_rtdetr, is_ultralytics, masks, meaning_of_extras, named_classes,
};
use crate::families::reading::Reading;
use crate::families::table_form::TableForm;
use crate::families::table_form::seen::FACE_POINTS;
use crate::onnx::facts::Facts;

/// Box and objectness.
const FIELDS: usize = 5;

pub fn read_yolox_decoded(facts: &Facts) -> Option<Reading> {
    let table = rows(facts)?;
    let strides = strides(facts, table.candidates, 1)?;
    let head = Head::trace(facts.graph, table.output, table.features);
    let by_name = table.output == "output";
    if !(head.is_decoded() && head.exponential) || ends_in_a_class(facts.graph, table.output) {
        return None;
    }
    if !by_name && Scale::find(facts.graph) == Some(Scale::Shares) {
        return None;
    }
    let because = if by_name {
        format!(
            "its output is named \"output\", one candidate a cell of strides {strides:?}, and the graph takes the \
             exponential of sizes"
        )
    } else {
        format!(
            "the graph takes the exponential of sizes, one candidate a cell of strides {strides:?}"
        )
    };
    let plain = TableForm::yolov5();
    Some(Reading {
        name: "YOLOX, decoded in the graph",
        convention: conventions::yolox(),
        ..yolov5(plain, &table, largest(strides), because)
    })
}

pub fn read(facts: &Facts) -> Option<Reading> {
    let table = rows(facts)?;
    if is_end_to_end(facts) || is_rtdetr(facts) || !finds_boxes(facts) {
        return None;
    }
    if ends_in_a_class(facts.graph, table.output) {
        return None;
    }
    let sure = is_ultralytics(facts);
    let head = Head::trace(facts.graph, table.output, table.features);
    if head.selects {
        return None;
    }
    if let (Some(n), Some(strides)) = (table.candidates, any_strides(facts, &table, 3)) {
        let because = format!("its {n} candidates are three a cell of strides {strides:?}");
        let form = with_extras(facts, &table);
        return Some(Reading {
            sure,
            ..yolov5(form, &table, largest(strides), because)
        });
    }
    let strides = any_strides(facts, &table, 1)?;
    let why = match objectness::find(facts, &table, &head) {
        Ok((true, why)) => why,
        Ok((false, _)) => return None,
        Err(()) => "the number behind a box may be an objectness".into(),
    };
    if !head.is_decoded() || (head.exponential && !is_of_shares(facts, &table)) {
        return None;
    }
    let because = format!(
        "its {} candidates of {} numbers lie in rows, and {why}",
        count(table.candidates),
        table.features
    );
    let form = with_extras(facts, &table);
    Some(Reading {
        sure,
        ..yolov5(form, &table, largest(strides), because)
    })
}

/// A graph that takes the exponential of sizes and is yet no YOLOX, as name and weights tell.
fn is_of_shares(facts: &Facts, table: &Table) -> bool {
    let named = table.output == "output0" || table.output == "outputs";
    named && (is_ultralytics(facts) || Scale::find(facts.graph) != Some(Scale::Levels))
}

/// The form with as many numbers beside the scores as names of classes leave.
fn with_extras(facts: &Facts, table: &Table) -> TableForm {
    let plain = TableForm::yolov5();
    let numbers = table.features - FIELDS;
    let by_names = named_classes(facts).and_then(|names| numbers.checked_sub(names));
    match by_names.or_else(|| masks(facts).filter(|masks| *masks < numbers)) {
        Some(FACE_POINTS) => TableForm {
            skipped: FACE_POINTS,
            meaning: Extras::Points,
            ..plain
        },
        Some(extras) => TableForm {
            extras,
            meaning: match masks(facts) {
                Some(masks) if masks == extras => Extras::Masks,
                _ => meaning_of_extras(facts, extras),
            },
            ..plain
        },
        None => plain,
    }
}

pub fn read_as(facts: &Facts, card: &Card) -> Result<Reading, String> {
    let misfit = || misfit(facts, "yolov5", "one output [1, n, 5 + classes]");
    if card.get(&TRANSPOSED) == Some(true) {
        return read_columns(facts, card).ok_or_else(misfit);
    }
    let table = rows(facts).ok_or_else(misfit)?;
    if is_misread(facts, &table) {
        return Err(format!(
            "decode is \"yolov5\", and {} classes of {} candidates are what no detector has: {}",
            table.features - FIELDS,
            count(table.candidates),
            misfit()
        ));
    }
    let form = match card.classes {
        Some(classes) => with_classes(TableForm::yolov5(), &table, classes),
        None => with_extras(facts, &table),
    };
    let form = form.with_card(card);
    Ok(yolov5(form, &table, largest(STRIDES[0]), told_by_card()))
}

/// A card says that candidates are columns.
fn read_columns(facts: &Facts, card: &Card) -> Option<Reading> {
    let table = columns(facts).filter(|table| table.features > FIELDS)?;
    let form = TableForm {
        rows: false,
        ..TableForm::yolov5()
    };
    let form = match card.classes {
        Some(classes) => with_classes(form, &table, classes),
        None => form,
    };
    let form = form.with_card(card);
    Some(yolov5(form, &table, largest(STRIDES[0]), told_by_card()))
}

/// The card knows how many of the numbers are scores; more than there are is an error that is found later.
fn with_classes(form: TableForm, table: &Table, classes: usize) -> TableForm {
    match (table.features - FIELDS).saturating_sub(classes) {
        FACE_POINTS => TableForm {
            skipped: FACE_POINTS,
            meaning: Extras::Points,
            ..form
        },
        extras => TableForm { extras, ..form },
    }
}

fn yolov5(form: TableForm, table: &Table, stride: u32, because: String) -> Reading {
    Reading {
        name: "YOLOv5 layout",
        classes: table.features - form.fields(),
        family: form.family(&TableForm::yolov5(), Yolov5),
        because,
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
