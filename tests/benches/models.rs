//! Bare model time: an engine of ours alone, on the graph that it gets in `detect`, beside which others can be put.
//!
//! `cargo bench --bench models -- [--threads 1] [--runs 20] [--engines tract,onnxruntime,openvino] [--save FOLDER] MODEL.onnx...`
//!
//! Prints one JSON row a model: median milliseconds for each engine, null where it cannot run the model (the reason is
//! on standard error), and in `spread` the 10th and 90th percentile. The engines take turns run by run, so that a drift
//! of the machine's speed falls on all alike. `--save` writes the graphs that the engines got as FOLDER/MODEL.onnx.
//! Without a model it says what it needs and ends well, so that plain `cargo bench` goes on.

use gstdetect::base::tensor::{Tensor, TensorData};
use gstdetect::engine::{self, Engine, EngineKind, EngineOptions};
use gstdetect::model::{Model, ModelOptions};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

const ENGINES: [EngineKind; 3] = [
    EngineKind::Tract,
    EngineKind::OnnxRuntime,
    EngineKind::OpenVino,
];
const USAGE: &str = "cargo bench --bench models -- [--threads 1] [--runs 20] \
                     [--engines tract,onnxruntime,openvino] [--save FOLDER] MODEL.onnx...";
const WARM_UP_RUNS: usize = 3;

struct Arguments {
    models: Vec<PathBuf>,
    engines: Vec<EngineKind>,
    threads: usize,
    runs: usize,
    /// Where prepared graphs are written.
    save: Option<PathBuf>,
}

/// An engine that has the model, and how long its runs took, in milliseconds.
struct Runner {
    name: String,
    engine: Box<dyn Engine>,
    /// Their memory is used again from run to run, as in `detect`.
    outputs: Vec<Tensor>,
    times: Vec<f64>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` gives its filter and options to every bench.
    if !words.iter().any(|word| word.ends_with(".onnx")) {
        println!("models: nothing is measured, since no .onnx file is named: {USAGE}");
        return ExitCode::SUCCESS;
    }
    let outcome = Arguments::read(words.into_iter()).and_then(|arguments| {
        for path in &arguments.models {
            println!("{}", measure(path, &arguments)?);
        }
        Ok(())
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

impl Arguments {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self {
            models: Vec::new(),
            engines: ENGINES.to_vec(),
            threads: 1,
            runs: 20,
            save: None,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} has no value"));
            match word.as_str() {
                "--threads" => arguments.threads = count(&value()?)?,
                "--runs" => arguments.runs = count(&value()?)?,
                "--engines" => {
                    let names = value()?;
                    arguments.engines = names
                        .split(',')
                        .map(engine_kind)
                        .collect::<Result<_, _>>()?;
                }
                "--save" => arguments.save = Some(value()?.into()),
                // Of `cargo bench` itself.
                "--bench" => {}
                option if option.starts_with('-') => {
                    return Err(format!("{option} is no option: {USAGE}"));
                }
                path => arguments.models.push(path.into()),
            }
        }
        Ok(arguments)
    }
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("\"{text}\", expected a number, at least 1")),
    }
}

fn engine_kind(name: &str) -> Result<EngineKind, String> {
    let found = ENGINES.into_iter().find(|kind| kind.to_string() == name);
    found.ok_or_else(|| {
        let names = ENGINES.map(|kind| kind.to_string()).join(", ");
        format!("engine \"{name}\", expected one of {names}")
    })
}

/// The row of one model.
fn measure(path: &Path, arguments: &Arguments) -> Result<Value, String> {
    let options = ModelOptions {
        path: Some(path.into()),
        ..ModelOptions::default()
    };
    let model = Model::open(&options).map_err(|error| format!("{}: {error}", path.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if let Some(folder) = &arguments.save {
        let copy = folder.join(path.file_name().unwrap_or_default());
        std::fs::write(&copy, &model.bytes)
            .map_err(|error| format!("cannot write {}: {error}", copy.display()))?;
    }
    let dims = model.input.dims().map(|dim| dim.to_string()).join("x");
    let mut row = Map::new();
    row.insert("model".into(), json!(name));
    row.insert("input".into(), json!(dims));
    row.insert("threads".into(), json!(arguments.threads));

    let input = input(&model);
    let mut runners = Vec::new();
    for kind in &arguments.engines {
        match warm_runner(*kind, &model, &input, arguments.threads) {
            Ok(runner) => runners.push(runner),
            Err(error) => {
                eprintln!("{kind}: {name}: {error}");
                row.insert(kind.to_string(), Value::Null);
            }
        }
    }
    for _ in 0..arguments.runs {
        for runner in &mut runners {
            runner
                .run(&input)
                .map_err(|error| format!("{name}: {error}"))?;
        }
    }
    let mut spread = Map::new();
    for Runner { name, times, .. } in &mut runners {
        times.sort_by(f64::total_cmp);
        row.insert(name.clone(), json!(percentile(times, 50)));
        let ends = [percentile(times, 10), percentile(times, 90)];
        spread.insert(name.clone(), json!(ends));
    }
    row.insert("spread".into(), spread.into());
    Ok(row.into())
}

/// The tensor that `model_time.py` of the shared folder makes: any numbers of 0 to 1 do.
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
    let mut runner = Runner {
        name: kind.to_string(),
        engine: engine::open(kind, model, &options)?.engine,
        outputs: Vec::new(),
        times: Vec::new(),
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
        self.times.push(began.elapsed().as_secs_f64() * 1e3);
        Ok(())
    }
}

/// Nearest rank of sorted times, rounded to hundredths.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    (sorted[rank - 1] * 100.0).round() / 100.0
}
