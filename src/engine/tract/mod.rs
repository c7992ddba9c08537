//! [`Tract`]: the built-in engine, over tract-onnx.
//!
//! What the file declares about shapes inside the graph and of its outputs is ignored (passes of ours may have changed
//! the input's size); tract derives everything from the input that it is told.

mod budget;
mod convert;
mod load;

use super::{Engine, EngineError, EngineKind, EngineOptions};
use crate::tensor::{InputSpec, Tensor, TensorSpec};
use std::panic::{AssertUnwindSafe, catch_unwind};
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
        caught(|| {
            let loaded = load::load(bytes, input)?;
            let options = RunOptions {
                executor: Some(executor(options.threads)),
                ..RunOptions::default()
            };
            let plan = TypedSimplePlan::build(loaded.model, &options).map_err(load::refused)?;
            let plan = Arc::new(plan);
            Ok(Self {
                state: Some(plan.spawn().map_err(load::refused)?),
                plan,
                input: Arc::new(loaded.input),
                expected: TensorSpec {
                    name: input.name.clone(),
                    dims: input.dims().to_vec(),
                    element: input.element,
                },
                outputs: loaded.outputs,
            })
        })
    }

    fn run_caught(&mut self, input: &Tensor) -> TractResult<Vec<Tensor>> {
        // Taken out for the run: whatever goes wrong in it, panics included, drops it.
        let mut state = match self.state.take() {
            Some(state) => state,
            None => self.plan.spawn()?,
        };
        convert::fill(&mut self.input, input)?;
        let values = state.run(tvec!(Arc::clone(&self.input).into_tvalue()))?;
        self.state = Some(state);
        (values.iter().zip(&self.outputs))
            .map(|(value, spec)| convert::output(value, spec))
            .collect()
    }
}

impl Engine for Tract {
    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    /// The plan holds the weights; what a run leaves behind is each engine's own.
    fn another(&self) -> Result<Box<dyn Engine>, EngineError> {
        caught(|| {
            let input = TractTensor::zero_dt(self.input.datum_type(), self.input.shape());
            Ok(Box::new(Self {
                state: Some(self.plan.spawn().map_err(load::refused)?),
                plan: self.plan.clone(),
                input: Arc::new(input.map_err(load::refused)?),
                expected: self.expected.clone(),
                outputs: self.outputs.clone(),
            }) as Box<dyn Engine>)
        })
    }

    fn run(&mut self, input: &Tensor) -> Result<Vec<Tensor>, EngineError> {
        let as_expected = input.dims == self.expected.dims
            && input.data.element() == self.expected.element
            && input.data.len() == input.dims.iter().product::<usize>();
        if !as_expected {
            return Err(EngineError::Shape {
                found: input.spec(),
                expected: self.expected.clone(),
            });
        }
        caught(|| {
            self.run_caught(input).map_err(|error| EngineError::Run {
                engine: EngineKind::Tract,
                reason: load::reason(&error),
                source: Some(error.into()),
            })
        })
    }
}

/// Where one inference computes: on the calling thread, or on a pool of this engine's own.
///
/// 0 threads are one for each processor that the calling thread may use, at most [`MAX_GOOD_THREADS`]. What a second
/// thread costs was measured on an AMD EPYC with 2 cores (2026-11-22, unoptimised profile with optimised
/// dependencies, the machine busy with other work): processor time of one inference, least of 120 and more, 46 ms with
/// one thread and 51 ms with two for yolox_nano_416, 27 and 31 ms for blazeface_back_256. How much sooner the answer
/// comes a busy machine cannot tell: 47 to 70 ms and 48 to 63 ms at best for yolox_nano_416, 168 and 106 ms for
/// yolov8n_320.
fn executor(threads: usize) -> multithread::Executor {
    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_GOOD_THREADS)),
        n => n,
    };
    if threads == 1 {
        multithread::Executor::SingleThread
    } else {
        multithread::Executor::multithread_with_name(threads, "detect-infer")
    }
}

/// All cores of a Raspberry Pi; more were not measured.
const MAX_GOOD_THREADS: usize = 4;

/// Runs `work`; a panic in it, which tract answers to some odd models with, becomes an error.
fn caught<T>(work: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    // Whoever sees the engine after a panic sees no half-made state: see `run_caught`.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let text = (payload.downcast_ref::<&str>().map(ToString::to_string))
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "without a message".into());
        Err(EngineError::Panic {
            engine: EngineKind::Tract,
            text,
        })
    })
}

#[cfg(test)]
mod tests;
