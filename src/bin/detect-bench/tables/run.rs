//! Tables of one run.

use super::machine::{bytes, throttling};
use crate::machine::MachineInfo;
use crate::report::{Run, Span};
use crate::table::{Cell, Column, Format, Table};

/// Frames that came in, were analysed, left and were dropped.
pub fn throughput(run: &Run) -> Table {
    let columns = [
        Column::text(""),
        Column::number("", "frames", 0),
        Column::number("", "a second", 2),
        Column::number("", "% of frames", 1),
    ];
    let mut table = Table::new("Throughput", &columns);
    let frames = &run.frames;
    let rates = [
        ("came in", frames.received, run.input_fps),
        ("analysed", frames.analysed, run.fps),
        ("left", frames.pushed, run.output_fps),
    ];
    for (name, count, rate) in rates {
        table.add([name.into(), count.into(), rate.into(), Cell::Missing]);
    }
    let dropped = [
        ("dropped, model busy", frames.dropped_busy),
        ("dropped, by interval", frames.dropped_interval),
        ("dropped, late", frames.dropped_late),
    ];
    for (name, count) in dropped {
        let share = 100.0 * count as f64 / frames.received.max(1) as f64;
        if count > 0 || name.ends_with("busy") {
            table.add([name.into(), count.into(), Cell::Missing, share.into()]);
        }
    }
    if let Some(sink) = run.sink {
        let arrived = sink.dropped + sink.rendered;
        let share = 100.0 * sink.dropped as f64 / arrived.max(1) as f64;
        table.add([
            "too late at the sink".into(),
            sink.dropped.into(),
            Cell::Missing,
            share.into(),
        ]);
    }
    table
}

/// Percentiles of model time, time inside `detect` and age.
pub fn latency(run: &Run) -> Table {
    let columns = [
        Column::text(""),
        Column::number("mean", "", 1),
        Column::number("p50", "", 1),
        Column::number("p90", "", 1),
        Column::number("p95", "", 1),
        Column::number("p99", "", 1),
        Column::number("max", "", 1),
    ];
    let mut table = Table::new("Latency, ms", &columns);
    let rows = [
        ("model", &run.model_time),
        ("inside detect", &run.inside),
        ("age of the picture", &run.age),
    ];
    for (name, times) in rows {
        if let Some(t) = times {
            let values = [t.mean_ms, t.p50_ms, t.p90_ms, t.p95_ms, t.p99_ms, t.max_ms];
            table.add([Cell::from(name)].into_iter().chain(values.map(Cell::from)));
        }
    }
    table
}

/// Mean time of an analysed frame in each stage.
pub fn stages(run: &Run) -> Table {
    let columns = [
        Column::text(""),
        Column::number("", "ms", 2),
        Column::number("", "%", 0),
        Column::new("", "", Format::Bar),
    ];
    let mut table = Table::new("Stages of an analysed frame, means", &columns);
    let named = run.stages.named();
    let sum: f64 = named.iter().map(|(_, ms)| ms).sum();
    for (name, ms) in named {
        let share = if sum > 0.0 { ms / sum } else { 0.0 };
        table.add([name.into(), ms.into(), (100.0 * share).into(), share.into()]);
    }
    table
}

/// Processors, memory, temperature and clock during the run.
pub fn machine_use(run: &Run, machine: &MachineInfo) -> Table {
    let mut table = Table::facts("Machine");
    let cpu = |cpu: Option<f64>| cpu.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.2}"));
    table.add_fact(
        "CPU (1 = one processor)",
        format!(
            "{} by this program, {} by all; this program may use {}",
            cpu(run.cpu.process),
            cpu(run.cpu.system),
            machine.usable_processors(),
        ),
    );
    let cores = (run.cpu.cores.iter()).map(|share| format!("{:.0} %", 100.0 * share));
    table.add_fact("each processor", cores.collect::<Vec<_>>().join("  "));
    if let Some(peak) = run.memory_peak_bytes {
        table.add_fact("memory, highest", bytes(peak));
    }
    if let Some(span) = run.temperature_c {
        table.add_fact("temperature", describe_span(span, 1.0, "°C"));
    }
    if let Some(span) = run.cpu_frequency_hz {
        table.add_fact("clock", describe_span(span, 1e6, "MHz"));
    }
    if let Some(bits) = run.throttled {
        table.add_fact("throttling", throttling(bits));
    }
    table
}

fn describe_span(span: Span, unit: f64, name: &str) -> String {
    let [first, last, min, max] = [span.first, span.last, span.min, span.max].map(|v| v / unit);
    format!("{first:.0} to {last:.0} {name} (lowest {min:.0}, highest {max:.0})")
}

/// The model, the properties that were set, and warnings.
pub fn model(run: &Run) -> Table {
    let mut table = Table::facts("Model");
    let model = &run.model;
    table.add_fact("file", model.path.as_str());
    table.add_fact("family", model.family.as_str());
    table.add_fact(
        "engine",
        format!("{} ({})", model.engine, model.engine_reason),
    );
    table.add_fact(
        "classes",
        format!("{} ({})", model.classes, model.labels_source),
    );
    table.add_fact("mode", run.mode.as_str());
    for (name, value) in &run.settings {
        table.add_fact(name, value.as_str());
    }
    for rewrite in &model.rewritten {
        table.add_fact("rewritten", rewrite.as_str());
    }
    for warning in &run.warnings {
        table.add_fact("warning", warning.as_str());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Cpu, Frames};

    #[test]
    fn shares_are_those_of_the_frames_that_came_in() {
        let run = Run {
            frames: Frames {
                received: 200,
                dropped_busy: 50,
                ..Frames::default()
            },
            ..Run::default()
        };
        let table = throughput(&run);
        let dropped = table.rows.last().expect("rows");
        assert_eq!(dropped[0], "dropped, model busy".into());
        assert_eq!((&dropped[1], &dropped[3]), (&50.0.into(), &25.0.into()));
    }

    #[test]
    fn a_reader_sees_how_many_processors_the_program_may_use() {
        let run = Run {
            cpu: Cpu {
                process: Some(0.9),
                cores: vec![0.9, 0.1],
                ..Cpu::default()
            },
            ..Run::default()
        };
        let machine = MachineInfo {
            processors: 1,
            processors_online: 2,
            ..MachineInfo::default()
        };
        let table = machine_use(&run, &machine);
        let Cell::Text(cpu) = &table.rows[0][1] else {
            panic!("no text: {table:?}");
        };
        assert!(cpu.ends_with("may use 1 processor of 2"), "{cpu}");
    }
}
