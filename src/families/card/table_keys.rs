//! Keys of tables of candidates: how their numbers are meant.

use super::{AnyKey, Key};
use crate::families::decoding::{BoxFormat, BoxScale, ScoreActivation};

/// The four numbers of a box.
pub static BOX_FORMAT: Key<BoxFormat> = Key {
    name: "box_format",
    expected: "one of \"centre\", \"corners\"",
    read: |value| match value.as_str()? {
        "centre" => Some(BoxFormat::Centre),
        "corners" => Some(BoxFormat::Corners),
        _ => None,
    },
};

/// The unit of the numbers of a box.
pub static BOX_SCALE: Key<BoxScale> = Key {
    name: "box_scale",
    expected: "one of \"pixels\", \"shares\"",
    read: |value| match value.as_str()? {
        "pixels" => Some(BoxScale::Pixels),
        "shares" => Some(BoxScale::Shares),
        _ => None,
    },
};

/// The way from scores to probabilities.
pub static SCORE_ACTIVATION: Key<ScoreActivation> = Key {
    name: "score_activation",
    expected: "one of \"none\", \"sigmoid\"",
    read: |value| match value.as_str()? {
        "none" => Some(ScoreActivation::None),
        "sigmoid" => Some(ScoreActivation::Sigmoid),
        _ => None,
    },
};

/// Whether the candidates of a table lie the other way than its family's usually do.
pub static TRANSPOSED: Key<bool> = Key {
    name: "transposed",
    expected: "true or false",
    read: |value| value.as_bool(),
};

/// The keys of tables, for their registrations.
pub static TABLE_KEYS: &[&dyn AnyKey] = &[&BOX_FORMAT, &BOX_SCALE, &SCORE_ACTIVATION, &TRANSPOSED];
