//! The parts of a page that show one run: figures in large letters, plots, tables.

use super::plots::{self, Line};
use super::{escape, figure, table};
use crate::machine::MachineInfo;
use crate::report::{Run, Second};
use crate::tables;

/// Renders a figure in large letters, with a line of text below it.
fn card(name: &str, value: &str, unit: &str, below: &str) -> String {
    format!(
        "<div class=\"card\"><p class=\"name\">{}</p><p class=\"value\">{}<span> {}</span></p><p class=\"below\">{}</p></div>\n",
        escape(name),
        escape(value),
        escape(unit),
        escape(below)
    )
}

pub fn run(run: &Run, machine: &MachineInfo) -> String {
    let tables = [
        table::panel(&tables::latency(run), ""),
        table::panel(&tables::throughput(run), ""),
        table::panel(&tables::stages(run), ""),
        table::panel(&tables::machine_use(run, machine), ""),
        table::panel(&tables::model(run), "whole"),
    ];
    format!(
        "<section class=\"cards\">\n{}</section>\n<section class=\"plots\">\n{}{}</section>\n\
         <section class=\"tables\">\n{}</section>\n",
        cards(run, machine),
        over_time(run),
        distributions(run),
        tables.concat()
    )
}

fn cards(run: &Run, machine: &MachineInfo) -> String {
    let fps = format!("{:.1}", run.fps);
    let mut body = card("FPS", &fps, "", "frames analysed a second");
    if let Some(t) = &run.model_time {
        let below = format!("p95 {:.1}, p99 {:.1} ms", t.p95_ms, t.p99_ms);
        body += &card("Model time", &format!("{:.1}", t.p50_ms), "ms", &below);
    }
    let (name, latency) = match (&run.age, &run.inside) {
        (Some(age), _) => ("Age of the picture", Some(age)),
        (None, inside) => ("Time inside", inside.as_ref()),
    };
    if let Some(t) = latency {
        let below = format!("p95 {:.0}, p99 {:.0} ms", t.p95_ms, t.p99_ms);
        body += &card(name, &format!("{:.0}", t.p50_ms), "ms", &below);
    }
    let frames = &run.frames;
    let dropped = frames.dropped_busy + frames.dropped_interval + frames.dropped_late;
    let share = 100.0 * dropped as f64 / frames.received.max(1) as f64;
    let below = format!("{dropped} of {} frames", frames.received);
    body += &card("Dropped", &format!("{share:.0}"), "%", &below);
    if let Some(cpu) = run.cpu.process {
        let below = format!("may use {}", machine.usable_processors());
        body += &card("CPU", &format!("{cpu:.2}"), "", &below);
    }
    if let Some(span) = run.temperature_c {
        let below = format!("from {:.0} °C, clock {}", span.first, clock(run));
        body += &card("Temperature", &format!("{:.0}", span.last), "°C", &below);
    }
    body
}

fn clock(run: &Run) -> String {
    let span = run.cpu_frequency_hz;
    span.map_or_else(
        || "not known".into(),
        |s| format!("{:.0} to {:.0} MHz", s.min / 1e6, s.max / 1e6),
    )
}

fn over_time(run: &Run) -> String {
    let line = |name: &'static str, value: fn(&Second) -> Option<f64>| {
        let points = run.seconds.iter().filter_map(|s| Some((s.at_s, value(s)?)));
        Line {
            name,
            points: points.collect(),
        }
    };
    let mut body = String::new();
    let mut add = |title: &str, note: &str, lines: Vec<Line>| {
        let lines: Vec<_> = lines.into_iter().filter(|l| l.points.len() > 1).collect();
        if !lines.is_empty() {
            body += &figure(title, note, |shape| plots::lines(&lines, shape));
        }
    };
    add(
        "Frames a second",
        "analysed, over the seconds of the run",
        vec![line("FPS", |s| Some(s.fps))],
    );
    let latency = if run.live { "age" } else { "inside" };
    add(
        "Model time and latency",
        "ms, median of each second",
        vec![
            line("model", |s| s.model_ms),
            line(latency, |s| s.latency_ms),
        ],
    );
    add(
        "Processors",
        "kept busy; 1 = one",
        vec![
            line("this program", |s| s.process_cpu),
            line("all", |s| s.system_cpu),
        ],
    );
    add(
        "Temperature",
        "°C",
        vec![line("processor", |s| s.temperature_c)],
    );
    add(
        "Clock",
        "MHz, fastest processor",
        vec![line("clock", |s| {
            s.cpu_frequency_hz.map(|hz| hz as f64 / 1e6)
        })],
    );
    add(
        "Memory",
        "MiB of this program",
        vec![line("memory", |s| {
            s.memory_bytes.map(|b| b as f64 / f64::from(1 << 20))
        })],
    );
    body
}

fn distributions(run: &Run) -> String {
    let mut body = String::new();
    let histograms = [
        ("Model time", run.model_time.as_ref()),
        match run.age.as_ref() {
            Some(age) => ("Age of pictures", Some(age)),
            None => ("Time inside detect", run.inside.as_ref()),
        },
    ];
    for (title, times) in histograms {
        if let Some(times) = times {
            let note = format!("ms; {} frames, p50 and p95 marked", times.count);
            body += &figure(title, &note, |shape| plots::histogram(times, shape));
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Cpu;

    #[test]
    fn the_card_of_cpu_says_how_many_processors_may_be_used() {
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
        let cards = cards(&run, &machine);
        assert!(cards.contains("may use 1 processor of 2"), "{cards}");
    }
}
