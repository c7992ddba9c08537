//! Measures which algorithm computes a 3x3 convolution fastest on this machine.
//!
//! The algorithms that may be the fastest run in turns, so that a drift of the machine's speed affects all alike. In a whole
//! network, a layer's input has just been written but its weights were last used a run ago. The level-2 cache is
//! therefore emptied before each run; the steps before the convolution bring its input back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::choice::{Algorithm, Choices, Key, candidates, cycles, level2_bytes, open_questions};
use super::{Options, Plan, simplify, stage, within};
use crate::convnet::error::Result;
use crate::convnet::graph::*;
use crate::convnet::kernels::Kernels;
use crate::convnet::session::Session;

/// A median that exceeds the best time by more than this factor is not worth remembering.
const MAX_SPREAD: f64 = 1.2;

/// Runs of each algorithm after the first, which only warms up.
const ROUNDS: usize = 5;

/// An algorithm that takes this many times the best time after [`SIFTED`] rounds runs no more.
const OUT_OF_SIGHT: f64 = 1.3;
const SIFTED: usize = 2;

/// Numbers of input, output and packed weights of a layer that is measured, 64 MiB together. Larger ones would take more
/// memory than their network.
const MAX_NUMBERS: usize = 1 << 24;

/// Seconds of an estimated cycle before any were measured.
const FIRST_RATE: f64 = 0.5e-9;

/// Result of a measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Fastest algorithm of each layer size that was measured.
    pub choices: Choices,
    /// The choices among them whose times were steady enough to be remembered.
    pub steady: Choices,
    /// False if the time did not suffice for all layers.
    pub complete: bool,
}

impl Choices {
    /// Measures the 3x3 convolutions of `graph` where several algorithms may be the fastest and that are not in
    /// `options.choices`, the largest first. Measures nothing if they fix the algorithm.
    ///
    /// Takes at most `limit`, give or take one run of one layer. Layers for which the time does not suffice are left out.
    ///
    /// # Errors
    /// As for [`Plan::new`].
    pub fn measure(graph: &Graph, options: &Options, limit: Duration) -> Result<Measured> {
        let mut budget = Budget::new(limit);
        let kernels = options.kernels()?;
        let mut measured = Measured {
            choices: Choices::new(kernels.name),
            steady: Choices::new(kernels.name),
            complete: true,
        };
        if options.algorithm != Algorithm::Auto {
            return Ok(measured);
        }
        within("steps", graph.nodes().len(), options.budget.steps)?;
        let stages = stage::build(&simplify::simplify(graph))?;
        for key in open_questions(&stages, kernels.lanes) {
            if options.choices.get(key, kernels).is_some() {
                continue;
            }
            match race(key, kernels, &mut budget) {
                Some((fastest, steady)) => {
                    measured.choices.insert(key, fastest);
                    if steady {
                        measured.steady.insert(key, fastest);
                    }
                }
                None => measured.complete = false,
            }
        }
        Ok(measured)
    }
}

/// Time that is left, and memory to empty the cache with.
struct Budget {
    end: Instant,
    /// Seconds of an estimated cycle, as last measured.
    rate: f64,
    others: Vec<u8>,
}

impl Budget {
    fn new(limit: Duration) -> Self {
        Budget {
            end: Instant::now() + limit,
            rate: FIRST_RATE,
            others: Vec::new(),
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    fn suffices_for(&self, cycles: f64) -> bool {
        let left = self.end.saturating_duration_since(Instant::now());
        cycles * self.rate < left.as_secs_f64()
    }

    /// Replaces what the level-2 cache holds.
    fn empty_cache(&mut self) {
        self.others.resize(level2_bytes() * 3 / 2, 0);
        for byte in self.others.iter_mut().step_by(64) {
            *byte = std::hint::black_box(byte.wrapping_add(1));
        }
    }
}

/// One algorithm in a race.
struct Runner {
    algorithm: Algorithm,
    session: Session,
    /// Number of the convolution among the plan's steps.
    step: usize,
    seconds: Vec<f64>,
}

impl Runner {
    /// Plans one convolution; `None` if it cannot be planned.
    fn new([from, to, h, w]: Key, algorithm: Algorithm, kernels: &Kernels) -> Option<Self> {
        let mut graph = Graph::new();
        let x = graph.input(Shape::new(from, h, w)).ok()?;
        let conv = Conv {
            out_channels: to,
            groups: 1,
            window: Window::square(3, 1, 1),
            weights: vec![0.5; from * to * 9].into(),
            bias: None,
        };
        let y = graph.conv(x, conv).ok()?;
        graph.output(y, Layout::Planar).ok()?;
        let options = Options {
            kernels: Some(kernels.name.to_string()),
            algorithm,
            ..Options::default()
        };
        let plan = Arc::new(Plan::new(&graph, &options).ok()?);
        Some(Runner {
            algorithm,
            step: plan.steps().iter().position(|step| step.is_dense())?,
            session: Session::new(plan),
            seconds: Vec::with_capacity(ROUNDS),
        })
    }

    fn best(&self) -> f64 {
        self.seconds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn is_steady(&self) -> bool {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        match seconds.get(seconds.len() / 2) {
            Some(median) => *median <= self.best() * MAX_SPREAD,
            None => false,
        }
    }
}

/// Returns the fastest algorithm for a layer, and whether the times were steady; `None` if the time does not suffice.
fn race(key: Key, kernels: &Kernels, budget: &mut Budget) -> Option<(Algorithm, bool)> {
    let [from, to, h, w] = key;
    let algorithms = candidates(key, kernels.lanes);
    let packed = 36usize.saturating_mul(from).saturating_mul(to);
    let numbers = packed.saturating_add((from + to).saturating_mul(h * w));
    let estimate = |algorithm: &Algorithm| {
        let run = cycles(key, *algorithm, kernels.lanes, level2_bytes());
        (run + level2_bytes() / 8 + numbers / 16) as f64
    };
    let round: f64 = algorithms.iter().map(estimate).sum();
    let preparing = (algorithms.len() * numbers) as f64;
    if numbers > MAX_NUMBERS || !budget.suffices_for(preparing + round * (1 + ROUNDS) as f64) {
        return None;
    }
    let start = Instant::now();
    let runners = algorithms.iter().map(|a| Runner::new(key, *a, kernels));
    let mut runners = runners.collect::<Option<Vec<_>>>()?;
    let (input, mut output) = (vec![0.5; from * h * w], vec![0.; to * h * w]);
    for number in 0..=ROUNDS {
        for runner in &mut runners {
            if budget.is_over() {
                return None;
            }
            budget.empty_cache();
            let session = &mut runner.session;
            let seconds = session.profile(&[Input::F32(&input)], &mut [&mut output]);
            if number > 0 {
                runner.seconds.push(*seconds.ok()?.get(runner.step)?);
            }
        }
        if number == 0 {
            budget.rate = start.elapsed().as_secs_f64() / (preparing + round);
            if !budget.suffices_for(round * ROUNDS as f64) {
                return None;
            }
        }
        if number == SIFTED {
            // who cannot win any more leaves the time to the others, if their times can be trusted
            let best = best_of(&runners);
            runners.retain(|r| r.best() <= best * OUT_OF_SIGHT || !r.is_steady());
        }
    }
    budget.rate = start.elapsed().as_secs_f64() / (preparing + round * (1 + ROUNDS) as f64);
    let best = best_of(&runners);
    let fastest = runners.iter().find(|runner| runner.best() == best)?;
    Some((fastest.algorithm, runners.iter().all(Runner::is_steady)))
}

fn best_of(runners: &[Runner]) -> f64 {
    runners
        .iter()
        .map(Runner::best)
        .fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One 3x3 convolution for each pair of channels and size.
    fn graph(layers: &[[usize; 3]]) -> Graph {
        let mut graph = Graph::new();
        for &[from, to, size] in layers {
            let x = graph.input(Shape::new(from, size, size)).unwrap();
            let conv = Conv {
                out_channels: to,
                groups: 1,
                window: Window::square(3, 1, 1),
                weights: vec![0.1; from * to * 9].into(),
                bias: None,
            };
            let y = graph.conv(x, conv).unwrap();
            graph.output(y, Layout::Planar).unwrap();
        }
        graph
    }

    const LONG: Duration = Duration::from_secs(20);
    const LAYERS: [[usize; 3]; 3] = [[16, 16, 12], [32, 32, 10], [16, 16, 12]];

    fn measure(graph: &Graph, options: &Options, limit: Duration) -> Measured {
        Choices::measure(graph, options, limit).unwrap()
    }

    #[test]
    fn each_size_is_measured_once() {
        let options = Options::default();
        let measured = measure(&graph(&LAYERS), &options, LONG);
        assert!(measured.complete);
        assert_eq!(measured.choices.len(), 2);
        let known = Options {
            choices: measured.choices,
            ..options
        };
        let again = measure(&graph(&LAYERS), &known, Duration::ZERO);
        assert!(again.choices.is_empty() && again.complete);
        let more = measure(&graph(&[[16, 16, 12], [8, 16, 14]]), &known, LONG);
        assert_eq!(more.choices.len(), 1, "{}", more.choices);
    }

    #[test]
    fn measured_choices_are_followed() {
        let graph = graph(&[[16, 16, 12]]);
        let kernels = Options::default().kernels_name().unwrap();
        for (algorithm, name) in [
            (Algorithm::Winograd2, "winograd F(2,"),
            (Algorithm::Winograd4, "winograd F(4,"),
        ] {
            let mut choices = Choices::new(kernels);
            choices.insert([16, 16, 12, 12], algorithm);
            let options = Options {
                choices,
                ..Options::default()
            };
            let plan = Plan::new(&graph, &options).unwrap();
            let steps: Vec<String> = plan.steps().iter().map(|s| s.describe()).collect();
            assert!(steps.iter().any(|s| s.starts_with(name)), "{steps:?}");
        }
    }

    #[test]
    fn nothing_is_measured_where_the_algorithm_is_fixed() {
        for algorithm in [Algorithm::Estimate, Algorithm::Direct] {
            let options = Options {
                algorithm,
                ..Options::default()
            };
            let measured = measure(&graph(&LAYERS), &options, LONG);
            assert!(measured.choices.is_empty());
        }
    }

    #[test]
    fn layers_beyond_the_limit_are_left_out() {
        let options = Options::default();
        // 170 thousand million multiply-adds, and one whose weights alone are 2.4 GB once packed
        for layer in [[256, 256, 544], [4096, 4096, 2]] {
            let graph = graph(&[layer, [16, 16, 12]]);
            let start = Instant::now();
            let measured = measure(&graph, &options, LONG);
            assert!(start.elapsed() < LONG, "{layer:?}");
            assert!(!measured.complete, "{layer:?}");
            assert_eq!(measured.choices.len(), 1, "the small one: {layer:?}");
        }
        let none = measure(&graph(&LAYERS), &options, Duration::ZERO);
        assert!(none.choices.is_empty() && !none.complete);
    }

    #[test]
    fn unsteady_times_are_known() {
        let runner = |seconds: &[f64]| Runner {
            seconds: seconds.to_vec(),
            ..Runner::new([8, 8, 4, 4], Algorithm::Direct, Kernels::available()[0]).unwrap()
        };
        assert!(runner(&[1.0, 1.1, 1.15, 3.0, 1.0]).is_steady());
        assert!(!runner(&[1.0, 1.3, 1.3, 3.0, 1.0]).is_steady());
        assert!(!runner(&[]).is_steady());
    }
}
