//! The YOLOv8 layout, one output `[1, 4 + classes, n]` of boxes, one candidate a cell: v8, v9, v11, v12. RGB / 255,
//! letterbox centre, 114.
//!
//! Also transposed, `[1, n, 4 + classes]`, and with numbers behind the scores that boxes do not need: key points, mask
//! coefficients, an angle. The metadata tell how many; else the first inference does.

use super::Yolov8;
use crate::families::card::{Card, TRANSPOSED};
use crate::families::evidence::conventions;
use crate::families::evidence::grid_cells::{STRIDES, largest, misfit, told_by_card};
use crate::families::evidence::head::Head;
use crate::families::evidence::pieces::ends_in_a_class;
use crate::families::evidence::table::{Table, any_strides, columns, count, is_misread, rows_of};
use crate::families::evidence::ultralytics::{
    extras_of_task, finds_boxes, is_end_to_end, is_rtdetr, is_ultralytics, meaning_of_extras,
    named_classes,
};
use crate::families::evidence::{lone, objectness};
use crate::families::reading::Reading;
use crate::families::table_form::{BOX, Lone, TableForm};
use crate::onnx::facts::Facts;

const EXPECTED: &str = "one output [1, 4 + classes, n] or, transposed, [1, n, 4 + classes]";

pub fn read(facts: &Facts) -> Option<Reading> {
    let table = columns(facts)?;
    let head = Head::trace(facts.graph, table.output, table.features);
    let strides = strides_of(facts, &table, &head)?;
    let named = facts.metadata("task").is_some();
    let because = format!(
        "its {} candidates of {} numbers lie in columns, one a cell of strides {strides:?}{}",
        count(table.candidates),
        table.features,
        named_task(facts)
    );
    let sure = named || is_ultralytics(facts);
    let form = match named_classes(facts) {
        None if !named => TableForm {
            lone: lone::find(facts, &table),
            ..TableForm::yolov8()
        },
        // Without a task, one number more than names is an objectness.
        Some(names) if !named && BOX + 1 + names == table.features => TableForm {
            objectness: true,
            ..TableForm::yolov8()
        },
        _ => with_extras(facts, &table, TableForm::yolov8()),
    };
    Some(Reading {
        sure,
        ..yolov8(form, &table, largest(strides), because)
    })
}

/// The same table, whose candidates are rows.
pub fn read_transposed(facts: &Facts) -> Option<Reading> {
    let table = rows_of(facts, BOX)?;
    // Queries, of which a choice is made inside of the graph, are in rows as well.
    let chooses = facts.graph.node.iter().any(|node| node.op_type == "TopK");
    if chooses || ends_in_a_class(facts.graph, table.output) {
        return None;
    }
    let head = Head::trace(facts.graph, table.output, table.features);
    let strides = strides_of(facts, &table, &head)?;
    let why = match objectness::find(facts, &table, &head) {
        Ok((true, _)) => return None,
        Ok((false, why)) => why,
        Err(()) => "the number behind a box may be the score of the first class".into(),
    };
    let because = format!(
        "its {} candidates of {} numbers lie in rows, one a cell of strides {strides:?}, and {why}",
        count(table.candidates),
        table.features,
    );
    let told = facts.metadata("task").is_some() || named_classes(facts).is_some();
    let form = TableForm {
        rows: true,
        lone: if told {
            Lone::Nowhere
        } else {
            lone::find(facts, &table)
        },
        ..TableForm::yolov8()
    };
    let form = with_extras(facts, &table, form);
    Some(Reading {
        name: "YOLOv8 layout, transposed",
        sure: is_ultralytics(facts),
        ..yolov8(form, &table, largest(strides), because)
    })
}

pub fn read_as(facts: &Facts, card: &Card) -> Result<Reading, String> {
    let misfit = || misfit(facts, "yolov8", EXPECTED);
    let (in_columns, in_rows) = (columns(facts), rows_of(facts, BOX));
    let fits = |table: &Option<Table>| table.as_ref().is_some_and(|t| !is_misread(facts, t));
    let rows = match card.get(&TRANSPOSED) {
        Some(transposed) => transposed,
        None => !fits(&in_columns) && fits(&in_rows),
    };
    let table = if rows { in_rows } else { in_columns };
    let table = table.ok_or_else(misfit)?;
    if is_misread(facts, &table) {
        return Err(format!(
            "decode is \"yolov8\", and {} classes of {} candidates are what no detector has: {}",
            table.features - BOX,
            count(table.candidates),
            misfit()
        ));
    }
    let form = TableForm {
        rows,
        ..TableForm::yolov8()
    };
    let form = match card.classes {
        // The card knows how many of the numbers are scores.
        Some(classes) if BOX + classes <= table.features => {
            let extras = table.features - BOX - classes;
            TableForm {
                extras,
                meaning: meaning_of_extras(facts, extras),
                ..form
            }
        }
        _ => with_extras(facts, &table, form),
    };
    Ok(yolov8(
        form.with_card(card),
        &table,
        largest(STRIDES[0]),
        told_by_card(),
    ))
}

/// The strides of a table that may be of this layout.
fn strides_of(facts: &Facts, table: &Table, head: &Head) -> Option<&'static [u32]> {
    let strides = any_strides(facts, table, 1)?;
    let named = facts.metadata("task").is_some();
    // Raw heads have the same dims with boxes of 64 numbers.
    let decoded = !head.selects && (named || head.is_decoded());
    let mine = finds_boxes(facts) && !is_end_to_end(facts) && !is_rtdetr(facts);
    (decoded && mine).then_some(strides)
}

/// The form with as many numbers behind the scores as metadata tell.
fn with_extras(facts: &Facts, table: &Table, form: TableForm) -> TableForm {
    let numbers = table.features - BOX;
    let by_names = named_classes(facts).and_then(|names| numbers.checked_sub(names));
    let by_task = extras_of_task(facts).filter(|extras| *extras < numbers);
    let extras = match (by_names, by_task) {
        // A list of names of another length is told by a warning.
        (_, Some(0)) => 0,
        (Some(extras), _) => extras,
        (None, by_task) => by_task.unwrap_or(0),
    };
    TableForm {
        extras,
        meaning: meaning_of_extras(facts, extras),
        ..form
    }
}

fn named_task(facts: &Facts) -> String {
    facts.metadata("task").map_or(String::new(), |task| {
        format!(", and its metadata name the task \"{task}\"")
    })
}

fn yolov8(form: TableForm, table: &Table, stride: u32, because: String) -> Reading {
    Reading {
        name: "YOLOv8 layout",
        classes: table.features - form.fields(),
        family: form.family(&TableForm::yolov8(), Yolov8),
        because,
        convention: conventions::ultralytics(),
        sure: false,
        stride,
        labels: &[],
        score_threshold: None,
        iou_threshold: None,
    }
}
