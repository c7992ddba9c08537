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

impl Extras {
    /// Returns words about `count` such numbers at a place in a candidate, such as "behind the class".
    pub fn unused(self, count: usize, place: &str) -> String {
        let meaning = match self {
            Self::Angle => {
                return "the angle of turned boxes: the upright box around each is reported".into();
            }
            Self::Points => ": points",
            Self::Masks => ": coefficients of masks",
            Self::Unknown => "",
        };
        format!("{count} numbers {place}{meaning}, which are not used")
    }
}
