//! [`Inputs`]: memory for the model's inputs of frames that wait.
//!
//! In `every` a source that is faster than the model waits at the sink pad. Its thread then makes the model's input of the
//! frame that it holds, so that the worker can infer at once. This keeps no camera from its next frame, and hardly wastes
//! work on frames that are dropped, since those do not wait.

use crate::base::tensor::InputSpec;
use crate::detector::Ahead;

/// Inputs of one kind.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    /// Input of the model that a worker has used last.
    input: Option<InputSpec>,
    spare: Vec<Ahead>,
}

impl Inputs {
    /// Returns memory for another input; `None` before a worker has said what the model takes.
    pub fn spare(&mut self) -> Option<Ahead> {
        let input = self.input.as_ref()?;
        let new = || Ahead::new(input.clone());
        Some(self.spare.pop().unwrap_or_else(new))
    }

    /// Takes back memory that is not needed any more.
    pub fn give_back(&mut self, ahead: Ahead) {
        if self.input.as_ref() == Some(ahead.input()) {
            self.spare.push(ahead);
        }
    }

    /// Follows the input of the model in use.
    pub fn follow(&mut self, input: &InputSpec) {
        if self.input.as_ref() != Some(input) {
            self.spare.clear();
            self.input = Some(input.clone());
        }
    }
}
