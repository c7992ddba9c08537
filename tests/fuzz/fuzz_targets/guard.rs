//! What libFuzzer does not see without a sanitizer: memory that is asked for and never touched, and a full stack.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Room for libFuzzer's handler of signals when the stack is full.
const SIGNAL_STACK_BYTES: usize = 256 << 10;

#[global_allocator]
static COUNTING: Counting = Counting;

/// Bytes in use, the most that were, and how many may be.
static USED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

struct Counting;

impl Counting {
    fn take(&self, bytes: usize) {
        let used = USED.fetch_add(bytes, Relaxed).saturating_add(bytes);
        MOST.fetch_max(used, Relaxed);
        if used > LIMIT.load(Relaxed) {
            LIMIT.store(usize::MAX, Relaxed);
            eprintln!("{bytes} bytes more than allowed for an input of this length: {used} in use");
            // libFuzzer stores the input.
            std::process::abort();
        }
    }
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.take(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.take(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.take(size);
        USED.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs `look`, which may have at most `bytes` in use beyond what is now; what it returns, and the most that it had.
pub fn within<T>(bytes: usize, look: impl FnOnce() -> T) -> (T, usize) {
    let before = USED.load(Relaxed);
    MOST.store(before, Relaxed);
    LIMIT.store(before.saturating_add(bytes), Relaxed);
    let seen = look();
    LIMIT.store(usize::MAX, Relaxed);
    (seen, MOST.load(Relaxed).saturating_sub(before))
}

/// To be called once, before libFuzzer sets its handlers: gives them a stack of their own, so that the input that
/// fills the stack is stored like any other.
pub fn prepare() {
    let stack = Box::leak(vec![0_u8; SIGNAL_STACK_BYTES].into_boxed_slice());
    // SAFETY: the stack lives as long as the process; an action of zeros is the default one, with no flag and no mask.
    unsafe {
        let stack = libc::stack_t {
            ss_sp: stack.as_mut_ptr().cast(),
            ss_flags: 0,
            ss_size: SIGNAL_STACK_BYTES,
        };
        libc::sigaltstack(&stack, std::ptr::null_mut());
        let mut action: libc::sigaction = std::mem::zeroed();
        // libFuzzer keeps this flag.
        action.sa_flags = libc::SA_ONSTACK;
        libc::sigaction(libc::SIGSEGV, &action, std::ptr::null_mut());
    }
}
