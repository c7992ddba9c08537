//! Objects followed from analysis to analysis, and the boxes shown of them between two.
//!
//! - [`Tracker`] gives the detections of one object the same number.
//! - [`Shown`] has the boxes of a frame that has not been analysed itself: steady, and moved on from the analyses
//!   before it.
//!
//! Times are running times of frames, of the frame analysed or of the frame shown; nothing here reads a clock. Boxes
//! may be in any space with equal units along both axes, all in the same.

mod assignment;
mod kalman;
mod shown;
mod tracker;

pub use kalman::{HORIZON, MotionModel, Noise};
pub use shown::{Shown, ShownBox, ShownOptions};
pub use tracker::{LOW_SCORE, Tracked, Tracker, TrackerOptions};

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
