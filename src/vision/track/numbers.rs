//! [`Numbers`]: counts detections and objects. Whoever shares it never gives two the same number.

use std::sync::atomic::{AtomicU64, Ordering};

/// The numbers that were given so far; each kind begins at 1.
#[derive(Debug, Default)]
pub struct Numbers {
    detections: AtomicU64,
    objects: AtomicU64,
}

impl Numbers {
    /// Takes numbers for so many detections; returns the first, which the others follow.
    pub fn take_detections(&self, count: usize) -> u64 {
        self.detections.fetch_add(count as u64, Ordering::Relaxed) + 1
    }

    /// Takes the number of one object.
    pub fn take_object(&self) -> u64 {
        self.objects.fetch_add(1, Ordering::Relaxed) + 1
    }
}
