//! Follows objects from analysis to analysis, and computes the boxes shown between two.
//!
//! - [`Tracker`] gives the detections of one object the same number.
//! - [`Shown`] has the boxes of a frame that was not analysed itself: steady, and moved on from earlier analyses.
//!
//! Times are running times of frames, analysed or shown; nothing here reads a clock. Boxes may be in any space with
//! equal units along both axes, all in the same.

mod assignment;
mod kalman;
mod numbers;
mod shown;
mod tracker;

pub use kalman::{HORIZON, MotionModel, Noise};
pub use numbers::Numbers;
pub use shown::{Shown, ShownBox, ShownOptions};
pub use tracker::{LOW_SCORE, Tracked, Tracker, TrackerOptions};

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
