//! [`Whole`]: a model that is one network, and runs without tract and its copies of input and outputs.

use super::op::{ConvnetOp, Network};
use crate::base::tensor::{Number, Tensor as Ours, TensorSpec};
use crate::convnet::Session;
use crate::convnet::graph::Input;
use std::sync::Arc;
use tract_onnx::prelude::*;

pub(in crate::engine::tract) struct Whole {
    network: Arc<Network>,
    /// The memory and the threads of one inference at a time, made by the first.
    session: Option<Session>,
    /// Which output of the model each of the network's is.
    places: Vec<usize>,
}

impl Whole {
    /// None if anything of the model is outside of a network.
    pub fn from_model(model: &TypedModel) -> Option<Self> {
        let &[input] = model.input_outlets().ok()? else {
            return None;
        };
        let outputs = model.output_outlets().ok()?;
        let node = model.node(outputs.first()?.node);
        let op = node.op_as::<ConvnetOp>()?;
        let reads_input = node.inputs == [input]
            && model.outlet_fact(input).ok()?.datum_type == f32::datum_type();
        let made = node.outputs.len();
        let places = (0..made).map(|slot| {
            let outlet = OutletId::new(node.id, slot);
            outputs.iter().position(|&output| output == outlet)
        });
        let places = places.collect::<Option<Vec<_>>>()?;
        (reads_input && made == outputs.len()).then(|| Self {
            network: op.network(),
            session: None,
            places,
        })
    }

    /// Creates another one with the same weights and memory of its own.
    pub fn twin(&self) -> Self {
        Self {
            network: Arc::clone(&self.network),
            session: None,
            places: self.places.clone(),
        }
    }

    /// Runs the model on `threads` threads. `outputs` are those of the model.
    ///
    /// # Errors
    /// If the system refuses a thread, or `input` does not fit.
    pub fn run<'a>(
        &mut self,
        threads: usize,
        input: &[f32],
        outputs: impl Iterator<Item = (&'a mut Ours, &'a TensorSpec)>,
    ) -> TractResult<()> {
        // Taken out for the run: whatever goes wrong in it, panics included, drops it.
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.network.session(threads, &[Input::F32(input)])?,
        };
        let outputs = outputs.map(|(output, spec)| {
            output.dims.clear();
            output.dims.extend(&spec.dims);
            let numbers = f32::vec_mut(&mut output.data);
            numbers.resize(spec.dims.iter().product(), 0.0);
            Some(numbers.as_mut_slice())
        });
        let mut outputs: Vec<_> = outputs.collect();
        let ordered = self
            .places
            .iter()
            .filter_map(|&place| outputs[place].take());
        self.network
            .run(&mut session, &[Input::F32(input)], ordered.collect())?;
        self.session = Some(session);
        Ok(())
    }
}
