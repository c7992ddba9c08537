//! Packed weights, shared by all plans and workers that need the same form of them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::layer::Layer;
use crate::convnet::kernels::element::Element;
use crate::convnet::kernels::pack::Packed;

/// Identity of packed weights: their values and their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form([u64; 2]);

impl Form {
    /// Form of a dense layer's weights: element and lanes of a block, input channel and tap of each row, output
    /// channel of each lane.
    pub fn dense(
        layer: &Layer,
        format: (Element, usize),
        rows: &[(u32, u32)],
        channels: &[Option<u32>],
        first_input: usize,
    ) -> Self {
        Self::hash("dense", layer, (format, rows, channels, first_input))
    }

    /// Form of a depthwise layer's weights.
    pub fn depthwise(layer: &Layer, format: (Element, usize), channels: &[Option<u32>]) -> Self {
        Self::hash("depthwise", layer, (format, channels))
    }

    fn hash(kind: &str, layer: &Layer, order: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (kind, &order, layer.groups, layer.kernel, layer.winograd).hash(&mut hasher);
        let mut digest = Digest::new(hasher.finish());
        for values in [&layer.weights[..], layer.bias.as_deref().unwrap_or(&[])] {
            digest.add(values.len() as u64);
            for pair in values.chunks(2) {
                let bits = |i: usize| pair.get(i).map_or(0, |v| u64::from(v.to_bits()));
                digest.add(bits(0) << 32 | bits(1));
            }
        }
        Form(digest.0)
    }
}

/// Two hashes of 64 bits in one pass, for megabytes of weights.
struct Digest([u64; 2]);

impl Digest {
    fn new(seed: u64) -> Self {
        Digest([seed, !seed])
    }

    fn add(&mut self, value: u64) {
        let [a, b] = self.0;
        self.0 = [
            (a ^ value)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29),
            (b ^ value)
                .wrapping_mul(0xd6e8_feb8_6659_fd93)
                .rotate_left(31),
        ];
    }
}

/// Packed weights that some plan holds.
///
/// Give one cache to all plans of a model: plans of other input sizes and other workers then share their weights.
#[derive(Debug, Default)]
pub struct WeightCache(Mutex<HashMap<Form, Weak<Packed>>>);

impl WeightCache {
    /// Bytes of weights that some plan holds.
    pub fn bytes(&self) -> usize {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = map.values().filter_map(Weak::upgrade);
        held.map(|packed| packed.bytes()).sum()
    }

    /// Returns the weights of this form, packing them if nobody holds them.
    pub(super) fn get(&self, form: Form, pack: impl FnOnce() -> Packed) -> Arc<Packed> {
        let held = |map: &HashMap<Form, Weak<Packed>>| map.get(&form).and_then(Weak::upgrade);
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(packed) = held(&lock()) {
            return packed;
        }
        let packed = Arc::new(pack());
        let mut map = lock();
        map.retain(|_, weak| weak.strong_count() > 0);
        map.insert(form, Arc::downgrade(&packed));
        packed
    }
}
