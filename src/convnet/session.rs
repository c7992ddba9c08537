//! A plan with the memory and the threads to run it.

use std::sync::Arc;

use super::arena::Arena;
use super::error::{Error, Result};
use super::graph::Input;
use super::plan::Plan;
use super::pool::{OnStart, Pool};

/// Runs a plan, one run at a time.
pub struct Session {
    arena: Arena,
    /// `None` for one thread.
    pool: Option<Pool>,
}

/// Steps of fewer cycles than this are not shared out: handing them over costs more.
const SHARED_CYCLES: usize = 8_000;

/// Chunks of a step for each thread: a thread that others hold up leaves its second one to the rest.
const CHUNKS_PER_THREAD: usize = 2;

impl Session {
    /// Allocates the memory for one run of `plan`, to be run in the caller's thread alone.
    pub fn new(plan: Arc<Plan>) -> Self {
        Session {
            arena: Arena::new(plan, 1),
            pool: None,
        }
    }

    /// Allocates the memory for one run of `plan` and starts `threads - 1` workers beside the caller's thread.
    ///
    /// `on_start` is called in each worker, with its number from 1, before it works.
    ///
    /// # Errors
    /// [`Error::Threads`] if the system refuses a thread.
    pub fn with_threads(
        plan: Arc<Plan>,
        threads: usize,
        on_start: Option<OnStart>,
    ) -> Result<Self> {
        if threads <= 1 {
            return Ok(Self::new(plan));
        }
        let parts: Vec<usize> = (0..plan.steps().len())
            .map(|step| match plan.cost(step) < SHARED_CYCLES {
                true => 1,
                false => threads * CHUNKS_PER_THREAD,
            })
            .collect();
        let pool = Pool::new(threads, &parts, on_start)
            .map_err(|err| Error::Threads(format!("cannot start {threads} threads: {err}")))?;
        Ok(Session {
            arena: Arena::new(plan, threads),
            pool: Some(pool),
        })
    }

    pub fn plan(&self) -> &Arc<Plan> {
        self.arena.plan()
    }

    /// Runs the network: reads `inputs` and fills `outputs`, both in the order of the graph.
    ///
    /// # Errors
    /// [`Error::Data`] if a buffer's length or type does not fit the plan.
    pub fn run(&mut self, inputs: &[Input], outputs: &mut [&mut [f32]]) -> Result<()> {
        self.arena.run(self.pool.as_mut(), inputs, outputs)
    }

    /// Runs the network once in the caller's thread and returns the seconds of each step.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn profile(&mut self, inputs: &[Input], outputs: &mut [&mut [f32]]) -> Result<Vec<f64>> {
        self.arena.profile(inputs, outputs)
    }
}
