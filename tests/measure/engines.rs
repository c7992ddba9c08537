//! Two engines of one model run at the same time: engines that waited for each other would be as fast as one alone.

use crate::kept_in_one_of;
use crate::support::engines::{installed, two_engines};
use crate::support::skipped;
use gstdetect::base::tensor::Tensor;
use gstdetect::engine::{Engine, EngineKind};
use gstdetect::model::{Model, ModelOptions};
use std::time::Instant;

/// Inferences a second of engines that work at the same time, each in a thread of its own.
fn rate(engines: &mut [Box<dyn Engine>], input: &Tensor) -> f64 {
    const RUNS: usize = 20;
    let begin = Instant::now();
    let runs = (engines.len() * RUNS) as f64;
    std::thread::scope(|scope| {
        for engine in engines {
            scope.spawn(move || {
                for _ in 0..RUNS {
                    engine.run(input).expect("it runs");
                }
            });
        }
    });
    runs / begin.elapsed().as_secs_f64()
}

#[test]
fn two_engines_of_one_model_run_at_the_same_time() {
    /// Least rate of both, as a multiple of the rate of one.
    const LEAST: f64 = 1.4;
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        skipped("there is one processor alone");
        return;
    }
    let model = Model::open(&ModelOptions::default()).expect("it is built in");
    let input = model.input.blank();
    for kind in [EngineKind::Tract].into_iter().chain(installed()) {
        let mut both = two_engines(kind, &model);
        for engine in &mut both {
            engine.run(&input).expect("it runs");
        }
        kept_in_one_of(20, || {
            let share = rate(&mut both, &input) / rate(&mut both[..1], &input);
            println!("{kind}: two engines {share:.2} times one");
            match share >= LEAST {
                true => Ok(()),
                false => Err(format!(
                    "{kind}: two engines are {share:.2} times as fast as one, at least {LEAST}"
                )),
            }
        });
    }
}
