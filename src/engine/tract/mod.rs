//! [`Tract`]: the built-in engine, over tract-onnx.
//!
//! What the file declares about shapes inside the graph and of its outputs is ignored (passes of ours may have changed
//! the input's size); tract derives everything from the input that it is told.

mod budget;
mod convert;
mod load;
mod ops;

use super::{
    Engine, EngineError, EngineKind, EngineOptions, arrange, caught, check_input, input_spec,
};
use crate::base::tensor::{InputSpec, Tensor, TensorSpec};
use std::sync::Arc;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::plan::SimpleState;

type TractTensor = tract_onnx::prelude::Tensor;
type Plan = Arc<TypedSimplePlan>;
type State = SimpleState<TypedFact, Box<dyn TypedOp>>;

pub(super) struct Tract {
    plan: Plan,
    /// What is kept from run to run; absent after a run that failed, whose remains nobody wants.
    state: Option<State>,
    threads: usize,
    /// Where this engine computes, from its first run on.
    executor: Option<multithread::Executor>,
    /// Filled anew for each run: exclusive again as soon as the run is over.
    input: Arc<TractTensor>,
    expected: TensorSpec,
    outputs: Vec<TensorSpec>,
}

impl Tract {
    pub fn open(
        bytes: &[u8],
        input: &InputSpec,
        options: &EngineOptions,
    ) -> Result<Self, EngineError> {
        options.refuse_f16(EngineKind::Tract)?;
        caught(EngineKind::Tract, || {
            let loaded = load::load(bytes, input)?;
            let plan = TypedSimplePlan::build(loaded.model, &RunOptions::default());
            let plan = Arc::new(plan.map_err(load::refused)?);
            Ok(Self {
                state: Some(plan.spawn().map_err(load::refused)?),
                plan,
                threads: options.good_threads(),
                executor: None,
                input: Arc::new(loaded.input),
                expected: input_spec(input),
                outputs: loaded.outputs,
            })
        })
    }

    /// The plan holds the weights; threads, and what a run leaves behind, are each engine's own: with threads in common
    /// two inferences would wait for each other.
    fn twin(&self, threads: usize) -> Result<Self, EngineError> {
        let input = TractTensor::zero_dt(self.input.datum_type(), self.input.shape());
        Ok(Self {
            state: Some(self.plan.spawn().map_err(load::refused)?),
            plan: self.plan.clone(),
            threads,
            executor: None,
            input: Arc::new(input.map_err(load::refused)?),
            expected: self.expected.clone(),
            outputs: self.outputs.clone(),
        })
    }

    fn run_caught(&mut self, input: &Tensor, outputs: &mut Vec<Tensor>) -> TractResult<()> {
        // Taken out for the run: whatever goes wrong in it, panics included, drops it.
        let mut state = match self.state.take() {
            Some(state) => state,
            None => self.plan.spawn()?,
        };
        convert::fill(&mut self.input, input)?;
        let threads = self.threads;
        let executor = self.executor.get_or_insert_with(|| executor(threads));
        let input = Arc::clone(&self.input).into_tvalue();
        let values =
            multithread::multithread_tract_scope(executor.clone(), || state.run(tvec!(input)))?;
        self.state = Some(state);
        for ((output, spec), value) in arrange(outputs, &self.outputs).zip(&values) {
            convert::output(value, spec, output)?;
        }
        Ok(())
    }
}

/// Refuses a model with a node that would unfold a constant of absurd size: for the engines that only try.
pub(super) fn check_constants(engine: EngineKind, bytes: &[u8]) -> Result<(), EngineError> {
    budget::check_constants(bytes).map_err(|error| match error {
        EngineError::Load { reason, source, .. } => EngineError::Load {
            engine,
            reason,
            source,
        },
        other => other,
    })
}

impl Engine for Tract {
    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn another(&self, threads: usize, _bytes: &[u8]) -> Result<Box<dyn Engine>, EngineError> {
        caught(EngineKind::Tract, || {
            Ok(Box::new(self.twin(threads)?) as Box<dyn Engine>)
        })
    }

    /// The buffers of matrix products stay with the thread until a state is dropped in that thread.
    fn release_thread(&mut self) {
        self.state = None;
    }

    fn run_into(&mut self, input: &Tensor, outputs: &mut Vec<Tensor>) -> Result<(), EngineError> {
        check_input(input, &self.expected)?;
        caught(EngineKind::Tract, || {
            self.run_caught(input, outputs)
                .map_err(|error| EngineError::Run {
                    engine: EngineKind::Tract,
                    reason: load::reason(&error),
                    source: Some(error.into()),
                })
        })
    }
}

/// Where one inference computes: on the calling thread, or on it and the others of a pool of this engine's own, which
/// keep to its processors. The pool is that of `rayon-stand-in`.
fn executor(threads: usize) -> multithread::Executor {
    if threads == 1 {
        multithread::Executor::SingleThread
    } else {
        multithread::Executor::multithread_with_name(threads, "detect-infer")
    }
}

#[cfg(test)]
mod tests;
