//! [`Card`]: what a user says of a model, against what was recognised.
//!
//! It is data: `read_card` reads it, and each family applies its own keys.

mod key;
mod table_keys;

pub use key::{AnyKey, Key, STRIDES, number, side, sizes, stride};
pub use table_keys::{BOX_FORMAT, BOX_SCALE, SCORE_ACTIVATION, TABLE_KEYS, TRANSPOSED};

use crate::base::tensor::{ColourOrder, Interpolation, Layout, ResizeMode};
use crate::families::error::FamilyError;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// More classes than any detector has; a bound for what we allocate.
pub const MAX_CLASSES: u64 = 1 << 16;

/// Larger sides are taken for a slip of the keyboard.
pub const MAX_SIDE: u32 = 8192;

/// The keys a card has. The empty card overrides nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Card {
    pub(super) path: PathBuf,
    /// Values of the keys that only some families read; each has been accepted by its key.
    pub(super) of_families: BTreeMap<&'static str, Value>,
    /// Name of the family.
    pub decode: Option<&'static str>,
    /// Number of classes.
    pub classes: Option<usize>,
    /// A label for each class.
    pub labels: Option<Vec<String>>,
    /// Score threshold, 0 to 1.
    pub score_threshold: Option<f32>,
    /// 1 where the card says that nothing is to be suppressed.
    pub iou_threshold: Option<f32>,
    /// Whether a candidate is reported as every class above the threshold.
    pub multi_label: Option<bool>,
    /// Name of the output that is the table of candidates.
    pub output: Option<String>,
    /// Name of the graph's input.
    pub name: Option<String>,
    /// Input width in pixels, for a model of free size.
    pub width: Option<u32>,
    /// Input height in pixels, for a model of free size.
    pub height: Option<u32>,
    /// Order of the input dims.
    pub layout: Option<Layout>,
    /// Order of the channels.
    pub colour: Option<ColourOrder>,
    /// Subtracted from each channel, in levels 0 to 255.
    pub mean: Option<[f32; 3]>,
    /// Divides each channel after that.
    pub std: Option<[f32; 3]>,
    /// How the picture fills the input.
    pub resize: Option<ResizeMode>,
    /// Level of the padding, 0 to 255.
    pub pad_value: Option<f32>,
    /// How pixels are interpolated.
    pub interpolation: Option<Interpolation>,
}

impl Card {
    /// Returns the value of a key that only some families read.
    pub fn get<T>(&self, key: &Key<T>) -> Option<T> {
        (key.read)(self.of_families.get(key.name)?)
    }

    /// Makes the error about a value of this card that does not fit the model.
    pub fn error(&self, what: impl Into<String>) -> FamilyError {
        FamilyError::Card {
            path: self.path.clone(),
            what: what.into(),
        }
    }
}
