//! A quantised or f16 model must not be slower than the float model it was made from: tract's time for both, in turn.
//!
//! Needs the folder of shared models in the environment variable `DETECT_SHARED`, and takes a minute or two; without
//! it the check is skipped, and says so. The machine may be busy with other things, so the two forms take turns run by
//! run and medians are compared; and a ratio that is too high is measured again, for a disturbance passes while a
//! slow graph stays slow.

use crate::support;
use gstdetect::base::tensor::Tensor;
use gstdetect::engine::{self, Engine, EngineKind, EngineOptions};
use gstdetect::model::{Model, ModelOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The forms and the float models that they were made from.
const FORMS: [(&str, &str); 13] = [
    ("yolox_nano_416.fp16", "yolox_nano_416"),
    ("yolox_nano_416.fp16io", "yolox_nano_416"),
    ("yolox_nano_416.mix_dyn", "yolox_nano_416"),
    ("yolox_nano_416.mix_qdq_pc", "yolox_nano_416"),
    ("yolox_nano_416.mix_qop_pc", "yolox_nano_416"),
    ("nanodet_m_320.dyn", "nanodet_m_320"),
    ("nanodet_m_320.qdq", "nanodet_m_320"),
    ("nanodet_m_320.qdq_pc", "nanodet_m_320"),
    ("nanodet_m_320.qop_pc", "nanodet_m_320"),
    ("fastestdet_352.qdq_pc", "fastestdet_352"),
    ("yunet_n_320.fp16", "yunet_n_320"),
    ("yunet_n_320.qdq_pc", "yunet_n_320"),
    ("yunet_n_320.qop_pc", "yunet_n_320"),
];
const HIGHEST_RATIO: f64 = 1.05;
const ROUNDS: usize = 25;
const ATTEMPTS: usize = 4;

struct Runner {
    engine: Box<dyn Engine>,
    input: Tensor,
}

impl Runner {
    fn open(shared: &Path, name: &str) -> Self {
        let model = Model::open(&ModelOptions {
            path: Some(shared.join(format!("models/{name}.onnx"))),
            card: Some(shared.join(format!("models/{name}.json"))),
            ..ModelOptions::default()
        });
        let model = model.unwrap_or_else(|error| panic!("{name}: {error}"));
        let options = EngineOptions {
            threads: 1,
            ..EngineOptions::default()
        };
        let engine = engine::open(EngineKind::Tract, &model, &options);
        let dims = model.input.dims();
        // Any picture does: nothing in these graphs depends on what it shows.
        let length: usize = dims.iter().product();
        let numbers = (0..length).map(|i| (i * 7919 % 255) as f32).collect();
        Self {
            engine: engine
                .unwrap_or_else(|error| panic!("{name}: {error}"))
                .engine,
            input: Tensor::f32(&model.input.name, dims, numbers),
        }
    }

    fn time(&mut self) -> Duration {
        let began = Instant::now();
        self.engine.run(&self.input).expect("it has run before");
        began.elapsed()
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

/// Median milliseconds of the two, which take turns.
fn measure(float: &mut Runner, form: &mut Runner) -> (f64, f64) {
    let (mut of_float, mut of_form) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS + 2 {
        let (a, b) = (float.time(), form.time());
        // The first two warm up.
        if round >= 2 {
            of_float.push(a);
            of_form.push(b);
        }
    }
    (median(of_float), median(of_form))
}

#[test]
fn no_quantised_or_half_form_is_slower_than_its_float_form() {
    let Some(shared) = std::env::var_os("DETECT_SHARED").map(PathBuf::from) else {
        support::skipped("DETECT_SHARED does not name the folder of shared models");
        return;
    };
    println!(
        "model                          float ms   form ms   ratio   (one thread, medians of {ROUNDS} runs in turn)"
    );
    let mut slow = Vec::new();
    for (name, float) in FORMS {
        let (mut float, mut form) = (Runner::open(&shared, float), Runner::open(&shared, name));
        let mut ratios = Vec::new();
        for _ in 0..ATTEMPTS {
            let (of_float, of_form) = measure(&mut float, &mut form);
            let ratio = of_form / of_float;
            println!("{name:30} {of_float:8.2} {of_form:9.2} {ratio:7.3}");
            ratios.push(ratio);
            if ratio <= HIGHEST_RATIO {
                break;
            }
        }
        if ratios.iter().all(|ratio| *ratio > HIGHEST_RATIO) {
            slow.push(format!("{name}: {ratios:.3?}"));
        }
    }
    assert!(
        slow.is_empty(),
        "slower than {HIGHEST_RATIO} times their float form in each of {ATTEMPTS} attempts: {slow:?}"
    );
}
