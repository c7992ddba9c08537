//! [`Decoder`]: output tensors of one family to candidates above the threshold.

use crate::base::detection::Detection;
use crate::base::tensor::{Element, Tensor, TensorSpec};
use std::fmt;

/// Turns the outputs of one inference into detections in input pixels, before suppression.
pub trait Decoder: Send + Sync {
    /// Appends every candidate with a score of at least `score_threshold` to `found`, in the order of the head.
    ///
    /// `outputs` come in the order that the decoder was made with. Boxes are in corner form, in input pixels, and
    /// may reach over the input's border. A score or box that is not a finite number is never a detection.
    ///
    /// Scores are read before boxes, so the cost is that of reading the scores.
    ///
    /// # Errors
    /// [`DecodeError`] if an output differs from the shape or type that the decoder was made for; `found` is then unchanged.
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError>;
}

/// Outputs that do not fit the family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// `output {name} has shape {found}, expected {expected}`
    Shape {
        /// Name of the output.
        name: String,
        /// The outputs or dims of the model.
        found: Vec<usize>,
        /// The outputs or dims of the layout, in words.
        expected: String,
    },
    /// Numbers of another type than float32.
    Element {
        /// Name of the output.
        name: String,
        /// Type of its numbers.
        found: Element,
    },
    /// Fewer or other outputs than the family has.
    Outputs {
        /// The outputs or dims of the model.
        found: Vec<TensorSpec>,
        /// The outputs or dims of the layout, in words.
        expected: String,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape {
                name,
                found,
                expected,
            } => {
                write!(f, "output {name} has shape {found:?}, expected {expected}")
            }
            Self::Element { name, found } => {
                write!(f, "output {name} is {found}, expected {}", Element::F32)
            }
            Self::Outputs { found, expected } => {
                let found: Vec<String> = found.iter().map(TensorSpec::to_string).collect();
                write!(f, "outputs are ({}), expected {expected}", found.join(", "))
            }
        }
    }
}

impl std::error::Error for DecodeError {}
