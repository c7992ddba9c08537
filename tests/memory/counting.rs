//! The allocator of this binary, which counts, and the lock that lets one test run at a time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static COUNTING: Counting = Counting;

/// Allocations of all threads.
pub static ALL: AtomicUsize = AtomicUsize::new(0);
/// The largest allocation since it was last set to 0: memory that is asked for counts even if it is never touched.
pub static LARGEST: AtomicUsize = AtomicUsize::new(0);
/// Bytes held, and the most since it was last set to what is held.
pub static HELD: AtomicUsize = AtomicUsize::new(0);
pub static PEAK: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Allocations of this thread.
    pub static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

fn count(size: usize) {
    // A thread that ends may allocate when its own storage is gone.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
    ALL.fetch_add(1, Relaxed);
    LARGEST.fetch_max(size, Relaxed);
    let held = HELD.fetch_add(size, Relaxed) + size;
    PEAK.fetch_max(held, Relaxed);
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Waits until no other test runs, and keeps others waiting: the counters do not tell threads apart.
pub fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}
