//! `run`: measures one pipeline. Also progress and output, which `compare` shares.

use crate::args::{Output, RunArgs};
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::measure::{Plan, Progress, measure};
use crate::report::{Report, print};
use crate::{html, text};
use gstdetect::bridge::message::DetectStats;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::path::Path;

/// Steps of the progress bar.
const WHOLE: u64 = 1000;

pub fn run(arguments: &RunArgs) -> Result<(), Failure> {
    let plan = Plan {
        name: name(arguments.model.as_deref()),
        source: arguments.stream.source.elements(&arguments.stream, true)?,
        source_name: arguments.stream.source.describe(&arguments.stream),
        sink: arguments.stream.sink.clone(),
        model: arguments.model.clone(),
        settings: arguments.properties.settings()?,
        warm_up: arguments.stream.warm_up,
        time: arguments.time,
    };
    let bar = bar(arguments.output.quiet);
    let run = measure(&plan, Interrupt::on_ctrl_c(), &mut |progress| {
        show(&bar, "", &progress)
    });
    bar.finish_and_clear();
    deliver(&Report::new("run", vec![run?]), &arguments.output)
}

/// Returns a model's name for people: its file without the ending.
pub fn name(model: Option<&Path>) -> String {
    let name = model.and_then(Path::file_stem);
    name.map_or_else(
        || "built-in".into(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}

/// Prints a report, and writes it as JSON and HTML where that is asked for.
pub fn deliver(report: &Report, output: &Output) -> Result<(), Failure> {
    if let Some(path) = &output.html {
        let page = html::page(report);
        std::fs::write(path, page).map_err(|err| Failure::output(path, &err))?;
    }
    if let Some(path) = &output.json {
        report.write_json(path)?;
    }
    match output.json.as_deref() {
        Some(path) if path == Path::new("-") => Ok(()),
        _ => print(&text::report(report)),
    }
}

/// Makes a line of text and a progress bar on standard error, if that is a terminal.
pub fn bar(quiet: bool) -> ProgressBar {
    let target = match quiet {
        true => ProgressDrawTarget::hidden(),
        false => ProgressDrawTarget::stderr(),
    };
    let bar = ProgressBar::with_draw_target(Some(WHOLE), target);
    if let Ok(style) = ProgressStyle::with_template("{msg}\n{bar:40} {percent:>3} %  {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message("loading the model");
    bar
}

/// Shows what is being done.
pub fn show(bar: &ProgressBar, what: &str, progress: &Progress) {
    match progress {
        Progress::Model(model) => {
            let (width, height) = model.input;
            bar.set_message(format!(
                "{what}{}, {width}x{height}, {}",
                model.family, model.engine
            ));
        }
        Progress::Running {
            done,
            warming_up,
            stats,
        } => {
            if let Some(done) = done {
                bar.set_position((done.clamp(0.0, 1.0) * WHOLE as f64) as u64);
            }
            let begin = if *warming_up { "warming up: " } else { "" };
            bar.set_message(format!("{what}{begin}{}", live_line(stats)));
        }
    }
}

/// Returns the current figures, the most important first.
fn live_line(stats: &DetectStats) -> String {
    let snapshot = &stats.snapshot;
    let mut parts = vec![format!("{:.1} FPS", snapshot.fps)];
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
    if let Some(model) = snapshot.model {
        parts.push(format!("model {:.1} ms", ms(model.p50)));
    }
    if let Some(age) = snapshot.age {
        parts.push(format!("age {:.0} ms", ms(age.p50)));
    }
    parts.push(format!("dropped {}", snapshot.counters.dropped()));
    if let Some(cpu) = stats.machine.process_cpu {
        parts.push(format!("CPU {cpu:.2}"));
    }
    if let Some(degrees) = stats.machine.temperature {
        parts.push(format!("{degrees:.0} °C"));
    }
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use gstdetect::host::machine::MachineSample;

    #[test]
    fn the_live_line_leaves_out_what_is_not_known() {
        let mut stats = DetectStats::default();
        stats.snapshot.fps = 12.34;
        assert_eq!(live_line(&stats), "12.3 FPS  dropped 0");
        stats.machine = MachineSample {
            process_cpu: Some(1.5),
            temperature: Some(61.2),
            ..MachineSample::default()
        };
        assert_eq!(live_line(&stats), "12.3 FPS  dropped 0  CPU 1.50  61 °C");
    }

    #[test]
    fn a_model_is_named_by_its_file() {
        assert_eq!(name(Some(Path::new("/a/x.fp16.onnx"))), "x.fp16");
        assert_eq!(name(None), "built-in");
    }
}
