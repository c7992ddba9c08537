//! [`Decoder`]: output tensors of one family to candidates above the threshold.

use crate::base::detection::Detection;
use crate::base::tensor::{Element, Tensor, TensorSpec};
use std::fmt;

/// Turns the outputs of one inference into detections in input pixels, before suppression.
pub trait Decoder: Send + Sync {
    /// Appends every candidate whose score is at least `score_threshold` to `found`, in the order of the head.
    ///
    /// `outputs` come in the order that the decoder was made with. Boxes are in corner form, in input pixels, and
    /// may reach over the input's border. A score or box that is not a finite number is never a detection.
    ///
    /// Scores are looked at before boxes: the cost is that of reading the scores.
    ///
    /// # Errors
    /// [`DecodeError`] if an output has not the shape or type that the decoder was made for; `found` is then as it was.
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
    /// Numbers of another type than float32.
    Element { name: String, found: Element },
    /// Fewer or other outputs than the family has.
    Outputs {
        found: Vec<TensorSpec>,
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
