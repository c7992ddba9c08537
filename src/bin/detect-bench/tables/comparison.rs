//! Tables of a comparison: one of speed, one of boxes. Apart, each is narrow enough for a page and a terminal.

use crate::report::{Comparison, Row};
use crate::table::{Cell, Column, Format, Table};

/// Frames a second and times of each row.
pub fn speed(comparison: &Comparison) -> Table {
    let columns = [
        Column::text("row"),
        Column::number("FPS", "", 2),
        Column::number("model p50", "ms", 1),
        Column::number("model p95", "ms", 1),
        Column::number("latency p50", "ms", 1),
        Column::number("speed-up", "", 2),
    ];
    let mut table = Table::new("Speed, against the first row", &columns);
    table.note = Some(format!(
        "Speed-up: the first row's model time over this row's within a round, median of the rounds ({}).",
        comparison.rounds
    ));
    for row in &comparison.rows {
        let figures = [
            row.fps,
            row.model_p50_ms,
            row.model_p95_ms,
            row.latency_p50_ms,
            row.speed_up,
        ];
        let name = Cell::from(row.name.as_str());
        table.add([name].into_iter().chain(figures.map(Cell::from)));
    }
    table
}

/// Boxes of each row; `None` where boxes were not compared.
pub fn boxes(comparison: &Comparison) -> Option<Table> {
    if comparison.frames == 0 {
        return None;
    }
    let columns = [
        Column::text("row"),
        Column::number("boxes", "", 0),
        Column::number("same at IoU 0.5", "%", 1),
        Column::number("at IoU 0.8", "%", 1),
        Column::number("missing", "", 0),
        Column::number("extra", "", 0),
        Column::new("score", "", Format::Signed(3)),
    ];
    let mut table = Table::new("Boxes, against the first row", &columns);
    table.note = Some(format!(
        "Boxes on {} frames. A box is the same if it has the label and at least this IoU; score: mean difference of \
         such pairs.",
        comparison.frames
    ));
    for row in &comparison.rows {
        table.add(agreement(row));
    }
    Some(table)
}

fn agreement(row: &Row) -> [Cell; 7] {
    let name = Cell::from(row.name.as_str());
    let Some(boxes) = row.boxes else {
        let missing = || Cell::Missing;
        return [
            name,
            missing(),
            missing(),
            missing(),
            missing(),
            missing(),
            missing(),
        ];
    };
    let count = |count: usize| Cell::Number(count as f64);
    let share =
        |count: usize| (boxes.expected > 0).then(|| 100.0 * count as f64 / boxes.expected as f64);
    [
        name,
        count(boxes.found),
        share(boxes.matched_50).into(),
        share(boxes.matched_80).into(),
        count(boxes.missing),
        count(boxes.extra),
        boxes.mean_score_difference.into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Agreement;

    fn texts(row: Row) -> Vec<String> {
        let comparison = Comparison {
            rounds: 1,
            frames: 3,
            rows: vec![row],
        };
        let table = boxes(&comparison).expect("boxes were compared");
        table.texts(&table.rows[0], "-").collect()
    }

    #[test]
    fn rows_without_boxes_have_dashes() {
        let row = Row {
            name: "x".into(),
            ..Row::default()
        };
        assert_eq!(texts(row.clone()), ["x", "-", "-", "-", "-", "-", "-"]);
        let boxes = Agreement {
            expected: 8,
            found: 7,
            matched_50: 6,
            matched_80: 4,
            missing: 2,
            extra: 1,
            mean_score_difference: -0.0123,
            mean_iou: 0.9,
        };
        let row = Row {
            boxes: Some(boxes),
            ..row
        };
        assert_eq!(texts(row), ["x", "7", "75.0", "50.0", "2", "1", "-0.012"]);
        assert!(super::boxes(&Comparison::default()).is_none());
    }
}
