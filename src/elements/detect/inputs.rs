//! [`Inputs`]: the model's inputs of frames that wait, made by the thread that brings them.
//!
//! In `every` a source that is faster than the model waits at the sink pad. Its thread then makes the model's input of the
//! frame that it holds, so that the worker infers from it at once when its turn comes. A camera is not kept from its next
//! frame by this, and hardly anything is made of frames that are dropped, as those do not wait.

use super::imp::{CAT, Detect};
use super::sizes::Detectors;
use super::state::Frame;
use crate::base::tensor::InputSpec;
use crate::detector::{Ahead, Prepared};
use gst::subclass::prelude::*;

/// Memory for inputs, all of one kind.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    /// What the model wants that a worker has used last.
    input: Option<InputSpec>,
    spare: Vec<Ahead>,
}

impl Inputs {
    /// Memory for one more; `None` before a worker has told what the model wants.
    fn spare(&mut self) -> Option<Ahead> {
        let input = self.input.as_ref()?;
        let new = || Ahead::new(input.clone());
        Some(self.spare.pop().unwrap_or_else(new))
    }

    /// Takes back memory of which nothing is needed any more.
    fn give_back(&mut self, ahead: Ahead) {
        if self.input.as_ref() == Some(ahead.input()) {
            self.spare.push(ahead);
        }
    }

    /// From now on inputs are like this.
    fn follow(&mut self, input: &InputSpec) {
        if self.input.as_ref() != Some(input) {
            self.spare.clear();
            self.input = Some(input.clone());
        }
    }
}

impl Detect {
    /// Makes the model's input of a frame that has to wait. Where it cannot be made, the worker that tries again says why.
    pub(super) fn prepare_ahead(&self, frame: &mut Frame) {
        let Some(mut ahead) = self.inputs.lock().spare() else {
            return;
        };
        match frame.read(|image| ahead.prepare(image)) {
            Ok(Ok(())) => frame.ahead = Some(ahead),
            Ok(Err(err)) => gst::debug!(CAT, imp = self, "No input is made ahead: {err}"),
            Err(why) => gst::debug!(CAT, imp = self, "No input is made ahead: {why}"),
        }
    }

    /// The input that was made of the frame, if it is what the model in use wants.
    pub(super) fn take_ahead(
        &self,
        detectors: &mut Detectors,
        frame: &mut Frame,
    ) -> Option<Prepared> {
        let ahead = frame.ahead.take();
        let mut inputs = self.inputs.lock();
        inputs.follow(&detectors.current().model().input);
        let mut ahead = ahead?;
        let prepared = detectors.take(&mut ahead);
        inputs.give_back(ahead);
        prepared
    }
}
