//! [`page`]: a report as one page that needs nothing else: no script, no font, no picture from elsewhere.
//!
//! `plots.rs` draws plots as SVG, each twice, for narrow and for wide windows; `style.css` shows one of both, and gives
//! them the colours of a light or dark page. `table.rs` renders tables, `run.rs` has the parts of one run.

mod plots;
mod run;
mod table;

use crate::report::{Comparison, Report, Row};
use crate::tables;
use plots::Shape;
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
        body += &self::comparison(comparison);
    }
    for run in &report.runs {
        if report.comparison.is_some() {
            let _ = write!(body, "<h2>{}, last turn</h2>", escape(&run.name));
        }
        body += &run::run(run, &report.machine);
    }
    let machine = table::panel(&tables::measured_on(report), "");
    let _ = writeln!(body, "<section class=\"tables\">{machine}</section>");
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

/// Renders a plot with its title, in both shapes.
fn figure(title: &str, note: &str, plot: impl Fn(Shape) -> String) -> String {
    format!(
        "<figure><figcaption><b>{}</b> {}</figcaption><div class=\"wide\">{}</div><div class=\"narrow\">{}</div></figure>\n",
        escape(title),
        escape(note),
        plot(Shape::Wide),
        plot(Shape::Narrow)
    )
}

fn comparison(comparison: &Comparison) -> String {
    let bars = |value: fn(&Row) -> Option<f64>| -> Vec<(String, Option<f64>)> {
        let rows = comparison.rows.iter();
        rows.map(|row| (row.name.clone(), value(row))).collect()
    };
    let mut body = String::from("<section class=\"plots\">\n");
    body += &figure("Frames a second", "median of the turns", |shape| {
        plots::bars(&bars(|row| row.fps), 1, "", shape)
    });
    body += &figure("Model time", "ms, median of the turns' medians", |shape| {
        plots::bars(&bars(|row| row.model_p50_ms), 1, "ms", shape)
    });
    if comparison.frames > 0 {
        let share = |row: &Row| {
            let boxes = row.boxes.filter(|b| b.expected > 0)?;
            Some(100.0 * boxes.matched_50 as f64 / boxes.expected as f64)
        };
        body += &figure(
            "Boxes kept",
            "% of the first row's, found again at IoU 0.5",
            |shape| plots::bars(&bars(share), 1, "%", shape),
        );
    }
    body += "</section>\n<section class=\"tables\">\n";
    body += &table::panel(&tables::speed(comparison), "whole");
    if let Some(boxes) = tables::boxes(comparison) {
        body += &table::panel(&boxes, "whole");
    }
    for row in &comparison.rows {
        if let Some(failure) = &row.failure {
            let (name, failure) = (escape(&row.name), escape(failure));
            let _ = writeln!(body, "<p class=\"failure whole\">{name}: {failure}</p>");
        }
    }
    body + "</section>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Agreement, Run, Second, Times};
    use std::process::Command;
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
            model_time: Times::from_values(&values),
            inside: Times::from_values(&values),
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

    /// A report with rows of long names, every value measured.
    fn wide_comparison() -> Report {
        let row = |n: u32| Row {
            name: format!(
                "yolox_nano_416 engine=onnxruntime input-size=640x384 mode=every threads={n} workers=2"
            ),
            fps: Some(123.45),
            model_p50_ms: Some(1234.5),
            model_p95_ms: Some(1234.5),
            latency_p50_ms: Some(1234.5),
            speed_up: Some(12.34),
            boxes: Some(Agreement {
                expected: 1000,
                found: 1000,
                matched_50: 1000,
                missing: 1000,
                extra: 1000,
                ..Agreement::default()
            }),
            ..Row::default()
        };
        let mut report = report();
        report.comparison = Some(Comparison {
            rounds: 3,
            frames: 60,
            rows: (0..4).map(row).collect(),
        });
        report
    }

    /// Lets Chromium lay out a page, and returns the classes of elements that are wider than their place.
    ///
    /// Returns `None` where there is no Chromium.
    fn cut_elements(page: &str, width: u32) -> Option<String> {
        const MEASURE: &str = "<script>const wide = e => e.scrollWidth > e.clientWidth + 1;\
            const all = [document.documentElement, ...document.querySelectorAll('.scroll, figure, .card')];\
            document.title = 'cut: [' + all.filter(wide).map(e => e.className || e.tagName).join(' ') + ']';</script></body>";
        let folder =
            std::env::temp_dir().join(format!("detect-page-{}-{width}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a writable folder");
        let path = folder.join("page.html");
        std::fs::write(&path, page.replace("</body>", MEASURE)).expect("a writable folder");
        let chromium = Command::new("chromium")
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--dump-dom",
            ])
            .arg(format!(
                "--user-data-dir={}",
                folder.join("profile").display()
            ))
            .arg(format!("--window-size={width},900"))
            .arg(&path)
            .output();
        let _ = std::fs::remove_dir_all(&folder);
        let output = chromium.ok()?;
        let page = String::from_utf8_lossy(&output.stdout).into_owned();
        let (_, behind) = page.split_once("<title>cut: [")?;
        Some(behind.split(']').next().unwrap_or_default().to_owned())
    }

    #[test]
    fn nothing_is_cut_in_windows_of_usual_widths() {
        let page = page(&wide_comparison());
        for width in [500, 800, 1100, 1600] {
            match cut_elements(&page, width) {
                Some(cut) => assert_eq!(cut, "", "in a window of {width} pixels"),
                None => return eprintln!("skipped: no chromium to lay out a page with"),
            }
        }
    }

    #[test]
    fn tables_have_few_enough_columns_for_a_page() {
        let page = page(&wide_comparison());
        let heads = page.split("<thead>").skip(1);
        let columns =
            heads.filter_map(|head| Some(head.split("</thead>").next()?.matches("<th").count()));
        let most = columns.max().expect("tables with heads");
        assert!(most <= 7, "{most} columns");
    }
}
