//! Threads in which models are loaded: [`FirstWorker`] loads the first model and goes on as a worker; the thread of
//! [`start`] loads any further model or input size, and is kept for the next one. Nobody waits for a load longer than its
//! limit, see [`watch`].
//!
//! The C library gives every thread a heap, a new one or that of a thread which has ended, and much of the memory that
//! loading needs for a moment stays with the heap. A worker that has loaded its model uses that memory again for its
//! inferences. If each further model were loaded in a new thread, a process that changes its model now and then would soon
//! have many such heaps; a thread that is kept uses its own again.

use super::watch::{NotLoaded, Watch, gone};
use parking_lot::Mutex;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Name of the threads that infer.
const WORKER: &str = "detect-worker";

/// A thread that loads the first model of an element and goes on as a worker.
pub(super) struct FirstWorker {
    jobs: Sender<Box<dyn FnOnce() + Send>>,
    thread: JoinHandle<()>,
}

impl FirstWorker {
    /// # Errors
    /// If the thread cannot be started.
    pub fn start() -> io::Result<Self> {
        let (jobs, given) = channel::<Box<dyn FnOnce() + Send>>();
        let thread = thread::Builder::new().name(WORKER.into());
        Ok(Self {
            thread: thread.spawn(move || given.iter().for_each(|job| job()))?,
            jobs,
        })
    }

    /// Does `work` in the thread and waits for it, for as long as `limit`. After [`NotLoaded::Late`] drop this; the thread
    /// ends when its work does.
    ///
    /// # Errors
    /// [`NotLoaded`]. The inner error is the payload of a panic.
    pub fn run<T: Send + 'static>(
        &self,
        limit: Option<Duration>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<thread::Result<T>, NotLoaded> {
        let (sender, result) = channel();
        let (watch, under_way) = Watch::begin(limit)?;
        let given = self.give(move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            if under_way.end() {
                drop(sender.send(result));
            }
        });
        given.map_err(NotLoaded::Thread)?;
        watch.wait(&result)
    }

    /// Has the thread do `last`, and end.
    ///
    /// # Errors
    /// If it has ended already.
    pub fn end_with(self, last: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
        self.give(last)?;
        Ok(self.thread)
    }

    fn give(&self, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.jobs.send(Box::new(job)).map_err(|_| gone())
    }
}

/// Does the work, and returns how its result is handed over.
type Job = Box<dyn FnOnce() -> HandOver + Send>;
type HandOver = Box<dyn FnOnce() + Send>;

/// The thread that has nothing to do.
static IDLE: Mutex<Option<Sender<Job>>> = Mutex::new(None);

/// Does `work` in another thread, which then calls `done` with the result, unless the load was left by then. Several may be
/// at work at the same time; one of them is kept.
///
/// # Errors
/// [`NotLoaded::Thread`], `TooMany`. The error of a result is the payload of a panic.
pub(super) fn start<T: Send + 'static>(
    limit: Option<Duration>,
    work: impl FnOnce() -> T + Send + 'static,
    done: impl FnOnce(thread::Result<T>) + Send + 'static,
) -> Result<Watch, NotLoaded> {
    let (watch, under_way) = Watch::begin(limit)?;
    let job = Box::new(move || {
        let result = catch_unwind(AssertUnwindSafe(work));
        let awaited = under_way.end();
        Box::new(move || {
            if awaited {
                done(result);
            }
        }) as HandOver
    });
    let idle = IDLE.lock().take();
    let thread = match idle {
        Some(thread) => thread,
        None => start_thread().map_err(NotLoaded::Thread)?,
    };
    let sent = thread.send(job).map_err(|_| gone());
    sent.map_err(NotLoaded::Thread)?;
    Ok(watch)
}

/// Does `work` as [`start`] does, and waits for it, for as long as `limit`.
///
/// # Errors
/// [`NotLoaded`]. The inner error is the payload of a panic.
pub(super) fn run<T: Send + 'static>(
    limit: Option<Duration>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<thread::Result<T>, NotLoaded> {
    let (sender, result) = channel();
    // Nobody waits any more if the caller has panicked.
    let watch = start(limit, work, move |done| drop(sender.send(done)))?;
    watch.wait(&result)
}

fn start_thread() -> io::Result<Sender<Job>> {
    let (thread, jobs) = channel();
    let own = thread.clone();
    thread::Builder::new()
        .name("detect-load".into())
        .spawn(move || work(own, &jobs))?;
    Ok(thread)
}

/// Works until another thread is idle already.
fn work(own: Sender<Job>, jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        let hand_over = job();
        // Idle before the caller goes on: what it loads next is loaded here.
        let spare = {
            let mut idle = IDLE.lock();
            let spare = idle.is_some();
            idle.get_or_insert_with(|| own.clone());
            spare
        };
        // A panic there is not to end the thread that others have been told of.
        let _ = catch_unwind(AssertUnwindSafe(hand_over));
        if spare {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_thread_goes_on_after_a_panic_and_ends_with_the_last() {
        let first = FirstWorker::start().expect("a thread");
        let panic: thread::Result<()> = first.run(None, || panic!("not today")).expect("it runs");
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"not today"));
        let id = || thread::current().id();
        let its_own = first.run(None, id).expect("it runs").expect("no panic");
        assert_ne!(its_own, id());
        let (sender, last_id) = channel();
        let last = first.end_with(move || sender.send(id()).unwrap_or_default());
        last.expect("it runs").join().expect("no panic");
        assert_eq!(last_id.recv(), Ok(its_own));
    }

    #[test]
    fn a_panic_comes_back_and_the_thread_goes_on() {
        let panic = run(None, || panic!("not today")).expect("a thread");
        let payload: Result<(), _> = panic;
        assert_eq!(payload.unwrap_err().downcast_ref(), Some(&"not today"));
        assert_eq!(run(None, || 7).expect("a thread").ok(), Some(7));
    }

    #[test]
    fn work_waits_for_no_other_work() {
        let (open, gate) = channel::<()>();
        let slow = thread::spawn(|| run(None, move || gate.recv().is_ok()));
        for number in 0..10 {
            assert_eq!(
                run(None, move || number).expect("a thread").ok(),
                Some(number)
            );
        }
        open.send(()).expect("it waits");
        let slow = slow.join().expect("no panic").expect("a thread");
        assert_eq!(slow.ok(), Some(true));
    }
}
