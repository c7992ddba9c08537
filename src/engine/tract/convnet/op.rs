//! [`ConvnetOp`]: a network of the executor as one operator of tract's.

use super::Refusal;
use crate::convnet::graph::{Graph, Input};
use crate::convnet::{Options, Plan, Session, WeightCache};
use std::cell::Cell;
use std::sync::{Arc, LazyLock};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

/// Packed weights of all models that are open: those of one model at several sizes are the same.
static WEIGHTS: LazyLock<Arc<WeightCache>> = LazyLock::new(Arc::default);

thread_local! {
    /// Threads for the networks of the inference that runs in this thread.
    static THREADS: Cell<usize> = const { Cell::new(1) };
}

/// Runs an inference whose networks have so many threads. Those that they start inherit the processor affinity of the
/// calling thread.
pub(in crate::engine::tract) fn with_threads<T>(
    threads: usize,
    inference: impl FnOnce() -> T,
) -> T {
    THREADS.with(|cell| cell.set(threads));
    inference()
}

/// Reads and writes tensors of f32, in tract's own order of axes.
#[derive(Debug, Clone)]
pub(super) struct ConvnetOp(Arc<Network>);

/// A planned network.
#[derive(Debug)]
pub(super) struct Network {
    plan: Arc<Plan>,
    outputs: Vec<Output>,
}

/// A tensor of tract's, made up of some of the plan's outputs, one behind the other.
#[derive(Debug)]
pub(super) struct Output {
    pub dims: Vec<usize>,
    pub buffers: usize,
}

impl ConvnetOp {
    pub fn new(network: Network) -> Self {
        Self(Arc::new(network))
    }

    pub fn network(&self) -> Arc<Network> {
        Arc::clone(&self.0)
    }
}

impl Network {
    /// Plans a network. `outputs` share out those of the graph; weights are shared, whatever `options` says.
    ///
    /// # Errors
    /// If the network needs more than the executor allows, or its kernels cannot be had.
    pub fn new(graph: &Graph, outputs: Vec<Output>, options: Options) -> Result<Self, Refusal> {
        let options = Options {
            weights: Arc::clone(&WEIGHTS),
            ..options
        };
        let plan = Arc::new(Plan::new(graph, &options)?);
        Ok(Self { plan, outputs })
    }

    /// Places of the packed weights.
    #[cfg(test)]
    pub fn places_of_weights(&self) -> Vec<*const f32> {
        self.plan.places_of_weights()
    }

    /// Describes each step of the plan.
    #[cfg(test)]
    pub fn steps(&self) -> Vec<String> {
        self.plan
            .steps()
            .iter()
            .map(|step| step.describe())
            .collect()
    }

    /// Allocates the memory of one inference at a time, and starts its threads.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn session(&self, threads: usize) -> TractResult<Session> {
        Ok(Session::with_threads(
            Arc::clone(&self.plan),
            threads,
            None,
        )?)
    }

    /// Runs the network. `outputs` are as long as those that it was planned with.
    ///
    /// # Errors
    /// If an input or an output has another length.
    pub fn run(
        &self,
        session: &mut Session,
        inputs: &[Input],
        outputs: Vec<&mut [f32]>,
    ) -> TractResult<()> {
        let mut lengths = self.plan.outputs().iter();
        let mut buffers = Vec::with_capacity(self.plan.outputs().len());
        for (output, mut rest) in self.outputs.iter().zip(outputs) {
            for &length in lengths.by_ref().take(output.buffers) {
                let (buffer, behind) = rest
                    .split_at_mut_checked(length)
                    .context("a network that writes more than its outputs hold")?;
                buffers.push(buffer);
                rest = behind;
            }
        }
        Ok(session.run(inputs, &mut buffers)?)
    }

    /// Runs the network from tract's tensors to new ones.
    fn run_tensors(&self, session: &mut Session, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
        let plain = inputs.iter().map(|input| input.try_as_plain_ram());
        let plain = plain.collect::<TractResult<Vec<_>>>()?;
        let inputs = (plain.iter()).map(|plain| Ok(Input::F32(plain.as_slice::<f32>()?)));
        let inputs = inputs.collect::<TractResult<Vec<_>>>()?;
        let made = (self.outputs.iter()).map(|output| Tensor::zero::<f32>(&output.dims));
        let mut made = made.collect::<TractResult<TVec<_>>>()?;
        let plain = (made.iter_mut()).map(|tensor| tensor.try_as_plain_ram_mut());
        let mut plain = plain.collect::<TractResult<Vec<_>>>()?;
        let outputs = (plain.iter_mut()).map(|plain| plain.as_slice_mut::<f32>());
        self.run(session, &inputs, outputs.collect::<TractResult<_>>()?)?;
        drop(plain);
        Ok(made.into_iter().map(Tensor::into_tvalue).collect())
    }
}

/// Two networks are equal if they are one.
impl PartialEq for ConvnetOp {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ConvnetOp {}

impl Op for ConvnetOp {
    fn name(&self) -> StaticName {
        "DetectConvnet".into()
    }

    op_as_typed_op!();
}

impl TypedOp for ConvnetOp {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let facts = self.0.outputs.iter().map(|output| f32::fact(&output.dims));
        Ok(facts.collect())
    }

    as_op!();
}

impl EvalOp for ConvnetOp {
    fn state(&self, _: &EvalContext) -> TractResult<Option<Box<dyn OpState>>> {
        let network = Arc::clone(&self.0);
        Ok(Some(Box::new(State {
            network,
            session: None,
        })))
    }

    not_out_of_plan!();
}

/// The memory of one inference at a time, allocated by the first.
struct State {
    network: Arc<Network>,
    session: Option<Session>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("State").field(&self.network).finish()
    }
}

/// A copy has memory of its own.
impl Clone for State {
    fn clone(&self) -> Self {
        let network = Arc::clone(&self.network);
        Self {
            network,
            session: None,
        }
    }
}

impl OpState for State {
    fn eval(
        &mut self,
        _: &EvalContext,
        _: &dyn Op,
        inputs: TVec<TValue>,
    ) -> TractResult<TVec<TValue>> {
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(self.network.session(THREADS.get())?),
        };
        self.network.run_tensors(session, &inputs)
    }

    /// An inference leaves nothing to the next.
    fn reset_lanes(&mut self, _: &[LaneId]) -> TractResult<()> {
        Ok(())
    }
}
