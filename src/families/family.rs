//! [`Family`]: models that are decoded alike.

use super::card::Card;
use super::decision::Decision;
use super::decoding::{DecodeError, Decoder, Labelling};
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;
use super::table_form::seen::Certain;
use crate::base::geometry::Size;
use crate::base::tensor::{ResizeMode, Tensor, TensorSpec};
use crate::onnx::rewrite::{Ending, Heads};
use std::any::Any;
use std::fmt;

/// Models that are decoded alike. The fields of the type hold what the dims of the outputs do not tell.
pub trait Family: Value + fmt::Debug + Send + Sync {
    /// Returns the value of `decode` by which a card names this family.
    fn name(&self) -> &'static str;

    /// Makes the decoder of a model's outputs. Making one is cheap.
    ///
    /// # Errors
    /// [`DecodeError`] if the outputs are not those of the family.
    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError>;

    /// Whether the decoder makes the boxes, so that the graph works for any input size.
    fn has_raw_heads(&self) -> bool;

    /// Returns the end of the graph that the decoder can do in its place.
    fn ending(&self) -> Option<&dyn Ending> {
        None
    }

    /// Returns the family of a graph that now ends at these heads.
    fn ended_at(&self, _heads: &Heads) -> Option<Box<dyn Family>> {
        None
    }

    /// Puts the card's values over those that were recognised.
    fn apply_card(&mut self, _card: &Card) {}

    /// Returns the family, and its number of classes, as a card describes it that has keys of tables or fewer classes than
    /// `classes`; `None` if it stays as it is.
    fn described_by(&self, _card: &Card, _classes: usize) -> Option<(Box<dyn Family>, usize)> {
        None
    }

    /// Returns the largest stride in input pixels; `None` if its readings state what an input size must be a multiple of.
    fn largest_stride(&self) -> Option<u32> {
        None
    }

    /// Whether the card states other dims of the outputs, for which they may yet be read anew.
    fn contradicts(&self, _card: &Card) -> bool {
        false
    }

    /// Whether this is not the one of several readings that the card means.
    fn excluded_by(&self, _card: &Card) -> bool {
        false
    }

    /// Returns whether the outputs hold the number of each candidate's class, and not a score for each class.
    fn writes_class_numbers(&self) -> bool {
        false
    }

    /// Returns what a user should know about the way in which the outputs are read.
    fn notes(&self) -> Vec<Decision> {
        Vec::new()
    }

    /// Finds the form of the outputs of a first inference, on an empty picture, where it is another than was read in the
    /// file; `None` if it is not, or if there is nothing to be told.
    fn settle(
        &self,
        _outputs: &[Tensor],
        _model: &DecoderInput,
        _certain: &Certain,
    ) -> Option<Settled> {
        None
    }

    /// Returns the dims of outputs that fit this family.
    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>>;
}

/// The model that a decoder is made for.
#[derive(Debug, Clone)]
pub struct DecoderInput<'a> {
    /// Size of the model's input in pixels.
    pub input: Size,
    /// Number of the model's classes; 0 where it is not known before the run.
    pub classes: usize,
    /// The model's outputs. A dim of 0 is not known before the run: it is checked at every run.
    pub outputs: &'a [TensorSpec],
    /// The classes as which a candidate is reported.
    pub labelling: Labelling,
}

/// A reading that the first inference showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// How the outputs are decoded.
    pub family: Box<dyn Family>,
    /// Number of classes; 0 if it is not known.
    pub classes: usize,
    /// How a picture fills the input, if this is now another.
    pub resize: Option<ResizeMode>,
    /// Sentences about what could not be understood.
    pub warnings: Vec<String>,
    /// Readings of which the inference did not tell which is meant, so that the model is refused; none where it did.
    pub undecided: Vec<String>,
}

impl Settled {
    /// Makes a reading of another form of the same outputs, with nothing else to be said.
    pub fn in_form(family: impl Family, classes: usize) -> Self {
        Self {
            family: Box::new(family),
            classes,
            resize: None,
            warnings: Vec::new(),
            undecided: Vec::new(),
        }
    }
}

/// [`Clone`] and [`PartialEq`] for trait objects. Every family that has both has this.
pub trait Value: Any {
    /// Clones the family.
    fn to_boxed(&self) -> Box<dyn Family>;

    /// Returns whether `other` is the same family with the same values.
    fn equals(&self, other: &dyn Family) -> bool;
}

impl<T: Family + Clone + PartialEq> Value for T {
    fn to_boxed(&self) -> Box<dyn Family> {
        Box::new(self.clone())
    }

    fn equals(&self, other: &dyn Family) -> bool {
        other.downcast_ref::<T>() == Some(self)
    }
}

impl dyn Family {
    /// Returns the family as the type it is of, if that is `T`.
    pub fn downcast_ref<T: Family>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}

impl Clone for Box<dyn Family> {
    fn clone(&self) -> Self {
        self.as_ref().to_boxed()
    }
}

impl PartialEq for dyn Family {
    fn eq(&self, other: &Self) -> bool {
        self.equals(other)
    }
}

/// Derived comparisons of types that hold a boxed trait object need this (rust-lang/rust#31740).
impl PartialEq<&Self> for Box<dyn Family> {
    fn eq(&self, other: &&Self) -> bool {
        **self == ***other
    }
}

impl<T: Family> PartialEq<T> for Box<dyn Family> {
    fn eq(&self, other: &T) -> bool {
        other.equals(self.as_ref())
    }
}

impl fmt::Display for dyn Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
