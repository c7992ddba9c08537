//! [`Decision`]: what was assumed about a model, and why.

use std::borrow::Cow;
use std::fmt;

/// An assumption about a model: a point that its file left open, or that a user may want to check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Subject of the decision, one of [`topic`].
    pub topic: Cow<'static, str>,
    /// The value that was chosen, for people.
    pub value: String,
    /// Why it was decided so.
    pub reason: String,
    /// Neither file nor card said so; it is only the usual case.
    pub guessed: bool,
}

/// The topics of decisions.
pub mod topic {
    /// Which family the model is of.
    pub const FAMILY: &str = "family";
    /// Which of several outputs is read.
    pub const OUTPUT: &str = "output";
    /// Order of the input dims.
    pub const LAYOUT: &str = "layout";
    /// Input width and height.
    pub const INPUT_SIZE: &str = "input size";
    /// Order of the channels.
    pub const COLOUR: &str = "colour";
    /// How pixels become numbers.
    pub const NORMALISATION: &str = "normalisation";
    /// How a table of candidates lies.
    pub const TABLE: &str = "table";
    /// Meaning of the numbers of a box.
    pub const BOXES: &str = "boxes";
    /// The way from scores to probabilities.
    pub const SCORES: &str = "scores";
    /// Outputs and numbers that are not needed for boxes.
    pub const EXTRAS: &str = "extras";
    /// How the picture fills the input.
    pub const RESIZE: &str = "resize";
    /// Where the labels come from.
    pub const LABELS: &str = "labels";
    /// Score and IoU threshold.
    pub const THRESHOLDS: &str = "thresholds";
}

impl Decision {
    /// Makes a decision; `guessed` says that nothing but habit stands behind it.
    pub fn new(
        topic: &'static str,
        value: impl fmt::Display,
        reason: impl Into<String>,
        guessed: bool,
    ) -> Self {
        Self {
            topic: topic.into(),
            value: value.to_string(),
            reason: reason.into(),
            guessed,
        }
    }
}

/// Writes one line for people.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.topic, self.value, self.reason)
    }
}
