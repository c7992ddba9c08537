//! [`Interrupt`]: Ctrl-C ends a measurement early, and its results so far are printed. A second Ctrl-C ends the program.

use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Knows whether the user has pressed Ctrl-C.
#[derive(Debug, Clone, Copy)]
pub struct Interrupt(());

extern "C" fn on_signal(_signal: libc::c_int) {
    if ASKED.swap(true, Ordering::Relaxed) {
        // SAFETY: `_exit` takes any number, and may be called in a handler of signals.
        unsafe { libc::_exit(130) }
    }
}

impl Interrupt {
    /// Takes over Ctrl-C, which from then on does not end the program at once.
    pub fn on_ctrl_c() -> Self {
        let handler: extern "C" fn(libc::c_int) = on_signal;
        // SAFETY: the handler only touches an atomic and calls `_exit`, both of which a handler of signals may do.
        unsafe {
            libc::signal(libc::SIGINT, handler as libc::sighandler_t);
        }
        Self(())
    }

    pub fn is_asked(self) -> bool {
        ASKED.load(Ordering::Relaxed)
    }
}
