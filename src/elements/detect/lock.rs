//! [`Lock`]: a mutex that counts, in builds for tests, how often it is taken.

use parking_lot::{Mutex, MutexGuard};
#[cfg(feature = "stub-engine")]
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A mutex without poisoning. The feature `stub-engine` adds the counter.
#[derive(Default)]
pub(super) struct Lock<T> {
    mutex: Mutex<T>,
    #[cfg(feature = "stub-engine")]
    taken: AtomicU64,
}

impl<T> Lock<T> {
    /// Blocks until the lock is free. A wait on a condition variable takes it back without being counted.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        #[cfg(feature = "stub-engine")]
        self.taken.fetch_add(1, Relaxed);
        self.mutex.lock()
    }

    /// How often [`Self::lock`] was called.
    #[cfg(feature = "stub-engine")]
    pub fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }
}
