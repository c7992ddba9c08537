//! [`Key`]: a key of a card that only some families read.

use super::MAX_SIDE;
use serde_json::Value;

/// A key of a card that only some families read, with the type of its value.
pub struct Key<T> {
    /// The key, as the card writes it.
    pub name: &'static str,
    /// For the error about another value: "a number, 1 to 255".
    pub expected: &'static str,
    /// Reads a value; `None` if it is not as expected.
    pub read: fn(&Value) -> Option<T>,
}

/// A [`Key`] whatever the type of its value.
pub trait AnyKey: Sync {
    /// Name in the card.
    fn name(&self) -> &'static str;

    /// Values that the key accepts, for an error text.
    fn expected(&self) -> &'static str;

    /// Whether a value is as expected.
    fn accepts(&self, value: &Value) -> bool;
}

impl<T> AnyKey for Key<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn expected(&self) -> &'static str {
        self.expected
    }

    fn accepts(&self, value: &Value) -> bool {
        (self.read)(value).is_some()
    }
}

/// Strides of the grids that a head consists of, in input pixels a cell.
pub static STRIDES: Key<Vec<u32>> = Key {
    name: "strides",
    expected: "a list of strides like [8, 16, 32]",
    read: |value| {
        let list = value.as_array().filter(|list| !list.is_empty())?;
        list.iter().map(stride).collect()
    },
};

const MAX_STRIDE: u64 = 1024;

/// Reads a stride in input pixels.
pub fn stride(value: &Value) -> Option<u32> {
    let stride = value.as_u64().filter(|n| (1..=MAX_STRIDE).contains(n))?;
    u32::try_from(stride).ok()
}

/// Reads a number that an f32 can hold.
pub fn number(value: &Value) -> Option<f32> {
    value.as_f64().map(|n| n as f32).filter(|n| n.is_finite())
}

/// More boxes around a point than any detector has; a bound for what we allocate.
const MAX_BOXES: usize = 64;

/// Reads pairs of width and height in input pixels.
pub fn sizes(value: &Value) -> Option<Vec<[f32; 2]>> {
    let list = value.as_array()?;
    let pair = |value: &Value| match &value.as_array()?[..] {
        [width, height] => Some([side(width)?, side(height)?]),
        _ => None,
    };
    let sizes: Option<Vec<_>> = list.iter().map(pair).collect();
    sizes.filter(|sizes| (1..=MAX_BOXES).contains(&sizes.len()))
}

/// Reads a side in input pixels.
pub fn side(value: &Value) -> Option<f32> {
    number(value).filter(|side| *side > 0.0 && *side <= MAX_SIDE as f32)
}
