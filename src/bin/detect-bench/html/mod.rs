//! [`page`]: a report as one page that needs nothing else: no script, no font, no picture from elsewhere.
//!
//! Plots are SVG (`plots.rs`), made twice, for narrow and for wide windows; `style.css` shows one of them, and gives
//! them the colours of a light or dark page.

mod plots;

use crate::report::{Comparison, Report, Row, Run, Times};
use crate::text::{bytes, throttling};
use plots::{Line, Shape};
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

pub fn page(report: &Report) -> String {
    let title = match (&report.comparison, report.runs.first()) {
        (Some(_), _) => "Comparison".to_owned(),
        (None, Some(run)) => run.name.clone(),
        (None, None) => "Nothing measured".to_owned(),
    };
    let mut body = String::new();
    if let Some(comparison) = &report.comparison {
        body += &self::comparison(comparison, &report.runs);
    }
    for run in &report.runs {
        if report.comparison.is_some() {
            let _ = write!(body, "<h2>{}, last turn</h2>", escape(&run.name));
        }
        body += &self::run(run);
    }
    body += &machine(report);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} – detect-bench</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><p class=\"kind\">detect-bench {}</p><h1>{title}</h1><p class=\"sub\">{}</p></header>\n\
         <main>\n{body}</main>\n<footer>{} · detect-bench {}</footer>\n</body>\n</html>\n",
        escape(report.command),
        subtitle(report),
        escape(&report.date),
        escape(report.version),
        title = escape(&title),
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            other => escaped.push(other),
        }
    }
    escaped
}

fn subtitle(report: &Report) -> String {
    let Some(run) = report.runs.first() else {
        return String::new();
    };
    let live = if run.live { "live" } else { "not live" };
    escape(&match &report.comparison {
        Some(comparison) => format!(
            "{} rows, {} turns each, from {} ({live})",
            comparison.rows.len(),
            comparison.rounds,
            run.source
        ),
        None => format!(
            "{}×{} on {}, from {} ({live}), {:.0} s measured",
            run.model.input_width,
            run.model.input_height,
            run.model.engine,
            run.source,
            run.measured_s
        ),
    })
}

/// A figure in large letters, and what stands below it.
fn card(name: &str, value: &str, unit: &str, below: &str) -> String {
    format!(
        "<div class=\"card\"><p class=\"name\">{}</p><p class=\"value\">{}<span> {}</span></p><p class=\"below\">{}</p></div>\n",
        escape(name),
        escape(value),
        escape(unit),
        escape(below)
    )
}

fn run(run: &Run) -> String {
    let mut body = String::from("<section class=\"cards\">\n");
    let frames = &run.frames;
    body += &card(
        "FPS",
        &format!("{:.1}", run.fps),
        "",
        "frames analysed a second",
    );
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
    let dropped = frames.dropped_busy + frames.dropped_interval + frames.dropped_late;
    let share = 100.0 * dropped as f64 / frames.received.max(1) as f64;
    body += &card(
        "Dropped",
        &format!("{share:.0}"),
        "%",
        &format!("{dropped} of {} frames", frames.received),
    );
    if let Some(cpu) = run.cpu.process {
        let below = format!("of {} processors", run.cpu.cores.len());
        body += &card("CPU", &format!("{cpu:.2}"), "", &below);
    }
    if let Some(span) = run.temperature_c {
        let below = format!("from {:.0} °C, clock {}", span.first, clock(run));
        body += &card("Temperature", &format!("{:.0}", span.last), "°C", &below);
    }
    body += "</section>\n<section class=\"plots\">\n";
    body += &over_time(run);
    body += &distributions(run);
    body += "</section>\n";
    body += &tables(run);
    body
}

fn clock(run: &Run) -> String {
    let span = run.cpu_frequency_hz;
    span.map_or_else(
        || "not told".into(),
        |s| format!("{:.0} to {:.0} MHz", s.min / 1e6, s.max / 1e6),
    )
}

/// A plot with its title, in both shapes.
fn figure(title: &str, note: &str, plot: impl Fn(Shape) -> String) -> String {
    format!(
        "<figure><figcaption><b>{}</b> {}</figcaption><div class=\"wide\">{}</div><div class=\"narrow\">{}</div></figure>\n",
        escape(title),
        escape(note),
        plot(Shape::Wide),
        plot(Shape::Narrow)
    )
}

fn over_time(run: &Run) -> String {
    let line = |name: &'static str, value: fn(&crate::report::Second) -> Option<f64>| {
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
    body += &figure(
        "Where the time goes",
        "ms, mean of an analysed frame",
        |shape| {
            plots::bars(
                &run.stages
                    .named()
                    .map(|(name, ms)| (name.to_owned(), Some(ms))),
                "ms",
                shape,
            )
        },
    );
    body
}

/// Rows of cells; the first of each is its head.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut html = String::from("<div class=\"scroll\"><table><thead><tr>");
    for cell in head {
        let _ = write!(html, "<th>{}</th>", escape(cell));
    }
    html += "</tr></thead><tbody>\n";
    for row in rows {
        html += "<tr>";
        for (n, cell) in row.iter().enumerate() {
            let kind = if n == 0 { "th" } else { "td" };
            let _ = write!(html, "<{kind}>{}</{kind}>", escape(cell));
        }
        html += "</tr>\n";
    }
    html + "</tbody></table></div>\n"
}

fn tables(run: &Run) -> String {
    let mut body = String::from("<section class=\"tables\">\n<div><h3>Latency, ms</h3>");
    let rows = [
        ("model", &run.model_time),
        ("inside detect", &run.inside),
        ("age", &run.age),
    ];
    let cells = |(name, times): (&str, &Option<Times>)| {
        let t = times.as_ref()?;
        let values = [t.mean_ms, t.p50_ms, t.p95_ms, t.p99_ms, t.max_ms];
        Some(
            [name.to_owned()]
                .into_iter()
                .chain(values.map(|v| format!("{v:.1}")))
                .collect(),
        )
    };
    body += &table(
        &["", "mean", "p50", "p95", "p99", "max"],
        rows.into_iter().filter_map(cells),
    );
    body += "</div>\n<div><h3>Throughput</h3>";
    let f = &run.frames;
    let row = |name: &str, rate: String, count: u64| vec![name.to_owned(), rate, count.to_string()];
    let rate = |fps: f64| format!("{fps:.2}");
    let mut rows = vec![
        row("came in", rate(run.input_fps), f.received),
        row("analysed", rate(run.fps), f.analysed),
        row("left", rate(run.output_fps), f.pushed),
        row("dropped, busy", String::new(), f.dropped_busy),
        row("dropped, interval", String::new(), f.dropped_interval),
        row("dropped, late", String::new(), f.dropped_late),
    ];
    if let Some(sink) = run.sink {
        rows.push(row("too late at the sink", String::new(), sink.dropped));
    }
    body += &table(&["", "a second", "frames"], rows.into_iter());
    body += "</div>\n<div><h3>Model</h3>";
    let model = &run.model;
    let mut rows = vec![
        vec!["file".to_owned(), model.path.clone()],
        vec!["family".to_owned(), model.family.clone()],
        vec![
            "engine".to_owned(),
            format!("{} ({})", model.engine, model.engine_reason),
        ],
        vec![
            "classes".to_owned(),
            format!("{} ({})", model.classes, model.labels_source),
        ],
        vec!["mode".to_owned(), run.mode.clone()],
    ];
    rows.extend(
        run.settings
            .iter()
            .map(|(name, value)| vec![name.clone(), value.clone()]),
    );
    rows.extend(
        model
            .rewritten
            .iter()
            .map(|said| vec!["rewritten".to_owned(), said.clone()]),
    );
    rows.extend(
        run.warnings
            .iter()
            .map(|said| vec!["warning".to_owned(), said.clone()]),
    );
    body += &table(&["", ""], rows.into_iter());
    body + "</div>\n</section>\n"
}

fn comparison(comparison: &Comparison, runs: &[Run]) -> String {
    let bars = |value: fn(&Row) -> Option<f64>| -> Vec<(String, Option<f64>)> {
        comparison
            .rows
            .iter()
            .map(|row| (row.name.clone(), value(row)))
            .collect()
    };
    let mut body = String::from("<section class=\"plots\">\n");
    body += &figure("Frames a second", "median of the turns", |shape| {
        plots::bars(&bars(|row| row.fps), "", shape)
    });
    body += &figure("Model time", "ms, median of the turns' medians", |shape| {
        plots::bars(&bars(|row| row.model_p50_ms), "ms", shape)
    });
    if comparison.frames > 0 {
        let share = |row: &Row| {
            let boxes = row.boxes.filter(|b| b.expected > 0)?;
            Some(100.0 * boxes.matched_50 as f64 / boxes.expected as f64)
        };
        body += &figure(
            "Boxes kept",
            "% of the first row's, found again at IoU 0.5",
            |shape| plots::bars(&bars(share), "%", shape),
        );
    }
    body += "</section>\n<section class=\"tables\">\n<div class=\"whole\"><h3>Against the first row</h3>";
    let told =
        |value: Option<f64>, places: usize| value.map_or("–".into(), |v| format!("{v:.places$}"));
    let rows = comparison.rows.iter().map(|row| {
        let boxes = row.boxes;
        let count = |value: fn(&crate::report::Agreement) -> usize| {
            boxes.as_ref().map_or("–".into(), |b| value(b).to_string())
        };
        vec![
            row.name.clone(),
            told(row.fps, 2),
            told(row.model_p50_ms, 1),
            told(row.model_p95_ms, 1),
            told(row.speed_up, 2),
            count(|b| b.found),
            count(|b| b.matched_50),
            count(|b| b.matched_80),
            count(|b| b.missing),
            count(|b| b.extra),
            boxes.map_or("–".into(), |b| format!("{:+.3}", b.mean_score_difference)),
        ]
    });
    let head = [
        "",
        "FPS",
        "model p50, ms",
        "p95",
        "speed-up",
        "boxes",
        "same at 0.5",
        "at 0.8",
        "missing",
        "extra",
        "score",
    ];
    body += &table(&head, rows);
    let failed = comparison
        .rows
        .iter()
        .filter_map(|row| Some((&row.name, row.failure.as_ref()?)));
    for (name, failure) in failed {
        let _ = write!(
            body,
            "<p class=\"failure\">{}: {}</p>",
            escape(name),
            escape(failure)
        );
    }
    let _ = write!(
        body,
        "<p class=\"note\">Boxes are those of {} frames, of the same label and an IoU of at least 0.5 or 0.8. Speed-up: the \
         first row's model time over this row's within a round, median over {} rounds{}.</p></div>\n</section>\n",
        comparison.frames,
        comparison.rounds,
        if runs.is_empty() {
            ", of which none was finished"
        } else {
            ""
        },
    );
    body
}

fn machine(report: &Report) -> String {
    let machine = &report.machine;
    let mut rows = vec![
        ("machine", machine.model.clone()),
        (
            "processor",
            format!(
                "{}, {} of {}",
                machine.processor, machine.processors, machine.architecture
            ),
        ),
        ("memory", bytes(machine.memory_bytes)),
        (
            "system",
            format!("{}, Linux {}", machine.system, machine.kernel),
        ),
        ("GStreamer", machine.gstreamer.clone()),
        ("governor", machine.governor.clone().unwrap_or_default()),
        ("build", machine.build.to_owned()),
    ];
    if let Some(bits) = report
        .runs
        .iter()
        .filter_map(|run| run.throttled)
        .reduce(|all, bits| all | bits)
    {
        rows.push(("throttling", throttling(bits)));
    }
    let rows = rows.into_iter().filter(|(_, value)| !value.is_empty());
    let rows = rows.map(|(name, value)| vec![name.to_owned(), value]);
    format!(
        "<section class=\"tables\"><div><h3>Machine</h3>{}</div></section>\n",
        table(&["", ""], rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Second;
    use std::time::Duration;

    fn report() -> Report {
        gst::init().expect("GStreamer starts");
        let values: Vec<_> = (10..60).map(Duration::from_millis).collect();
        let second = |n: u32| Second {
            at_s: f64::from(n),
            fps: 10.0 + f64::from(n % 3),
            model_ms: Some(50.0),
            latency_ms: Some(80.0),
            temperature_c: Some(60.0),
            ..Second::default()
        };
        let run = Run {
            name: "<b>&\"x".into(),
            model_time: Times::of(&values),
            inside: Times::of(&values),
            seconds: (1..10).map(second).collect(),
            ..Run::default()
        };
        Report::new("run", vec![run])
    }

    #[test]
    fn a_page_needs_nothing_else() {
        let page = page(&report());
        assert!(!page.contains("<script") && !page.contains("@import"));
        let links = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!links.contains("http"), "a page without a network");
        assert!(page.matches("<svg").count() >= 8, "plots in two shapes");
    }

    #[test]
    fn names_are_text() {
        let page = page(&report());
        assert!(page.contains("&lt;b&gt;&amp;&quot;x") && !page.contains("<b>&"));
    }

    #[test]
    fn what_was_not_measured_has_no_plot() {
        let page = page(&report());
        assert!(page.contains("Temperature") && !page.contains("Clock"));
    }

    #[test]
    fn nothing_measured_is_a_page_too() {
        gst::init().expect("GStreamer starts");
        let mut empty = Report::new("compare", Vec::new());
        empty.comparison = Some(Comparison::default());
        assert!(page(&empty).ends_with("</html>\n"));
        assert!(page(&Report::new("run", vec![Run::default()])).contains("FPS"));
    }
}
