//! Cost of the pipeline beside the model: frames a second of the element, times the time that the engine alone needs for
//! one inference. 1 would be a pipeline that costs nothing.
//!
//! ```text
//! cargo bench --bench pipeline -- [--engines tract,onnxruntime] [--threads 1] [--rounds 12] [--seconds 1] MODEL.onnx...
//! ```
//!
//! The engine alone runs in its own process, on the same prepared graph, with as many threads. It and the pipeline take
//! turns, so that a change of the machine's speed affects both. Each round starts both afresh, because the place of a
//! process in memory changes its speed by some hundredths. Frames are one picture of 1280x720 I420, repeated from memory:
//! in `every` without pause, in `newest` 200 a second from a live source into a sink that keeps time. `auto` is compared
//! with the fastest of the engines named before it.

mod support;

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
use support::Spread;
use support::arguments::Arguments;

/// The first argument of the process in which an engine runs alone.
const ALONE: &str = "alone";
/// Frames of a turn that are not counted: caches are cold, and the pipeline is empty.
const WARM_UP: usize = 3;
const MODES: [&str; 2] = ["every", "newest"];
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);

type Outcome<T> = Result<T, Box<dyn Error>>;

const USAGE: &str = "cargo bench --bench pipeline -- [--engines tract,onnxruntime] [--threads 1] [--rounds 12] \
                     [--seconds 1] MODEL.onnx...";
const OPTIONS: [&str; 4] = ["engines", "threads", "rounds", "seconds"];

/// Engines to measure, and for how long.
struct Plan {
    engines: Vec<String>,
    threads: usize,
    rounds: usize,
    turn: Duration,
}

impl Plan {
    fn new(arguments: &Arguments) -> Outcome<Self> {
        let seconds = arguments.value("seconds", 1.0)?;
        Ok(Self {
            engines: arguments.list("engines", "tract"),
            threads: arguments.count("threads", 1)?,
            rounds: arguments.count("rounds", 12)?,
            turn: Duration::try_from_secs_f64(seconds)
                .map_err(|error| format!("--seconds {seconds}: {error}"))?,
        })
    }
}

fn main() -> Outcome<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    if let [first, model, engine, threads, ..] = &given[..]
        && first == ALONE
    {
        return run_alone(model.into(), engine, threads.parse()?);
    }
    let Some(arguments) = Arguments::from_command_line(".onnx", &OPTIONS, USAGE)? else {
        return Ok(());
    };
    let plan = Plan::new(&arguments)?;
    gst::init()?;
    gstdetect::register_static()?;
    println!(
        "{} thread(s), {} rounds of {:?} each; medians, and 10th to 90th percentile of the rounds",
        plan.threads, plan.rounds, plan.turn
    );
    println!(
        "model                      engine       mode     alone ms  element ms  element : alone       frames/s  share of ideal"
    );
    for model in &arguments.files {
        for mode in MODES {
            measure(model, mode, &plan)?;
        }
    }
    Ok(())
}

/// Runs as many inferences as each line of standard input says, and answers with a line of their times in seconds.
fn run_alone(model: PathBuf, engine: &str, threads: usize) -> Outcome<()> {
    let kind = match engine {
        "tract" => EngineKind::Tract,
        "onnxruntime" => EngineKind::OnnxRuntime,
        "openvino" => EngineKind::OpenVino,
        other => {
            return Err(format!(
                "cannot run {other} alone, expected tract, onnxruntime or openvino"
            )
            .into());
        }
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
    // Reused from run to run, as in `detect`.
    let mut outputs = engine.run(&input)?;
    for line in std::io::stdin().lock().lines() {
        let mut times = Vec::new();
        for _ in 0..line?.parse()? {
            let begin = Instant::now();
            engine.run_into(&input, &mut outputs)?;
            times.push(begin.elapsed().as_secs_f64().to_string());
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
    /// Seconds of an inference in the last turn.
    median: f64,
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
            median: f64::NAN,
        };
        alone.run(1)?;
        Ok(alone)
    }

    fn run(&mut self, count: usize) -> Outcome<()> {
        writeln!(self.orders, "{count}")?;
        let line = self.answers.next().ok_or("the engine alone has failed")??;
        let seconds: Result<Vec<f64>, _> = line.split(' ').map(str::parse).collect();
        self.median = median(&seconds?);
        Ok(())
    }

    fn turn(&mut self, lasts: Duration) -> Outcome<()> {
        let count = (lasts.as_secs_f64() / self.median).ceil() as usize + WARM_UP;
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

/// Figures of one turn.
struct Turn {
    frames_a_second: f64,
    /// Seconds of an inference.
    model: f64,
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
                        .map(|times| times.model.as_secs_f64()),
                ),
                _ => {}
            }
        }
        self.pipeline.set_state(gst::State::Paused)?;
        let left = std::mem::take(&mut *self.left.lock().expect("nobody panics"));
        let counted = left.get(WARM_UP..).unwrap_or_default();
        let [first, .., last] = counted else {
            return Err(format!(
                "{} frames in {lasts:?} are too few to measure; give more --seconds",
                left.len()
            )
            .into());
        };
        Ok(Turn {
            frames_a_second: (counted.len() - 1) as f64 / (*last - *first).as_secs_f64(),
            model: median(&model),
        })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Figures of one engine's rounds: milliseconds alone and in the element, ratios, frames a second.
#[derive(Default)]
struct Row {
    engine: String,
    alone: Vec<f64>,
    element: Vec<f64>,
    ratio: Vec<f64>,
    rate: Vec<f64>,
    ideal: Vec<f64>,
}

fn measure(model: &Path, mode: &str, plan: &Plan) -> Outcome<()> {
    let row = |engine: &String| Row {
        engine: engine.clone(),
        ..Row::default()
    };
    let mut rows: Vec<Row> = plan.engines.iter().map(row).collect();
    for _ in 0..plan.rounds {
        for row in &mut rows {
            let mut alone = beside(model, &row.engine, plan)?;
            let line = Line::start(model, &row.engine, mode, plan.threads)?;
            let before = fastest(&mut alone, plan.turn)?;
            let turn = line.turn(plan.turn)?;
            let after = fastest(&mut alone, plan.turn)?;
            let (bare, in_element) = ((before + after) / 2.0, turn.model);
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
            median(&row.alone),
            median(&row.element),
            describe(&row.ratio),
            median(&row.rate),
            describe(&row.ideal)
        );
    }
    Ok(())
}

/// Starts the engine of this name alone; for `auto` every engine that is measured.
fn beside(model: &Path, engine: &str, plan: &Plan) -> Outcome<Vec<Alone>> {
    let engines = plan.engines.iter().filter(|name| *name != "auto");
    engines
        .filter(|name| engine == "auto" || engine == *name)
        .map(|name| Alone::start(model, name, plan.threads))
        .collect()
}

/// Returns the seconds that the fastest of them needs for one inference.
fn fastest(alone: &mut [Alone], turn: Duration) -> Outcome<f64> {
    let mut fastest = f64::INFINITY;
    for engine in alone {
        engine.turn(turn / 2)?;
        fastest = fastest.min(engine.median);
    }
    Ok(fastest)
}

fn median(values: &[f64]) -> f64 {
    Spread::measure(values).map_or(f64::NAN, |spread| spread.median)
}

fn describe(values: &[f64]) -> String {
    Spread::measure(values).map_or_else(String::new, |Spread { low, median, high }| {
        format!("{median:.3} ({low:.3} to {high:.3})")
    })
}
