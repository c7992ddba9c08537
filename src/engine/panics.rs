//! Panics of engines: they are caught at the call and become errors, so their text is not for standard error.
//!
//! tract expects to panic on graphs that it cannot run. A hook takes the text of a panic in an engine's call, and of one in
//! a thread that works for it, to where [`log_to`] says. Every other panic goes to the hook that was there before.

use std::cell::Cell;
use std::panic::{self, PanicHookInfo};
use std::sync::{Once, OnceLock};

/// Beginnings of the names of threads that do nothing but parts of inferences.
const HELPERS: [&str; 2] = ["convnet-", "detect-infer-"];

static LOG: OnceLock<fn(&str)> = OnceLock::new();

thread_local! {
    /// Calls into engines that this thread is in.
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

/// Has the texts of panics in engines go to `log`, from the next call on; the first caller decides. Until then they go to
/// the hook of the process.
pub fn log_to(log: fn(&str)) {
    LOG.get_or_init(|| log);
}

/// Runs a call into an engine, whose panics are expected.
pub(super) fn expected<T>(call: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    if LOG.get().is_some() {
        HOOK.call_once(install);
    }
    let _call = Call::begin();
    call()
}

/// Counts a call until it ends, with a panic too.
struct Call;

impl Call {
    fn begin() -> Self {
        CALLS.set(CALLS.get() + 1);
        Self
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        CALLS.set(CALLS.get() - 1);
    }
}

fn install() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| match LOG.get() {
        Some(log) if is_expected() => log(&in_words(info)),
        _ => before(info),
    }));
}

/// Whether this thread is in a call into an engine, or helps with one.
fn is_expected() -> bool {
    // A thread that ends has no count any more.
    let in_call = CALLS.try_with(Cell::get).unwrap_or_default() > 0;
    in_call
        || std::thread::current()
            .name()
            .is_some_and(|name| HELPERS.iter().any(|helper| name.starts_with(helper)))
}

fn in_words(info: &PanicHookInfo) -> String {
    let text = info.payload_as_str().unwrap_or("no message");
    match info.location() {
        Some(location) => format!("An engine panicked, which is caught: {text} ({location})"),
        None => format!("An engine panicked, which is caught: {text}"),
    }
}
