//! Threads in which models are loaded: [`First`], that goes on as a worker, and the one of [`run`], kept for the next
//! model.
//!
//! The C library gives every thread a heap, a new one or that of a thread which has ended, and much of what a loading
//! needs for a moment stays with the heap. A worker that has loaded its model finds there what its inferences need: with
//! yolox_nano_416 the process is 16 to 20 MiB smaller than with two heaps. Were each further model loaded in a new thread,
//! a process that changes its model now and then would soon have many such heaps; a thread that is kept uses its own
//! again.

use parking_lot::Mutex;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

/// A thread of one element that loads its first model, and then does something else.
pub(super) struct First {
    jobs: Sender<Box<dyn FnOnce() + Send>>,
    thread: JoinHandle<()>,
}

impl First {
    /// # Errors
    /// That of starting a thread.
    pub fn start(name: &str) -> io::Result<Self> {
        let (jobs, given) = channel::<Box<dyn FnOnce() + Send>>();
        let thread = thread::Builder::new().name(name.into());
        Ok(Self {
            thread: thread.spawn(move || given.iter().for_each(|job| job()))?,
            jobs,
        })
    }

    /// Does `work` there and waits for it.
    ///
    /// # Errors
    /// Inside, what a panic of `work` carried.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<thread::Result<T>> {
        let (tell, told) = channel();
        self.give(move || drop(tell.send(catch_unwind(AssertUnwindSafe(work)))))?;
        told.recv().map_err(|_| gone())
    }

    /// Has the thread do this, and end.
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

fn gone() -> io::Error {
    io::Error::other("the thread that loads models has ended")
}

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
    fn the_first_thread_goes_on_after_a_panic_and_ends_with_the_last() {
        let first = First::start("test").expect("a thread");
        let panic: thread::Result<()> = first.run(|| panic!("not today")).expect("it runs");
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"not today"));
        let id = || thread::current().id();
        let its_own = first.run(id).expect("it runs").expect("no panic");
        assert_ne!(its_own, id());
        let (tell, told) = channel();
        let last = first.end_with(move || tell.send(id()).unwrap_or_default());
        last.expect("it runs").join().expect("no panic");
        assert_eq!(told.recv(), Ok(its_own));
    }

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
