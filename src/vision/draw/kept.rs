//! [`Kept`]: drawn pictures by what determines them, as long as their bytes stay below a limit.

use std::collections::HashMap;
use std::hash::Hash;

/// Counted for each entry beside its picture: key, place in the table, counts of owners.
const ENTRY_BYTES: usize = 256;

/// Pictures of at most `LIMIT` bytes together.
#[derive(Debug)]
pub(super) struct Kept<K, V, const LIMIT: usize> {
    entries: HashMap<K, V>,
    bytes: usize,
}

impl<K, V, const LIMIT: usize> Default for Kept<K, V, LIMIT> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            bytes: 0,
        }
    }
}

impl<K: Hash + Eq, V, const LIMIT: usize> Kept<K, V, LIMIT> {
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// Keeps a picture of so many bytes. All others are dropped if it would be too much; one that is too large by itself is
    /// not kept.
    pub fn keep(&mut self, key: K, value: V, bytes: usize) {
        let bytes = bytes.saturating_add(ENTRY_BYTES);
        if bytes > LIMIT {
            return;
        }
        if self.bytes.saturating_add(bytes) > LIMIT {
            self.clear();
        }
        if self.entries.insert(key, value).is_none() {
            self.bytes += bytes;
        }
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_limited_and_one_that_is_too_large_drops_no_other() {
        let mut kept = Kept::<u32, u32, 2048>::default();
        for number in 0..100 {
            kept.keep(number, number, 100);
            kept.keep(number, number, 100);
            assert_eq!(kept.get(&number), Some(&number));
            assert!(kept.bytes <= 2048 && kept.entries.len() <= 5);
            assert_eq!(kept.bytes, kept.entries.len() * (100 + ENTRY_BYTES));
        }
        kept.keep(1000, 1000, 2000);
        assert_eq!((kept.get(&1000), kept.get(&99)), (None, Some(&99)));
        kept.keep(1001, 1001, usize::MAX);
        kept.clear();
        assert_eq!((kept.get(&99), kept.bytes), (None, 0));
    }
}
