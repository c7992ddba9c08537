//! [`Card`]: what a user says of a model, against what was recognised.
//!
//! It is data: [`super::read_card`] reads it, and each family applies its own keys.

mod key;

pub use key::{AnyKey, Key, STRIDES, number, side, sizes, stride};

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
    pub decode: Option<&'static str>,
    pub classes: Option<usize>,
    pub labels: Option<Vec<String>>,
    pub score_threshold: Option<f32>,
    /// 1 where the card says that nothing is to be suppressed.
    pub iou_threshold: Option<f32>,
    pub multi_label: Option<bool>,
    pub name: Option<String>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub layout: Option<Layout>,
    pub colour: Option<ColourOrder>,
    pub mean: Option<[f32; 3]>,
    pub std: Option<[f32; 3]>,
    pub resize: Option<ResizeMode>,
    pub pad_value: Option<f32>,
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
