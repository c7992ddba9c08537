//! [`Tract`]: the built-in engine, over tract-onnx.
//!
//! Shapes that the file declares for outputs and inner tensors are ignored, because our rewrites may have changed the
//! input size. tract derives every shape from the input.

mod budget;
mod convert;
mod convnet;
mod load;
mod ops;
mod picture;
mod profile;

use super::{
    Engine, EngineError, EngineKind, EngineOptions, arrange, caught, check_input, input_spec,
    run_caught, with_ranks,
};
use crate::base::tensor::{InputSpec, Tensor, TensorSpec};
use crate::onnx::tail::Tail;
use convnet::{Arithmetic, Coverage, Whole};
use load::Loading;
use std::sync::Arc;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::plan::SimpleState;

type TractTensor = tract_onnx::prelude::Tensor;
type Plan = Arc<TypedSimplePlan>;
type State = SimpleState<TypedFact, Box<dyn TypedOp>>;

pub(super) struct Tract {
    plan: Plan,
    /// State kept between runs; absent after a failed run.
    state: Option<State>,
    threads: usize,
    /// Threads of this engine, made at its first run.
    executor: Option<multithread::Executor>,
    /// Input tensor, reused for every run; nobody else holds it between runs.
    input: Arc<TractTensor>,
    expected: TensorSpec,
    /// Outputs of the plan.
    planned: Vec<TensorSpec>,
    /// Outputs of the model: those of the plan, or of the tail.
    outputs: Vec<TensorSpec>,
    /// The end of the graph that the plan leaves out, with memory for what it takes.
    tail: Option<(Arc<Tail>, Vec<Tensor>)>,
    /// Share of the model that the executor runs; none if everything was left to tract.
    coverage: Option<Coverage>,
    /// The model, if the executor runs all of it.
    whole: Option<Whole>,
}

impl Tract {
    pub fn open(
        bytes: &[u8],
        input: &InputSpec,
        options: &EngineOptions,
    ) -> Result<Self, EngineError> {
        Self::open_with(bytes, input, options, Loading::for_user())
    }

    /// Opens a model of which only the outputs matter: nothing is measured.
    #[cfg(feature = "stub-engine")]
    pub fn open_for_outputs(
        bytes: &[u8],
        input: &InputSpec,
        options: &EngineOptions,
    ) -> Result<Self, EngineError> {
        let loading = Loading::without_measuring(convnet::least_work());
        Self::open_with(bytes, input, options, loading)
    }

    fn open_with(
        bytes: &[u8],
        input: &InputSpec,
        options: &EngineOptions,
        mut loading: Loading,
    ) -> Result<Self, EngineError> {
        if loading.chooser.arithmetic() == Arithmetic::F32 {
            let arithmetic = Arithmetic::for_user(options)?;
            loading.chooser.compute_with(arithmetic);
        }
        let arithmetic = loading.chooser.arithmetic();
        caught(EngineKind::Tract, || {
            let loaded = load::load(bytes, input, &mut loading)?;
            let whole = Whole::from_model(&loaded.model);
            let plan = TypedSimplePlan::build(loaded.model, &RunOptions::default());
            let plan = Arc::new(plan.map_err(load::refused)?);
            let tail = loaded.tail.map(Arc::new);
            let outputs = tail.as_ref().map(|tail| tail.outputs().to_vec());
            let mut opened = Self {
                state: Some(plan.spawn().map_err(load::refused)?),
                plan,
                threads: options.good_threads(),
                executor: None,
                input: Arc::new(loaded.input),
                expected: input_spec(input),
                outputs: outputs.unwrap_or_else(|| loaded.outputs.clone()),
                planned: loaded.outputs,
                tail: tail.map(|tail| (tail, Vec::new())),
                coverage: loaded.coverage,
                whole,
            };
            if arithmetic == Arithmetic::CheckedF16 {
                // the first inference decides where f16 is fine enough
                let picture = picture::picture(input);
                let run = opened.run_plan(&picture, &mut Vec::new());
                run.map_err(load::refused)?;
            }
            if let Some(coverage) = opened.coverage.as_mut().filter(|_| loading.is_profiled) {
                profile::profile(&opened.plan, &opened.input, coverage);
            }
            if opened.tail.is_some() {
                opened.outputs = with_ranks(&mut opened, input)?;
            }
            Ok(opened)
        })
    }

    /// Says in words how much of the model the executor runs, and what tract does not.
    pub fn description(&self) -> Option<String> {
        let tail = self.tail.as_ref().map(|(tail, _)| {
            format!(
                "the last {} operators, whose dims depend on the picture, run outside of tract",
                tail.operators()
            )
        });
        let coverage = self.coverage.as_ref().map(ToString::to_string);
        let half = convnet::verdicts(self.plan.model()).into_iter();
        let half = half.map(|verdict| format!("computes with {verdict}"));
        let parts: Vec<String> = coverage.into_iter().chain(tail).chain(half).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// Creates another engine with the same plan, which holds the weights. Threads and run state are its own: with
    /// common threads two inferences would wait for each other.
    fn twin(&self, threads: usize) -> Result<Self, EngineError> {
        let input = TractTensor::zero_dt(self.input.datum_type(), self.input.shape());
        Ok(Self {
            state: Some(self.plan.spawn().map_err(load::refused)?),
            plan: self.plan.clone(),
            threads,
            executor: None,
            input: Arc::new(input.map_err(load::refused)?),
            expected: self.expected.clone(),
            planned: self.planned.clone(),
            outputs: self.outputs.clone(),
            tail: self
                .tail
                .as_ref()
                .map(|(tail, _)| (tail.clone(), Vec::new())),
            coverage: self.coverage.clone(),
            whole: self.whole.as_ref().map(Whole::twin),
        })
    }

    fn run_once(&mut self, input: &Tensor, outputs: &mut Vec<Tensor>) -> TractResult<()> {
        let Some((tail, taken)) = &mut self.tail else {
            return self.run_plan(input, outputs);
        };
        let (tail, mut taken) = (tail.clone(), std::mem::take(taken));
        let run = self.run_plan(input, &mut taken).and_then(|()| {
            arrange(outputs, &self.outputs).for_each(drop);
            tail.run(&taken, outputs).map_err(TractError::msg)
        });
        if let Some((_, memory)) = &mut self.tail {
            *memory = taken;
        }
        run
    }

    /// Runs the model without its tail.
    fn run_plan(&mut self, input: &Tensor, outputs: &mut Vec<Tensor>) -> TractResult<()> {
        if let (Some(whole), Some(numbers)) = (&mut self.whole, input.as_f32()) {
            return whole.run(self.threads, numbers, arrange(outputs, &self.planned));
        }
        // Taken out for the run, so that any failure, panics included, drops it.
        let mut state = match self.state.take() {
            Some(state) => state,
            None => self.plan.spawn()?,
        };
        convert::fill(&mut self.input, input)?;
        let threads = self.threads;
        let executor = self.executor.get_or_insert_with(|| executor(threads));
        let input = Arc::clone(&self.input).into_tvalue();
        let run =
            || multithread::multithread_tract_scope(executor.clone(), || state.run(tvec!(input)));
        let values = convnet::with_threads(threads, run)?;
        self.state = Some(state);
        for ((output, spec), value) in arrange(outputs, &self.planned).zip(&values) {
            convert::output(value, spec, output)?;
        }
        Ok(())
    }
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

    /// Buffers of matrix products belong to a thread until a state is dropped in that thread.
    fn release_thread(&mut self) {
        self.state = None;
    }

    fn run_into(&mut self, input: &Tensor, outputs: &mut Vec<Tensor>) -> Result<(), EngineError> {
        check_input(input, &self.expected)?;
        run_caught(EngineKind::Tract, load::reason, || {
            self.run_once(input, outputs)
        })
    }
}

/// Creates the threads of one inference: the calling thread alone, or with others in a pool of this engine, which keep
/// to its processors. The pool is the one in `rayon-stand-in`.
fn executor(threads: usize) -> multithread::Executor {
    if threads == 1 {
        multithread::Executor::SingleThread
    } else {
        multithread::Executor::multithread_with_name(threads, "detect-infer")
    }
}

#[cfg(test)]
mod tests;
