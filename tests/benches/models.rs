//! Bare model time: each engine of ours alone, on the graph that it gets in `detect`.
//!
//! `cargo bench --bench models -- [--threads 1] [--runs 20] [--engines tract,onnxruntime,openvino] [--save FOLDER] MODEL.onnx...`
//!
//! Prints one row of JSON for each model: median milliseconds of each engine, or null where the engine cannot run the
//! model (standard error says why); in `spread` the 10th and 90th percentile, in `mean` the mean, and in `load` the
//! milliseconds from the file to a loaded engine, and in `reason` what each engine says of itself. The engines take turns run by run, so
//! that a change of the machine's speed affects all alike. `--save` writes the graphs that the engines got as
//! FOLDER/MODEL.onnx. `tests/bench_models.sh` compares these times with those of other programs.

mod support;

use gstdetect::base::tensor::{Tensor, TensorData};
use gstdetect::engine::{self, Engine, EngineKind, EngineOptions};
use gstdetect::model::{Model, ModelOptions};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use support::Spread;
use support::arguments::Arguments;

const ENGINES: [EngineKind; 3] = [
    EngineKind::Tract,
    EngineKind::OnnxRuntime,
    EngineKind::OpenVino,
];
const USAGE: &str = "cargo bench --bench models -- [--threads 1] [--runs 20] \
                     [--engines tract,onnxruntime,openvino] [--save FOLDER] MODEL.onnx...";
const OPTIONS: [&str; 4] = ["threads", "runs", "engines", "save"];
const WARM_UP_RUNS: usize = 3;

/// Engines, threads and runs to measure.
struct Plan {
    engines: Vec<EngineKind>,
    threads: usize,
    runs: usize,
    /// Folder that prepared graphs are written to.
    save: Option<PathBuf>,
}

/// An engine with the model loaded, and how long its runs took, in milliseconds.
struct Runner {
    name: String,
    engine: Box<dyn Engine>,
    /// How it runs the model, in words.
    reason: String,
    /// Reused from run to run, as in `detect`.
    outputs: Vec<Tensor>,
    times: Vec<f64>,
    load: f64,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("models: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let Some(arguments) = Arguments::from_command_line(".onnx", &OPTIONS, USAGE)? else {
        return Ok(());
    };
    let plan = Plan::new(&arguments)?;
    for path in &arguments.files {
        println!("{}", measure(path, &plan)?);
    }
    Ok(())
}

impl Plan {
    fn new(arguments: &Arguments) -> Result<Self, String> {
        let engines = arguments.list("engines", "tract,onnxruntime,openvino");
        Ok(Self {
            engines: (engines.iter().map(|name| engine_kind(name))).collect::<Result<_, _>>()?,
            threads: arguments.count("threads", 1)?,
            runs: arguments.count("runs", 20)?,
            save: arguments.text("save").map(PathBuf::from),
        })
    }
}

fn engine_kind(name: &str) -> Result<EngineKind, String> {
    let found = ENGINES.into_iter().find(|kind| kind.to_string() == name);
    found.ok_or_else(|| {
        let names = ENGINES.map(|kind| kind.to_string()).join(", ");
        format!("unknown engine {name:?}, expected one of {names}")
    })
}

/// Returns the row of one model.
fn measure(path: &Path, plan: &Plan) -> Result<Value, String> {
    let options = ModelOptions {
        path: Some(path.into()),
        ..ModelOptions::default()
    };
    let began = Instant::now();
    let model = Model::open(&options).map_err(|error| format!("{}: {error}", path.display()))?;
    let opened = milliseconds(began);
    let file_name = path.file_name().unwrap_or_default();
    let name = file_name.to_string_lossy();
    if let Some(folder) = &plan.save {
        let copy = folder.join(file_name);
        std::fs::write(&copy, &model.bytes)
            .map_err(|error| format!("cannot write {}: {error}", copy.display()))?;
    }
    let dims = model.input.dims().map(|dim| dim.to_string()).join("x");
    let mut row = Map::new();
    row.insert("model".into(), json!(name));
    row.insert("input".into(), json!(dims));
    row.insert("threads".into(), json!(plan.threads));

    let input = input(&model);
    let mut runners = Vec::new();
    for kind in &plan.engines {
        match warm_runner(*kind, &model, &input, plan.threads) {
            Ok(runner) => runners.push(runner),
            Err(error) => {
                eprintln!("{kind}: {name}: {error}");
                row.insert(kind.to_string(), Value::Null);
            }
        }
    }
    for _ in 0..plan.runs {
        for runner in &mut runners {
            (runner.run(&input)).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    add_times(&mut row, &runners, opened);
    let reasons = runners.iter().map(|r| (r.name.clone(), json!(r.reason)));
    row.insert("reason".into(), Value::Object(reasons.collect()));
    Ok(row.into())
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Adds median, percentiles and mean of each engine, and its time to load after the `opened` milliseconds of the file, in
/// hundredths of a millisecond.
fn add_times(row: &mut Map<String, Value>, runners: &[Runner], opened: f64) {
    let rounded = |ms: f64| (ms * 100.0).round() / 100.0;
    let (mut ends, mut means, mut loads) = (Map::new(), Map::new(), Map::new());
    for Runner {
        name, times, load, ..
    } in runners
    {
        if let Some(Spread { low, median, high }) = Spread::measure(times) {
            row.insert(name.clone(), json!(rounded(median)));
            ends.insert(name.clone(), json!([rounded(low), rounded(high)]));
            let mean = times.iter().sum::<f64>() / times.len() as f64;
            means.insert(name.clone(), json!(rounded(mean)));
            loads.insert(name.clone(), json!(rounded(opened + load)));
        }
    }
    row.insert("spread".into(), ends.into());
    row.insert("mean".into(), means.into());
    row.insert("load".into(), loads.into());
}

/// Returns the tensor that `model_time.py` of the shared folder uses: any numbers from 0 to 1 serve.
fn input(model: &Model) -> Tensor {
    let mut tensor = model.input.blank();
    if let TensorData::F32(numbers) = &mut tensor.data {
        for (index, number) in numbers.iter_mut().enumerate() {
            *number = ((index as u64 * 2_654_435_761) % 255) as f32 / 255.0;
        }
    }
    tensor
}

fn warm_runner(
    kind: EngineKind,
    model: &Model,
    input: &Tensor,
    threads: usize,
) -> Result<Runner, engine::EngineError> {
    let options = EngineOptions {
        threads,
        ..EngineOptions::default()
    };
    let began = Instant::now();
    let opened = engine::open(kind, model, &options)?;
    let mut runner = Runner {
        name: kind.to_string(),
        engine: opened.engine,
        reason: opened.reason,
        outputs: Vec::new(),
        times: Vec::new(),
        load: milliseconds(began),
    };
    for _ in 0..WARM_UP_RUNS {
        runner.run(input)?;
    }
    runner.times.clear();
    Ok(runner)
}

impl Runner {
    fn run(&mut self, input: &Tensor) -> Result<(), engine::EngineError> {
        let began = Instant::now();
        self.engine.run_into(input, &mut self.outputs)?;
        self.times.push(milliseconds(began));
        Ok(())
    }
}
