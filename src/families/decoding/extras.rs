//! [`Extras`]: numbers beside box and scores.

/// The numbers of a candidate that are not needed for an upright box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Extras {
    /// Points of a face or a body.
    Points,
    /// Coefficients of a mask.
    Masks,
    /// One number: the angle by which the box is turned, in radians.
    Angle,
    /// Unknown numbers.
    #[default]
    Unknown,
}
