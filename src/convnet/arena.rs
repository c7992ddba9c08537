//! Memory of one run at a time: activations, each thread's scratch, and the zeros of borders.

use super::graph::Input;
use super::kernels::pack::Aligned;
use super::kernels::{Base, Context};
use super::plan::Plan;

/// Memory for a plan.
pub struct Arena {
    activations: Aligned,
    scratch: Vec<Aligned>,
}

impl Arena {
    /// Allocates memory for `threads` threads and writes the plan's constants.
    pub fn new(plan: &Plan, threads: usize) -> Self {
        let mut activations = Aligned::zeroed(plan.arena_len());
        for (offset, values) in plan.constants() {
            activations[*offset..*offset + values.len()].copy_from_slice(values);
        }
        let scratch = (0..threads)
            .map(|_| Aligned::zeroed(plan.scratch_len()))
            .collect();
        Arena {
            activations,
            scratch,
        }
    }

    /// Returns what a step works on in thread `thread`.
    pub fn context<'a>(
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
