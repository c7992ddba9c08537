//! [`Decoder`]: output tensors of one family to candidates above the threshold.

use crate::detection::Detection;
use crate::tensor::Tensor;

/// Turns the outputs of one inference into detections in input pixels, before suppression.
pub trait Decoder: Send + Sync {
    /// Appends every candidate whose score is at least `score_threshold` to `found`.
    ///
    /// `outputs` come in the order that the decoder was made with. Boxes are in corner form, in input pixels, and
    /// may reach over the input's border. A score or box that is not a finite number is never a detection.
    ///
    /// # Errors
    /// [`DecodeError`] if an output has not the shape that the decoder was made for.
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError>;
}

/// Outputs that are not those of the family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// `output {name} has shape {found}, expected {expected}`
    Shape {
        name: String,
        found: Vec<usize>,
        expected: String,
    },
}
