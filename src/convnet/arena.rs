//! Memory of one run at a time: activations, each thread's scratch, and the zeros of borders.

use std::sync::Arc;
use std::time::Instant;

use super::error::Result;
use super::graph::Input;
use super::kernels::pack::Aligned;
use super::kernels::{Base, Context};
use super::plan::Plan;
use super::pool::Pool;

/// Memory for a plan.
pub struct Arena {
    plan: Arc<Plan>,
    activations: Aligned,
    /// One for each thread.
    scratch: Vec<Aligned>,
}

impl Arena {
    /// Allocates memory for `threads` threads and writes the plan's constants.
    pub fn new(plan: Arc<Plan>, threads: usize) -> Self {
        let mut activations = Aligned::zeroed(plan.arena_len());
        for (offset, values) in plan.constants() {
            activations[*offset..*offset + values.len()].copy_from_slice(values);
        }
        let scratch = (0..threads)
            .map(|_| Aligned::zeroed(plan.scratch_len()))
            .collect();
        Arena {
            plan,
            activations,
            scratch,
        }
    }

    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Runs the plan in this thread, or shares out its steps in `pool`, whose threads are as many as the arena's.
    ///
    /// # Errors
    /// [`Error::Data`](super::Error::Data) if the data does not fit the plan.
    pub fn run(
        &mut self,
        pool: Option<&mut Pool>,
        inputs: &[Input],
        outputs: &mut [&mut [f32]],
    ) -> Result<()> {
        self.plan.check(inputs, outputs)?;
        let outputs = starts(outputs);
        match pool {
            None => {
                let context = self.context(0, inputs, &outputs);
                for (i, step) in self.plan.steps().iter().enumerate() {
                    // SAFETY: the data was checked, the arena was made for this plan, and this is the only thread,
                    // which runs the steps in order.
                    unsafe { step.run(self.plan.table(i), &context, 0, 1) };
                }
            }
            Some(pool) => {
                assert_eq!(
                    pool.steps(),
                    self.plan.steps().len(),
                    "the pool is another plan's"
                );
                let arena = &*self;
                pool.run(&|thread, step, part, parts| {
                    let context = arena.context(thread, inputs, &outputs);
                    let plan = &arena.plan;
                    // SAFETY: as above; the pool gives each part to one thread, and begins a step when the one before
                    // it is done.
                    unsafe { plan.steps()[step].run(plan.table(step), &context, part, parts) };
                })
            }
        }
        Ok(())
    }

    /// Runs the plan in this thread and returns the seconds of each step.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn profile(&mut self, inputs: &[Input], outputs: &mut [&mut [f32]]) -> Result<Vec<f64>> {
        self.plan.check(inputs, outputs)?;
        let outputs = starts(outputs);
        let context = self.context(0, inputs, &outputs);
        let steps = self.plan.steps().iter().enumerate();
        let seconds = steps.map(|(i, step)| {
            let start = Instant::now();
            // SAFETY: as in `run` for one thread.
            unsafe { step.run(self.plan.table(i), &context, 0, 1) };
            start.elapsed().as_secs_f64()
        });
        Ok(seconds.collect())
    }

    /// Returns what a step works on in thread `thread`.
    fn context<'a>(
        &'a self,
        thread: usize,
        inputs: &'a [Input<'a>],
        outputs: &'a [Base],
    ) -> Context<'a> {
        Context {
            base: Base(self.activations.start()),
            scratch: self.scratch[thread].start(),
            inputs,
            outputs,
        }
    }
}

fn starts(outputs: &mut [&mut [f32]]) -> Vec<Base> {
    outputs.iter_mut().map(|o| Base(o.as_mut_ptr())).collect()
}
