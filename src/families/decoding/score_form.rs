//! [`ScoreActivation`]: what makes probabilities of the scores of a table.

use super::candidates::{least_raw_score, probability};
use std::fmt;

/// The way from the scores of a table to probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScoreActivation {
    /// They are probabilities.
    #[default]
    None,
    /// They are logits: a sigmoid is left to do.
    Sigmoid,
}

impl ScoreActivation {
    pub(crate) fn probability(self, score: f32) -> f32 {
        match self {
            Self::None => score,
            Self::Sigmoid => probability(score),
        }
    }

    /// Returns what a score must reach so that its probability can reach `threshold`.
    pub(crate) fn least(self, threshold: f32) -> f32 {
        match self {
            Self::None => threshold,
            Self::Sigmoid => least_raw_score(threshold),
        }
    }
}

impl fmt::Display for ScoreActivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "probabilities",
            Self::Sigmoid => "logits, of which a sigmoid makes probabilities",
        })
    }
}
