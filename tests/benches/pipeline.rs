//! What the pipeline costs beside the model: frames a second of the element, times the time that the engine alone needs
//! for one inference. 1 would be a pipeline that costs nothing.
//!
//! ```text
//! cargo bench --bench pipeline -- MODEL.onnx... [--engines tract,onnxruntime] [--threads 1] [--rounds 12] [--seconds 1]
//! ```
//!
//! The engine alone runs in a process of its own, on the same prepared graph, with as many threads; it and the pipeline
//! take turns, so that a drift of the machine's speed falls on both. Each round begins with new ones: where a process
//! happens to lie in memory makes some hundredths. Frames are one picture of 1280x720 I420, repeated from memory:
//! without pause in `every`, and 200 a second from a live source, with a sink that keeps time, in `newest`. `auto` is
//! held against the fastest of the engines named before it.

use gst::prelude::*;
use gstdetect::bridge::message;
use gstdetect::engine::{self, EngineKind, EngineOptions};
use gstdetect::model::{Model, ModelOptions};
use std::error::Error;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The first argument of the process in which an engine runs alone.
const ALONE: &str = "alone";
/// Frames of a turn that do not count: caches are cold, and the line is empty.
const WARM_UP: usize = 3;
const MODES: [&str; 2] = ["every", "newest"];
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What to measure, and for how long.
struct Arguments {
    models: Vec<PathBuf>,
    engines: Vec<String>,
    threads: usize,
    rounds: usize,
    turn: Duration,
}

impl Arguments {
    fn parse(given: &[String]) -> Outcome<Self> {
        let mut arguments = Self {
            models: Vec::new(),
            engines: vec!["tract".into()],
            threads: 1,
            rounds: 12,
            turn: Duration::from_secs(1),
        };
        let mut given = given.iter();
        while let Some(word) = given.next() {
            let mut value = || {
                given.next().ok_or(format!(
                    "{word} is the last word, expected a value behind it"
                ))
            };
            match word.as_str() {
                "--engines" => arguments.engines = value()?.split(',').map(String::from).collect(),
                "--threads" => arguments.threads = value()?.parse()?,
                "--rounds" => arguments.rounds = value()?.parse()?,
                "--seconds" => arguments.turn = Duration::from_secs_f64(value()?.parse()?),
                "--bench" => {} // cargo's own
                option if option.starts_with('-') => {
                    return Err(format!(
                        "{option} is no option, expected --engines, --threads, --rounds or --seconds"
                    )
                    .into());
                }
                model => arguments.models.push(model.into()),
            }
        }
        Ok(arguments)
    }
}

fn main() -> Outcome<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    if let [first, model, engine, threads, ..] = &given[..]
        && first == ALONE
    {
        return run_alone(model.into(), engine, threads.parse()?);
    }
    let arguments = Arguments::parse(&given)?;
    if arguments.models.is_empty() {
        println!("nothing is measured: name models behind `cargo bench --bench pipeline --`");
        return Ok(());
    }
    gst::init()?;
    gstdetect::register_static()?;
    println!(
        "{} thread(s), {} rounds of {:?} each; medians, and the tenth and ninetieth percentile of the rounds",
        arguments.threads, arguments.rounds, arguments.turn
    );
    println!(
        "model                      engine       mode     alone ms  element ms  ratio                 frames/s  of the ideal"
    );
    for model in &arguments.models {
        for mode in MODES {
            measure(model, mode, &arguments)?;
        }
    }
    Ok(())
}

/// Runs as many inferences as each line of standard input says, and writes their times in nanoseconds, in one line.
fn run_alone(model: PathBuf, engine: &str, threads: usize) -> Outcome<()> {
    let kind = match engine {
        "tract" => EngineKind::Tract,
        "onnxruntime" => EngineKind::OnnxRuntime,
        "openvino" => EngineKind::OpenVino,
        other => return Err(format!("{other} is no engine that runs alone").into()),
    };
    let model = Model::open(&ModelOptions {
        path: Some(model),
        ..ModelOptions::default()
    })?;
    let options = EngineOptions {
        threads,
        ..EngineOptions::default()
    };
    let mut engine = engine::open(kind, &model, &options)?.engine;
    let input = model.input.blank();
    // Their memory is used again from run to run, as in `detect`.
    let mut outputs = engine.run(&input)?;
    for line in std::io::stdin().lock().lines() {
        let mut times = Vec::new();
        for _ in 0..line?.parse()? {
            let begin = Instant::now();
            engine.run_into(&input, &mut outputs)?;
            times.push(begin.elapsed().as_nanos().to_string());
        }
        println!("{}", times.join(" "));
    }
    Ok(())
}

/// The process in which an engine runs alone.
struct Alone {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// Of the last turn.
    median: Duration,
}

impl Alone {
    fn start(model: &Path, engine: &str, threads: usize) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(ALONE)
            .arg(model)
            .args([engine, &threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (orders, answers) = (child.stdin.take(), child.stdout.take());
        let mut alone = Self {
            orders: orders.ok_or("the process has no input")?,
            answers: BufReader::new(answers.ok_or("the process has no output")?).lines(),
            child,
            median: Duration::ZERO,
        };
        alone.run(1)?;
        Ok(alone)
    }

    fn run(&mut self, count: usize) -> Outcome<()> {
        writeln!(self.orders, "{count}")?;
        let line = self.answers.next().ok_or("the engine alone has failed")??;
        let times: Result<Vec<u64>, _> = line.split(' ').map(str::parse).collect();
        self.median = Duration::from_nanos(percentile(&times?, 0.5));
        Ok(())
    }

    fn turn(&mut self, lasts: Duration) -> Outcome<()> {
        let count = lasts.div_duration_f64(self.median).ceil() as usize + WARM_UP;
        self.run(count)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pipeline that runs when it is its turn.
struct Line {
    pipeline: gst::Pipeline,
    left: Arc<Mutex<Vec<Instant>>>,
}

/// What came of a turn.
struct Turn {
    frames_a_second: f64,
    model: Duration,
}

impl Line {
    fn start(model: &Path, engine: &str, mode: &str, threads: usize) -> Outcome<Self> {
        let (rate, live) = match mode {
            "newest" => ("framerate=200/1", "is-live=true"),
            _ => ("framerate=30/1", ""),
        };
        let launch = format!(
            "videotestsrc num-buffers=1 pattern=smpte ! video/x-raw,format=I420,width=1280,height=720,framerate=30/1 \
             ! imagefreeze {live} ! video/x-raw,{rate} \
             ! detect name=detect engine={engine} mode={mode} threads={threads} stats-interval=0 post-detections=true \
             ! fakesink name=sink sync={}",
            !live.is_empty()
        );
        let pipeline = gst::parse::launch(&launch)?;
        let pipeline = pipeline
            .downcast::<gst::Pipeline>()
            .map_err(|_| "no pipeline")?;
        let detect = pipeline.by_name("detect").ok_or("no detect")?;
        detect.set_property("model", model.to_str().ok_or("the path is no text")?);
        let left = Arc::new(Mutex::new(Vec::new()));
        let seen = left.clone();
        let pad = detect.static_pad("src").ok_or("no source pad")?;
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            seen.lock().expect("nobody panics").push(Instant::now());
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Paused)?;
        let line = Self { pipeline, left };
        line.pipeline.state(PATIENCE).0?;
        Ok(line)
    }

    fn turn(&self, lasts: Duration) -> Outcome<Turn> {
        let bus = self.pipeline.bus().ok_or("no bus")?;
        while bus.pop().is_some() {}
        self.left.lock().expect("nobody panics").clear();
        self.pipeline.set_state(gst::State::Playing)?;
        let end = Instant::now() + lasts;
        let mut model = Vec::new();
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let Some(message) = bus.timed_pop(gst::ClockTime::try_from(left)?) else {
                continue;
            };
            match message.view() {
                gst::MessageView::Error(error) => return Err(error.error().into()),
                gst::MessageView::Latency(_) => drop(self.pipeline.recalculate_latency()),
                gst::MessageView::Element(element) => model.extend(
                    element
                        .structure()
                        .filter(|s| s.name() == message::DETECTIONS)
                        .and_then(message::stage_times)
                        .map(|times| times.model.as_nanos() as u64),
                ),
                _ => {}
            }
        }
        self.pipeline.set_state(gst::State::Paused)?;
        let left = std::mem::take(&mut *self.left.lock().expect("nobody panics"));
        let counted = left.get(WARM_UP..).unwrap_or_default();
        let [first, .., last] = counted else {
            return Err(format!(
                "{} frames in {lasts:?} are too few: more --seconds",
                left.len()
            )
            .into());
        };
        Ok(Turn {
            frames_a_second: (counted.len() - 1) as f64 / (*last - *first).as_secs_f64(),
            model: Duration::from_nanos(percentile(&model, 0.5)),
        })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// One engine in the pipeline, and what its rounds gave.
#[derive(Default)]
struct Row {
    engine: String,
    alone: Vec<f64>,
    element: Vec<f64>,
    ratio: Vec<f64>,
    rate: Vec<f64>,
    ideal: Vec<f64>,
}

fn measure(model: &Path, mode: &str, arguments: &Arguments) -> Outcome<()> {
    let row = |engine: &String| Row {
        engine: engine.clone(),
        ..Row::default()
    };
    let mut rows: Vec<Row> = arguments.engines.iter().map(row).collect();
    for _ in 0..arguments.rounds {
        for row in &mut rows {
            let mut alone = beside(model, &row.engine, arguments)?;
            let line = Line::start(model, &row.engine, mode, arguments.threads)?;
            let before = fastest(&mut alone, arguments.turn)?;
            let turn = line.turn(arguments.turn)?;
            let after = fastest(&mut alone, arguments.turn)?;
            let (bare, in_element) = ((before + after) / 2.0, turn.model.as_secs_f64());
            row.alone.push(bare * 1e3);
            row.element.push(in_element * 1e3);
            row.ratio.push(in_element / bare);
            row.rate.push(turn.frames_a_second);
            row.ideal.push(turn.frames_a_second * bare);
        }
    }
    for row in &rows {
        let name = model.file_stem().unwrap_or_default().to_string_lossy();
        println!(
            "{name:26} {:12} {mode:8} {:8.2} {:11.2}  {}  {:8.2}  {}",
            row.engine,
            middle(&row.alone),
            middle(&row.element),
            spread(&row.ratio),
            middle(&row.rate),
            spread(&row.ideal)
        );
    }
    Ok(())
}

/// The engine of this name alone; of `auto` all that are measured.
fn beside(model: &Path, engine: &str, arguments: &Arguments) -> Outcome<Vec<Alone>> {
    let engines = arguments.engines.iter().filter(|name| *name != "auto");
    engines
        .filter(|name| engine == "auto" || engine == *name)
        .map(|name| Alone::start(model, name, arguments.threads))
        .collect()
}

/// Seconds that the fastest of them needs for one inference.
fn fastest(alone: &mut [Alone], turn: Duration) -> Outcome<f64> {
    let mut fastest = f64::INFINITY;
    for engine in alone {
        engine.turn(turn / 2)?;
        fastest = fastest.min(engine.median.as_secs_f64());
    }
    Ok(fastest)
}

/// Nearest rank; 0 of nothing.
fn percentile(values: &[u64], share: f64) -> u64 {
    let mut values = values.to_vec();
    values.sort_unstable();
    let rank = ((values.len() as f64 * share).ceil() as usize).max(1);
    values.get(rank - 1).copied().unwrap_or_default()
}

fn of_share(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1).min((values.len() as f64 * share) as usize)]
}

fn middle(values: &[f64]) -> f64 {
    of_share(values, 0.5)
}

fn spread(values: &[f64]) -> String {
    let [low, high] = [0.1, 0.9].map(|share| of_share(values, share));
    format!("{:.3} ({low:.3} to {high:.3})", middle(values))
}
