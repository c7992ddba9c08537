//! `compare`: measures rows of a model and settings in turns, and compares them with the first.
//!
//! Every round gives each row one turn, every second round in reverse order, so that warming up and other programs affect
//! all rows alike. A speed-up is the median over the rounds of the ratio within a round. Boxes are compared on the same
//! frames for all rows, taken from the source once.

use crate::agreement::{Found, Tally};
use crate::analyse::{self, Analyser};
use crate::args::CompareArgs;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::measure::{Plan, measure};
use crate::report::{Agreement, Comparison, Report, Row, Run};
use crate::run::{bar, deliver, name, show};
use crate::settings::Settings;
use crate::source::Source;
use indicatif::ProgressBar;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A model and settings, measured in one row.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    model: Option<PathBuf>,
    settings: Settings,
}

/// Results of a row's turns.
#[derive(Debug, Default)]
struct Outcome {
    runs: Vec<Run>,
    failure: Option<Failure>,
}

pub fn run(arguments: &CompareArgs) -> Result<(), Failure> {
    let entries = entries(arguments)?;
    let interrupt = Interrupt::on_ctrl_c();
    let bar = bar(arguments.output.quiet);
    let outcomes = turns(arguments, &entries, interrupt, &bar)?;
    if let Some(failure) = outcomes.first().and_then(|first| first.failure.clone()) {
        return Err(failure);
    }
    let boxes = match (arguments.frames, interrupt.is_asked()) {
        (0, _) | (_, true) => Boxes::default(),
        _ => boxes(arguments, &entries, &bar)?,
    };
    bar.finish_and_clear();
    let report = report(arguments, &entries, outcomes, boxes);
    deliver(&report, &arguments.output)
}

/// Returns the rows of the matrix, then those of `--row`.
fn entries(arguments: &CompareArgs) -> Result<Vec<Entry>, Failure> {
    let mut common = Settings::default();
    arguments
        .set
        .iter()
        .try_for_each(|pair| common.set_pair(pair))?;
    let lists = [
        ("engine", &arguments.engines),
        ("threads", &arguments.threads),
        ("precision", &arguments.precisions),
        ("input-size", &arguments.input_sizes),
    ];
    let mut combinations = vec![Settings::default()];
    for (property, values) in lists {
        if !values.is_empty() {
            let with = |settings: &Settings, value: &String| {
                let mut settings = settings.clone();
                settings.set(property, value);
                settings
            };
            combinations = (combinations.iter())
                .flat_map(|settings| values.iter().map(move |value| with(settings, value)))
                .collect();
        }
    }
    let models = arguments.models.iter().cloned().map(Some);
    let models: Vec<_> = match arguments.models.is_empty() && arguments.row.is_empty() {
        true => vec![None],
        false => models.collect(),
    };
    let matrix = models.iter().flat_map(|model| {
        let entry = |settings: &Settings| entry(model.clone(), settings, &common);
        combinations.iter().map(entry).collect::<Vec<_>>()
    });
    let mut entries: Vec<_> = matrix.collect();
    for row in &arguments.row {
        let mut words = row.split_whitespace();
        let model = words.next().map(PathBuf::from);
        let mut settings = Settings::default();
        words.try_for_each(|pair| settings.set_pair(pair))?;
        entries.push(entry(model, &settings, &common));
    }
    Ok(entries)
}

fn entry(model: Option<PathBuf>, own: &Settings, common: &Settings) -> Entry {
    let name = format!("{} {own}", name(model.as_deref()));
    Entry {
        name: name.trim().to_owned(),
        model,
        settings: common.with(own),
    }
}

/// Returns the order of the rows in a round.
fn order(round: u32, rows: usize) -> Vec<usize> {
    match round % 2 {
        0 => (0..rows).collect(),
        _ => (0..rows).rev().collect(),
    }
}

fn turns(
    arguments: &CompareArgs,
    entries: &[Entry],
    interrupt: Interrupt,
    bar: &ProgressBar,
) -> Result<Vec<Outcome>, Failure> {
    let mut outcomes: Vec<Outcome> = entries.iter().map(|_| Outcome::default()).collect();
    for round in 0..arguments.rounds {
        for place in order(round, entries.len()) {
            let (entry, outcome) = (&entries[place], &mut outcomes[place]);
            if outcome.failure.is_some() || interrupt.is_asked() {
                continue;
            }
            let what = format!(
                "round {} of {}, {}: ",
                round + 1,
                arguments.rounds,
                entry.name
            );
            let plan = plan(arguments, entry)?;
            match measure(&plan, interrupt, &mut |progress| {
                show(bar, &what, &progress)
            }) {
                Ok(_) if interrupt.is_asked() => {} // a turn that was cut short
                Ok(run) => outcome.runs.push(run),
                Err(failure @ (Failure::Usage(_) | Failure::Interrupted)) => return Err(failure),
                Err(failure) => outcome.failure = Some(failure),
            }
            rest(arguments.cool_down, interrupt, bar);
        }
    }
    if outcomes
        .iter()
        .all(|o| o.runs.is_empty() && o.failure.is_none())
    {
        return Err(Failure::Interrupted);
    }
    Ok(outcomes)
}

fn plan(arguments: &CompareArgs, entry: &Entry) -> Result<Plan, Failure> {
    let stream = &arguments.stream;
    Ok(Plan {
        name: entry.name.clone(),
        source: stream.source.elements(stream, true)?,
        source_name: stream.source.describe(stream),
        sink: stream.sink.clone(),
        model: entry.model.clone(),
        settings: entry.settings.clone(),
        warm_up: stream.warm_up.or(Some(Duration::from_secs(1))),
        time: Some(arguments.time),
    })
}

/// Lets the machine cool down, so that a row is not slower because of the row before.
fn rest(time: Duration, interrupt: Interrupt, bar: &ProgressBar) {
    bar.set_message("cooling down");
    let end = Instant::now() + time;
    while !interrupt.is_asked() {
        match end.checked_duration_since(Instant::now()) {
            Some(left) => std::thread::sleep(left.min(Duration::from_millis(100))),
            None => return,
        }
    }
}

/// Results of comparing boxes.
#[derive(Debug, Default)]
struct Boxes {
    frames: usize,
    /// Agreement of each row with the first.
    rows: Vec<Result<Agreement, Failure>>,
}

fn boxes(arguments: &CompareArgs, entries: &[Entry], bar: &ProgressBar) -> Result<Boxes, Failure> {
    let stream = &arguments.stream;
    // A file shows something else half a second later; a camera would need too long for that.
    let interval = match stream.source {
        Source::Camera => gst::ClockTime::from_mseconds(100),
        _ => gst::ClockTime::from_mseconds(500),
    };
    let source = stream.source.elements(stream, false)?;
    bar.set_message("taking frames to compare boxes on");
    let frames = analyse::capture(&source, arguments.frames as usize, interval)?;
    let mut first: Option<Vec<Vec<Found>>> = None;
    let mut rows = Vec::new();
    for (n, entry) in entries.iter().enumerate() {
        bar.set_message(format!("boxes of {}", entry.name));
        bar.set_position(1000 * n as u64 / entries.len() as u64);
        let found = match look(entry, &frames) {
            Ok(found) => found,
            Err(failure) if n == 0 => return Err(failure),
            Err(failure) => {
                rows.push(Err(failure));
                continue;
            }
        };
        let expected = first.get_or_insert_with(|| found.clone());
        let mut tally = Tally::default();
        for (expected, found) in expected.iter().zip(&found) {
            tally.add(expected, found);
        }
        rows.push(Ok(tally.agreement()));
    }
    Ok(Boxes {
        frames: frames.len(),
        rows,
    })
}

fn look(entry: &Entry, frames: &[gst::Sample]) -> Result<Vec<Vec<Found>>, Failure> {
    let mut analyser = Analyser::new(entry.model.as_deref(), &entry.settings)?;
    let looked = frames.iter().map(|frame| Ok(analyser.look(frame)?.found));
    looked.collect()
}

fn report(
    arguments: &CompareArgs,
    entries: &[Entry],
    outcomes: Vec<Outcome>,
    boxes: Boxes,
) -> Report {
    let turns = |outcome: &Outcome| -> Vec<f64> {
        let times = outcome
            .runs
            .iter()
            .filter_map(|run| run.model_time.as_ref());
        times.map(|t| t.p50_ms).collect()
    };
    let baseline = outcomes.first().map(&turns).unwrap_or_default();
    let rows = entries
        .iter()
        .zip(&outcomes)
        .enumerate()
        .map(|(n, (entry, outcome))| {
            let turns_ms = turns(outcome);
            let boxes = boxes.rows.get(n);
            let over =
                |figure: fn(&Run) -> Option<f64>| median(outcome.runs.iter().filter_map(figure));
            let ratios = baseline
                .iter()
                .zip(&turns_ms)
                .map(|(first, own)| first / own);
            Row {
                name: entry.name.clone(),
                failure: (outcome.failure.as_ref())
                    .or(boxes.and_then(|boxes| boxes.as_ref().err()))
                    .map(ToString::to_string),
                fps: over(|run| Some(run.fps)),
                model_p50_ms: over(|run| run.model_time.as_ref().map(|t| t.p50_ms)),
                model_p95_ms: over(|run| run.model_time.as_ref().map(|t| t.p95_ms)),
                latency_p50_ms: over(|run| {
                    run.age.as_ref().or(run.inside.as_ref()).map(|t| t.p50_ms)
                }),
                speed_up: median(ratios),
                turns_ms,
                boxes: boxes.and_then(|boxes| boxes.as_ref().ok()).copied(),
            }
        });
    let comparison = Comparison {
        rounds: arguments.rounds,
        frames: boxes.frames,
        rows: rows.collect(),
    };
    let last = outcomes
        .into_iter()
        .filter_map(|mut outcome| outcome.runs.pop());
    let mut report = Report::new("compare", last.collect());
    report.comparison = Some(comparison);
    report
}

/// Returns `None` if there are no values.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Arguments, Command};
    use clap::Parser;

    fn arguments(words: &[&str]) -> CompareArgs {
        let all = ["detect-bench", "compare"].iter().chain(words);
        match Arguments::parse_from(all).command {
            Command::Compare(arguments) => arguments,
            _ => panic!("another command"),
        }
    }

    fn names(words: &[&str]) -> Vec<String> {
        let entries = entries(&arguments(words)).expect("rows");
        entries.into_iter().map(|e| e.name).collect()
    }

    #[test]
    fn the_matrix_has_every_combination_and_rows_come_after() {
        assert_eq!(
            names(&[
                "a.onnx",
                "b.onnx",
                "--threads",
                "1,2",
                "--row",
                "c.onnx input-size=320"
            ]),
            [
                "a threads=1",
                "a threads=2",
                "b threads=1",
                "b threads=2",
                "c input-size=320"
            ]
        );
        assert_eq!(names(&[]), ["built-in"]);
        assert_eq!(names(&["--row", "c.onnx"]), ["c"]);
        assert!(entries(&arguments(&["--row", "c.onnx threads"])).is_err());
    }

    #[test]
    fn every_second_round_is_in_reverse() {
        assert_eq!((order(0, 3), order(1, 3)), (vec![0, 1, 2], vec![2, 1, 0]));
    }

    #[test]
    fn a_median_stands_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0].into_iter()), Some(2.5));
        assert_eq!(median([].into_iter()), None);
    }
}
