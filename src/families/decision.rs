//! [`Decision`]: what was assumed about a model, and why.

use std::fmt;

/// Something that the file left open, or that a user may want to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// One of [`topic`].
    pub topic: &'static str,
    pub value: String,
    pub reason: String,
    /// Nothing said so; it is only what is usual.
    pub guessed: bool,
}

/// The topics of decisions.
pub mod topic {
    pub const FAMILY: &str = "family";
    pub const LAYOUT: &str = "layout";
    pub const INPUT_SIZE: &str = "input size";
    pub const COLOUR: &str = "colour";
    pub const NORMALISATION: &str = "normalisation";
    pub const RESIZE: &str = "resize";
    pub const LABELS: &str = "labels";
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
            topic,
            value: value.to_string(),
            reason: reason.into(),
            guessed,
        }
    }
}
