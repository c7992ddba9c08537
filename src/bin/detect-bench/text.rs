//! Reports for a terminal: the two figures that users optimise first, then what explains them.

use crate::inspect::{File, Inspection};
use crate::report::{Comparison, MODEL_FIRST, ModelFacts, Report, Row, Run, Span, Times};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use gstdetect::host::machine::Throttled;
use std::fmt::Write;

/// What a value looks like that was not measured.
const NONE: &str = "-";
const WIDTH: u16 = 110;

pub fn report(report: &Report) -> String {
    let machine = &report.machine;
    let mut text = String::new();
    match &report.comparison {
        Some(comparison) => text += &self::comparison(comparison, &report.runs),
        None => report.runs.iter().for_each(|run| text += &self::run(run)),
    }
    let _ = writeln!(
        text,
        "\n{}, {} processors, {}, {}; {}; {} build of {}",
        machine.processor,
        machine.processors,
        bytes(machine.memory_bytes),
        machine.system,
        machine.gstreamer,
        machine.build,
        report.version,
    );
    text
}

fn run(run: &Run) -> String {
    let model = &run.model;
    let mut text = format!(
        "{}: {}x{}, {}, mode {}\nsource: {} ({}); {:.1} s measured\n\n",
        run.name,
        model.input_width,
        model.input_height,
        model.engine,
        run.mode,
        run.source,
        if run.live { "live" } else { "not live" },
        run.measured_s,
    );
    let mut head = plain();
    head.add_row(["FPS".to_owned(), format!("{:.2}", run.fps)]);
    head.add_row([MODEL_FIRST.to_owned(), times(run.model_time.as_ref())]);
    text += &lines(&head);
    text += "\nThroughput\n";
    text += &lines(&throughput(run));
    text += "\nLatency\n";
    text += &lines(&latency(run));
    text += "\nStages of an analysed frame, means\n";
    text += &lines(&stages(run));
    text += "\nMachine\n";
    text += &lines(&machine(run));
    for warning in &run.warnings {
        let _ = writeln!(text, "\nwarning: {warning}");
    }
    text
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table
}

/// With a head; all but the first column to the right.
fn headed<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(WIDTH);
    table.set_header(head);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Without blanks at the ends of lines.
fn lines(table: &Table) -> String {
    let text = table.to_string();
    text.lines()
        .fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

fn times(times: Option<&Times>) -> String {
    times.map_or_else(
        || NONE.to_owned(),
        |t| {
            format!(
                "{:.1} ms (p95 {:.1}, p99 {:.1})",
                t.p50_ms, t.p95_ms, t.p99_ms
            )
        },
    )
}

fn throughput(run: &Run) -> Table {
    let frames = &run.frames;
    let mut table = plain();
    let mut row = |name: &str, rate: f64, count: u64| {
        table.add_row([
            format!("  {name}"),
            format!("{rate:.2} a second"),
            format!("{count} frames"),
        ]);
    };
    row("came in", run.input_fps, frames.received);
    row("analysed", run.fps, frames.analysed);
    row("left", run.output_fps, frames.pushed);
    let dropped = [
        ("dropped, model busy", frames.dropped_busy),
        ("dropped, by interval", frames.dropped_interval),
        ("dropped, late", frames.dropped_late),
    ];
    for (name, count) in dropped {
        if count > 0 || name.ends_with("busy") {
            let share = 100.0 * count as f64 / frames.received.max(1) as f64;
            table.add_row([
                format!("  {name}"),
                format!("{share:.1} %"),
                format!("{count} frames"),
            ]);
        }
    }
    if let Some(sink) = run.sink {
        let told = format!(
            "{} of {} frames",
            sink.dropped,
            sink.dropped + sink.rendered
        );
        table.add_row(["  too late at the sink".to_owned(), String::new(), told]);
    }
    table
}

fn latency(run: &Run) -> Table {
    let mut table = headed(["  ms", "mean", "p50", "p90", "p95", "p99", "max"]);
    let rows = [
        ("  model", &run.model_time),
        ("  inside detect", &run.inside),
        ("  age of the picture", &run.age),
    ];
    for (name, times) in rows {
        if let Some(t) = times {
            let values = [t.mean_ms, t.p50_ms, t.p90_ms, t.p95_ms, t.p99_ms, t.max_ms];
            let values = values.map(|v| format!("{v:.1}"));
            table.add_row(std::iter::once(name.to_owned()).chain(values));
        }
    }
    table
}

fn stages(run: &Run) -> Table {
    /// Characters of the longest bar.
    const LONGEST: f64 = 40.0;
    let named = run.stages.named();
    let sum: f64 = named.iter().map(|(_, ms)| ms).sum();
    let mut table = plain();
    for (name, ms) in named {
        let share = if sum > 0.0 { ms / sum } else { 0.0 };
        let bar = "█".repeat((share * LONGEST).round() as usize);
        table.add_row([
            format!("  {name}"),
            format!("{ms:.2} ms"),
            format!("{:.0} %", 100.0 * share),
            bar,
        ]);
    }
    table
}

fn machine(run: &Run) -> Table {
    let mut table = plain();
    let mut row = |name: &str, value: String| {
        table.add_row([format!("  {name}"), value]);
    };
    let cpu = |cpu: Option<f64>| cpu.map_or_else(|| NONE.to_owned(), |cpu| format!("{cpu:.2}"));
    row(
        "CPU (1 = one processor)",
        format!(
            "{} by this program, {} by all",
            cpu(run.cpu.process),
            cpu(run.cpu.system)
        ),
    );
    let cores = run
        .cpu
        .cores
        .iter()
        .map(|share| format!("{:.0} %", 100.0 * share));
    row("each processor", cores.collect::<Vec<_>>().join("  "));
    if let Some(peak) = run.memory_peak_bytes {
        row("memory, highest", bytes(peak));
    }
    if let Some(span) = run.temperature_c {
        row("temperature", over_time(span, 1.0, "°C"));
    }
    if let Some(span) = run.cpu_frequency_hz {
        row("clock", over_time(span, 1e6, "MHz"));
    }
    if let Some(bits) = run.throttled {
        row("throttling", throttling(bits));
    }
    table
}

fn over_time(span: Span, unit: f64, name: &str) -> String {
    let [first, last, min, max] = [span.first, span.last, span.min, span.max].map(|v| v / unit);
    format!("{first:.0} to {last:.0} {name} (lowest {min:.0}, highest {max:.0})")
}

pub fn throttling(bits: u32) -> String {
    let told = |words: Vec<&str>| match words.is_empty() {
        true => "none".to_owned(),
        false => words.join(", "),
    };
    let bits = Throttled(bits);
    format!(
        "in this run: {}; since the machine was started: {}",
        told(bits.now()),
        told(bits.since_start())
    )
}

pub fn bytes(bytes: u64) -> String {
    match bytes >> 20 {
        mebi if mebi >= 10 << 10 => format!("{} GiB", mebi >> 10),
        mebi => format!("{mebi} MiB"),
    }
}

fn comparison(comparison: &Comparison, runs: &[Run]) -> String {
    let mut text = String::new();
    if let Some(run) = runs.first() {
        let _ = writeln!(
            text,
            "source: {} ({})",
            run.source,
            if run.live { "live" } else { "not live" }
        );
    }
    let _ = writeln!(
        text,
        "{} turns each; speed-up: first row's model time over this row's, within a round, median\n",
        comparison.rounds
    );
    let mut table = headed(["row", "FPS", "model p50", "p95", "latency p50", "speed-up"]);
    for row in &comparison.rows {
        let told = |value: Option<f64>, places: usize| {
            value.map_or_else(|| NONE.to_owned(), |v| format!("{v:.places$}"))
        };
        table.add_row([
            row.name.clone(),
            told(row.fps, 2),
            told(row.model_p50_ms, 1),
            told(row.model_p95_ms, 1),
            told(row.latency_p50_ms, 1),
            told(row.speed_up, 2),
        ]);
    }
    text += &lines(&table);
    if comparison.frames > 0 {
        let _ = writeln!(
            text,
            "\nBoxes on {} frames, against the first row's\n",
            comparison.frames
        );
        let mut table = headed([
            "row",
            "boxes",
            "same at IoU 0.5",
            "at 0.8",
            "missing",
            "extra",
            "score",
        ]);
        for row in &comparison.rows {
            table.add_row(agreement(row));
        }
        text += &lines(&table);
    }
    for row in &comparison.rows {
        if let Some(failure) = &row.failure {
            let _ = writeln!(text, "\n{}: {failure}", row.name);
        }
    }
    text
}

fn agreement(row: &Row) -> [String; 7] {
    let Some(boxes) = row.boxes else {
        return std::array::from_fn(|n| {
            if n == 0 {
                row.name.clone()
            } else {
                NONE.to_owned()
            }
        });
    };
    let share = |count: usize| match boxes.expected {
        0 => NONE.to_owned(),
        all => format!("{:.1} %", 100.0 * count as f64 / all as f64),
    };
    [
        row.name.clone(),
        boxes.found.to_string(),
        share(boxes.matched_50),
        share(boxes.matched_80),
        boxes.missing.to_string(),
        boxes.extra.to_string(),
        format!("{:+.3}", boxes.mean_score_difference),
    ]
}

pub fn inspection(inspection: &Inspection) -> String {
    let model = &inspection.model;
    let mut text = String::new();
    let _ = writeln!(text, "{}\n", model.path);
    let mut table = plain();
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    row("family", model.family.clone());
    row(
        "input",
        format!("{}x{}", model.input_width, model.input_height),
    );
    row(
        "classes",
        format!("{} ({})", model.classes, model.labels_source),
    );
    row(
        "thresholds",
        format!(
            "score {}, IoU {}",
            inspection.score_threshold, inspection.iou_threshold
        ),
    );
    row(
        "engine",
        format!("{} ({})", model.engine, model.engine_reason),
    );
    row(
        "loaded in",
        format!(
            "{:.0} ms, first inference {:.0} ms",
            model.load_ms, model.warm_up_ms
        ),
    );
    text += &lines(&table);
    text += &concluded(model);
    text + "\n" + &file(&inspection.file)
}

fn concluded(model: &ModelFacts) -> String {
    let mut text = String::from("\nConcluded\n");
    for decision in &model.decisions {
        let mark = if decision.guessed { "guessed " } else { "" };
        let _ = writeln!(
            text,
            "  {mark}{}: {} ({})",
            decision.topic, decision.value, decision.reason
        );
    }
    let lists = [
        ("Rewritten", &model.rewritten),
        ("Warnings", &model.warnings),
    ];
    for (title, list) in lists {
        if !list.is_empty() {
            let _ = writeln!(text, "\n{title}\n  {}", list.join("\n  "));
        }
    }
    text
}

/// What lies in a file.
pub fn file(file: &File) -> String {
    let mut text = format!(
        "In the file\n  {} bytes, {} parameters, IR version {}, operator set {}, by {}\n",
        file.bytes,
        file.parameters,
        file.ir_version,
        file.opsets.join(", "),
        if file.producer.is_empty() {
            "nobody it names"
        } else {
            &file.producer
        },
    );
    let _ = writeln!(text, "  inputs:  {}", file.inputs.join("\n           "));
    let _ = writeln!(text, "  outputs: {}", file.outputs.join("\n           "));
    let mut operators: Vec<_> = file.operators.iter().collect();
    operators.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    let operators: Vec<_> = operators
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let _ = writeln!(text, "  operators: {}", operators.join(", "));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Agreement;

    #[test]
    fn bytes_are_told_in_units_that_fit() {
        assert_eq!(
            (bytes(80 << 20), bytes(16 << 30)),
            ("80 MiB".into(), "16 GiB".into())
        );
    }

    #[test]
    fn rows_without_boxes_have_dashes() {
        let row = Row {
            name: "x".into(),
            ..Row::default()
        };
        assert_eq!(agreement(&row), ["x", NONE, NONE, NONE, NONE, NONE, NONE]);
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
        assert_eq!(
            agreement(&row),
            ["x", "7", "75.0 %", "50.0 %", "2", "1", "-0.012"]
        );
    }

    #[test]
    fn fps_and_model_time_come_first() {
        let text = run(&Run::default());
        let place = |part: &str| {
            text.find(part)
                .unwrap_or_else(|| panic!("no {part} in {text}"))
        };
        assert!(place("FPS") < place(MODEL_FIRST) && place(MODEL_FIRST) < place("Throughput"));
        assert!(place("Throughput") < place("Latency") && place("Latency") < place("Machine"));
    }
}
