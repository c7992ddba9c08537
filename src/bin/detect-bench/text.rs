//! Reports for a terminal: first FPS and model time, then what explains them.

use crate::machine::MachineInfo;
use crate::report::{Comparison, Report, Run, Times};
use crate::table::{Format, Table};
use crate::tables;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement};
use std::fmt::Write;

/// Shown for a value that was not measured.
const MISSING: &str = "-";
const WIDTH: u16 = 110;
/// Characters of the longest bar.
const LONGEST_BAR: f64 = 40.0;

pub fn report(report: &Report) -> String {
    let mut text = String::new();
    match &report.comparison {
        Some(comparison) => text += &self::comparison(comparison, &report.runs),
        None => (report.runs.iter()).for_each(|one| text += &run(one, &report.machine)),
    }
    text + "\n" + &section(&tables::measured_on(report))
}

fn run(run: &Run, machine: &MachineInfo) -> String {
    let model = &run.model;
    let mut text = format!(
        "{}: {}x{}, {}, mode {}\n{}; {:.1} s measured\n\n",
        run.name,
        model.input_width,
        model.input_height,
        model.engine,
        run.mode,
        source(run),
        run.measured_s,
    );
    let mut first = Table::facts("");
    first.add_fact("FPS", format!("{:.2}", run.fps));
    first.add_fact("Model time", describe_times(run.model_time.as_ref()));
    text += &rows(&first, "");
    let sections = [
        tables::throughput(run),
        tables::latency(run),
        tables::stages(run),
        tables::machine_use(run, machine),
    ];
    for table in &sections {
        text += "\n";
        text += &section(table);
    }
    for warning in &run.warnings {
        let _ = writeln!(text, "\nwarning: {warning}");
    }
    text
}

fn source(run: &Run) -> String {
    let live = if run.live { "live" } else { "not live" };
    format!("source: {} ({live})", run.source)
}

fn describe_times(times: Option<&Times>) -> String {
    times.map_or_else(
        || MISSING.to_owned(),
        |t| {
            format!(
                "{:.1} ms (p95 {:.1}, p99 {:.1})",
                t.p50_ms, t.p95_ms, t.p99_ms
            )
        },
    )
}

fn comparison(comparison: &Comparison, runs: &[Run]) -> String {
    let mut text = String::new();
    if let Some(run) = runs.first() {
        let _ = writeln!(text, "{}\n", source(run));
    }
    text += &section(&tables::speed(comparison));
    if let Some(boxes) = tables::boxes(comparison) {
        text += "\n";
        text += &section(&boxes);
    }
    for row in &comparison.rows {
        if let Some(failure) = &row.failure {
            let _ = writeln!(text, "\n{}: {failure}", row.name);
        }
    }
    text
}

/// Renders a table below its title, with its note at the end.
pub fn section(table: &Table) -> String {
    let mut text = format!("{}\n{}", table.title, rows(table, "  "));
    if let Some(note) = &table.note {
        let _ = writeln!(text, "  {note}");
    }
    text
}

/// Renders the rows of a table, without blanks at the ends of lines; `indent` is put before each row.
pub fn rows(table: &Table, indent: &str) -> String {
    let mut drawn = comfy_table::Table::new();
    drawn.load_style(NOTHING);
    let columns = &table.columns;
    if table.has_headings() {
        drawn.set_content_arrangement(ContentArrangement::Dynamic);
        drawn.set_width(WIDTH);
        let headings = columns.iter().map(|column| column.heading());
        drawn.set_header(headings);
    }
    for row in &table.rows {
        let texts = (table.texts(row, MISSING).zip(columns)).map(|(text, column)| {
            match (column.format, text.parse::<f64>()) {
                (Format::Bar, Ok(share)) => "█".repeat((share * LONGEST_BAR).round() as usize),
                _ => text,
            }
        });
        drawn.add_row(texts);
    }
    for (column, drawn) in columns.iter().zip(drawn.column_iter_mut()) {
        if column.is_aligned_right() {
            drawn.set_cell_alignment(CellAlignment::Right);
        }
    }
    let text = drawn.to_string();
    let mut lines = String::new();
    for line in text.lines() {
        let _ = writeln!(lines, "{indent}{}", line.trim_end());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Cell, Column};

    #[test]
    fn fps_and_model_time_come_first() {
        let text = run(&Run::default(), &MachineInfo::default());
        let place = |part: &str| {
            text.find(part)
                .unwrap_or_else(|| panic!("no {part} in {text}"))
        };
        assert!(place("FPS") < place("Model time") && place("Model time") < place("Throughput"));
        assert!(place("Throughput") < place("Latency") && place("Latency") < place("Machine"));
    }

    #[test]
    fn numbers_stand_below_each_other() {
        let columns = [
            Column::text(""),
            Column::number("", "ms", 1),
            Column::new("", "", Format::Bar),
        ];
        let mut table = Table::new("Times", &columns);
        table.note = Some("A note.".into());
        table.add(["model".into(), 120.0.into(), 0.1.into()]);
        table.add(["boxes".into(), Cell::Missing, 0.0.into()]);
        let text = section(&table);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "Times");
        assert_eq!(lines[1].trim_start(), "ms");
        assert!(
            lines[2].starts_with("   model") && lines[2].ends_with("████"),
            "{text}"
        );
        assert_eq!(
            lines[1].find("ms").map(|at| at + 2),
            lines[3].find('-').map(|at| at + 1)
        );
        assert_eq!(lines[4], "  A note.");
    }
}
