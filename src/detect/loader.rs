//! [`run`]: the thread in which models are loaded, kept for the next one.
//!
//! The C library gives every thread a heap, a new one or that of a thread which has ended, and much of what a loading
//! needs for a moment stays with the heap. Were each model loaded in a new thread, a process that changes its model now
//! and then would soon have many such heaps; a thread that is kept uses its own again.

use parking_lot::Mutex;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Does the work, and gives back how its result is told.
type Job = Box<dyn FnOnce() -> Tell + Send>;
type Tell = Box<dyn FnOnce() + Send>;

/// The thread that has nothing to do.
static IDLE: Mutex<Option<Sender<Job>>> = Mutex::new(None);

/// Does `work` in another thread and waits for it. Several may be at work at the same time; one of them is kept.
///
/// # Errors
/// That of starting a thread; inside, what a panic of `work` carried.
pub(super) fn run<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<thread::Result<T>> {
    let (tell, told) = channel();
    let job = Box::new(|| {
        let result = catch_unwind(AssertUnwindSafe(work));
        // Nobody waits any more if the caller has panicked.
        Box::new(move || drop(tell.send(result))) as Tell
    });
    let idle = IDLE.lock().take();
    let thread = match idle {
        Some(thread) => thread,
        None => start()?,
    };
    let gone = || io::Error::other("the thread that loads models has ended");
    thread.send(job).map_err(|_| gone())?;
    told.recv().map_err(|_| gone())
}

fn start() -> io::Result<Sender<Job>> {
    let (thread, jobs) = channel();
    let own = thread.clone();
    thread::Builder::new()
        .name("detect-load".into())
        .spawn(move || work(own, &jobs))?;
    Ok(thread)
}

/// The thread: until another one is idle already.
fn work(own: Sender<Job>, jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        let tell = job();
        // Idle before the caller goes on: what it loads next is loaded here.
        let spare = {
            let mut idle = IDLE.lock();
            let spare = idle.is_some();
            idle.get_or_insert_with(|| own.clone());
            spare
        };
        tell();
        if spare {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_comes_back_and_the_thread_goes_on() {
        let panic = run(|| panic!("not today")).expect("a thread");
        let payload: Result<(), _> = panic;
        assert_eq!(payload.unwrap_err().downcast_ref(), Some(&"not today"));
        assert_eq!(run(|| 7).expect("a thread").ok(), Some(7));
    }

    #[test]
    fn work_waits_for_no_other_work() {
        let (open, gate) = channel::<()>();
        let slow = thread::spawn(|| run(move || gate.recv().is_ok()));
        for number in 0..10 {
            assert_eq!(run(move || number).expect("a thread").ok(), Some(number));
        }
        open.send(()).expect("it waits");
        let slow = slow.join().expect("no panic").expect("a thread");
        assert_eq!(slow.ok(), Some(true));
    }
}
