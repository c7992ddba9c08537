//! A plan with the memory to run it.

use std::sync::Arc;

use super::arena::Arena;
use super::error::Result;
use super::graph::Input;
use super::kernels::Base;
use super::plan::Plan;

/// Runs a plan, one run at a time.
pub struct Session {
    plan: Arc<Plan>,
    arena: Arena,
}

impl Session {
    /// Allocates the memory for one run of `plan`.
    pub fn new(plan: Arc<Plan>) -> Self {
        let arena = Arena::new(&plan, 1);
        Session { plan, arena }
    }

    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Runs the network: reads `inputs` and fills `outputs`, both in the order of the graph.
    ///
    /// # Errors
    /// [`Error::Data`](super::Error::Data) if a buffer's length or type does not fit the plan.
    pub fn run(&mut self, inputs: &[Input], outputs: &mut [&mut [f32]]) -> Result<()> {
        self.plan.check(inputs, outputs)?;
        let outputs: Vec<Base> = outputs.iter_mut().map(|o| Base(o.as_mut_ptr())).collect();
        let context = self.arena.context(0, inputs, &outputs);
        for step in 0..self.plan.steps().len() {
            // SAFETY: the data was checked, the arena was made for this plan, and this is the only thread.
            unsafe { self.plan.run_step(step, &context, 0, 1) };
        }
        Ok(())
    }
}
