//! [`ConvnetOp`]: a network of the executor as one operator of tract's.

use super::{Arithmetic, Refusal};
use crate::convnet::graph::{Graph, Input};
use crate::convnet::{self, HalfPrecision, Options, Plan, Session, Verdict, WeightCache};
use parking_lot::{Mutex, RwLock};
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
    plan: RwLock<Arc<Plan>>,
    /// Graph that the first inference plans anew, in f16.
    unchecked: Mutex<Option<(Graph, Options)>>,
    /// Result of the comparison of f16 with f32; none if nobody wants f16.
    verdict: Mutex<Option<Verdict>>,
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
    pub fn new(
        graph: Graph,
        outputs: Vec<Output>,
        options: Options,
        arithmetic: Arithmetic,
    ) -> Result<Self, Refusal> {
        let half = (arithmetic == Arithmetic::F16).then(HalfPrecision::default);
        let options = Options {
            weights: Arc::clone(&WEIGHTS),
            half,
            ..options
        };
        let plan = Plan::new(&graph, &options)?;
        let verdict = match arithmetic {
            Arithmetic::F16 => Some(convnet::verdict(&plan, None, &[], None)),
            Arithmetic::F32 | Arithmetic::CheckedF16 => None,
        };
        let is_unchecked = arithmetic == Arithmetic::CheckedF16;
        Ok(Self {
            plan: RwLock::new(Arc::new(plan)),
            unchecked: Mutex::new(is_unchecked.then_some((graph, options))),
            verdict: Mutex::new(verdict),
            outputs,
        })
    }

    /// The plan that the next session takes.
    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.read())
    }

    /// Places of the packed weights.
    #[cfg(test)]
    pub fn places_of_weights(&self) -> Vec<*const f32> {
        self.plan().places_of_weights()
    }

    /// Describes each step of the plan.
    #[cfg(test)]
    pub fn steps(&self) -> Vec<String> {
        let plan = self.plan();
        plan.steps().iter().map(|step| step.describe()).collect()
    }

    /// Allocates the memory of one inference at a time, and starts its threads. The first session takes `inputs`, those of
    /// its first inference, to find out where f16 keeps the outputs, if that was asked for.
    ///
    /// # Errors
    /// If the system refuses a thread, or `inputs` do not fit.
    pub fn session(&self, threads: usize, inputs: &[Input]) -> TractResult<Session> {
        let mut unchecked = self.unchecked.lock();
        if let Some((graph, options)) = unchecked.take() {
            let (plan, verdict) = convnet::plan_in_f16(&graph, &options, inputs)?;
            *self.plan.write() = Arc::new(plan);
            *self.verdict.lock() = Some(verdict);
        }
        drop(unchecked);
        Ok(Session::with_threads(self.plan(), threads, None)?)
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
        let plan = self.plan();
        let mut lengths = plan.outputs().iter();
        let mut buffers = Vec::with_capacity(plan.outputs().len());
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

    /// Runs the network from tract's tensors to new ones. Makes a session for `threads` threads if there is none.
    fn run_tensors(
        &self,
        session: &mut Option<Session>,
        threads: usize,
        inputs: &[TValue],
    ) -> TractResult<TVec<TValue>> {
        let plain = inputs.iter().map(|input| input.try_as_plain_ram());
        let plain = plain.collect::<TractResult<Vec<_>>>()?;
        let inputs = (plain.iter()).map(|plain| Ok(Input::F32(plain.as_slice::<f32>()?)));
        let inputs = inputs.collect::<TractResult<Vec<_>>>()?;
        let session = match session {
            Some(session) => session,
            none => none.insert(self.session(threads, &inputs)?),
        };
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

/// Says of each network of a model what it computes with, if it was to be f16.
pub(in crate::engine::tract) fn verdicts(model: &TypedModel) -> Vec<String> {
    let nodes = model.nodes().iter();
    let networks = nodes.filter_map(|node| node.op_as::<ConvnetOp>());
    let verdicts = networks.filter_map(|op| op.0.verdict.lock().clone());
    verdicts.map(|verdict| verdict.to_string()).collect()
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
        let threads = THREADS.get();
        self.network
            .run_tensors(&mut self.session, threads, &inputs)
    }

    /// An inference leaves nothing to the next.
    fn reset_lanes(&mut self, _: &[LaneId]) -> TractResult<()> {
        Ok(())
    }
}
