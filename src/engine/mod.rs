//! [`Engine`]: the border to whatever runs the graph. Bytes of a prepared ONNX in, tensors in, tensors out.

use crate::tensor::{Tensor, TensorSpec};

/// A model loaded for inference.
pub trait Engine: Send {
    /// The outputs in model order, with their dims where the graph fixes them (0 where it does not).
    fn outputs(&self) -> &[TensorSpec];

    /// Runs the model on one input of the shape and type of the model's input spec.
    ///
    /// Outputs come in model order. Blocks for the whole inference.
    ///
    /// # Errors
    /// [`EngineError::Shape`] if `input` differs from the model's input; [`EngineError::Run`] if the graph fails.
    fn run(&mut self, input: &Tensor) -> Result<Vec<Tensor>, EngineError>;
}

#[derive(Debug)]
pub enum EngineError {
    Shape { found: TensorSpec, expected: TensorSpec },
    Run(String),
}
