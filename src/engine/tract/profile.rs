//! [`profile`]: measures the time that each operator takes which stays outside of the executor.

use super::convnet::{Coverage, with_threads};
use super::{Plan, State, TractTensor, load};
use crate::engine::{EngineError, EngineKind, caught};
use std::time::{Duration, Instant};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::plan::eval;

/// Multiply-adds of the largest model that is measured: a larger one takes seconds.
const MOST_WORK: u64 = 10_000_000_000;

/// A first inference, which also waits for memory, counts if it took longer than this.
const LONG: Duration = Duration::from_millis(50);

/// Adds the times of one inference of zeros, by one thread, to what is known of a model of which something stays outside.
///
/// Adds nothing if the model is whole or very large, or cannot run: whoever runs it next gets the error.
pub(super) fn profile(plan: &Plan, input: &TractTensor, coverage: &mut Coverage) {
    if coverage.outside.is_empty() || coverage.all > MOST_WORK {
        return;
    }
    let times = caught(EngineKind::Tract, || measure(plan, input));
    let Ok(times) = times else { return };
    let nodes = plan.model().nodes().iter();
    coverage.add_times(nodes.map(|node| {
        let is_network = node.op.name() == "DetectConvnet";
        (node.name.as_str(), is_network, times[node.id])
    }));
}

/// Returns the time of each node, of the second inference unless the first was long.
fn measure(plan: &Plan, input: &TractTensor) -> Result<Vec<Duration>, EngineError> {
    let mut state = plan.spawn().map_err(load::refused)?;
    let mut times = run(&mut state, input).map_err(load::refused)?;
    if times.iter().sum::<Duration>() < LONG {
        times = run(&mut state, input).map_err(load::refused)?;
    }
    Ok(times)
}

/// Runs the model once. Returns the time of each node.
fn run(state: &mut State, input: &TractTensor) -> TractResult<Vec<Duration>> {
    let mut times = vec![Duration::ZERO; state.model().nodes().len()];
    let inputs = tvec!(input.clone().into_tvalue());
    let inference = || {
        state.run_plan_with_eval(inputs, |context, op_state, node, inputs| {
            let begin = Instant::now();
            let outputs = eval(context, op_state, node, inputs);
            times[node.id] += begin.elapsed();
            outputs
        })
    };
    let alone = multithread::Executor::SingleThread;
    with_threads(1, || multithread::multithread_tract_scope(alone, inference))?;
    Ok(times)
}
