//! Worker threads of a session: they share out each step in chunks.
//!
//! A step is done when its chunks are, not when every thread has come by. A thread that the system has put to sleep
//! delays nobody but the chunk it holds, and finds the others done when it wakes. Between runs a worker spins, then
//! yields, then parks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Function that each worker thread calls first, with its number from 1: to set its processor affinity, for example.
pub type OnStart = Arc<dyn Fn(usize) + Send + Sync>;

/// Work of one run: `(thread, step, part, parts)`.
type Work<'a> = &'a (dyn Fn(usize, usize, usize, usize) + Sync);

/// A pointer to it that fits an atomic.
struct Job<'a>(Work<'a>);

/// Chunks of one step, over all runs.
struct Counter {
    /// Number of the run, and chunks of it that somebody has taken.
    taken: AtomicU64,
    /// Chunks done in all runs together.
    done: AtomicU64,
    parts: u64,
}

/// Bits of `taken` that count chunks; the others hold the run.
const PART_BITS: u32 = 20;

struct Shared {
    /// Number of the current or last run, from 1.
    run: AtomicU64,
    job: AtomicPtr<Job<'static>>,
    steps: Vec<Counter>,
    stop: AtomicBool,
    failed: AtomicBool,
}

/// Worker threads for one sequence of steps.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts `threads - 1` workers for steps of the given numbers of chunks; the caller's thread is the first one.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn new(
        threads: usize,
        parts: &[usize],
        on_start: Option<OnStart>,
    ) -> std::io::Result<Self> {
        let counter = |&parts: &usize| Counter {
            taken: AtomicU64::new(0),
            done: AtomicU64::new(0),
            parts: (parts as u64).clamp(1, (1 << PART_BITS) - 1),
        };
        let shared = Arc::new(Shared {
            run: AtomicU64::new(0),
            job: AtomicPtr::new(std::ptr::null_mut()),
            steps: parts.iter().map(counter).collect(),
            stop: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        });
        let mut pool = Pool {
            shared,
            workers: Vec::new(),
        };
        for thread in 1..threads {
            let (shared, on_start) = (pool.shared.clone(), on_start.clone());
            let worker = std::thread::Builder::new()
                .name(format!("convnet-{thread}"))
                .spawn(move || {
                    if let Some(on_start) = on_start {
                        on_start(thread);
                    }
                    shared.serve(thread);
                })?;
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.shared.steps.len()
    }

    /// Calls `work` for every chunk of every step, the steps in order.
    ///
    /// # Panics
    /// If `work` panicked in any thread.
    pub fn run(&mut self, work: Work) {
        let job = Job(work);
        let shared = &*self.shared;
        let pointer = (&raw const job).cast_mut().cast();
        shared.job.store(pointer, Ordering::Relaxed);
        let run = shared.run.load(Ordering::Relaxed) + 1;
        shared.run.store(run, Ordering::Release);
        for worker in &self.workers {
            worker.thread().unpark();
        }
        shared.work(0, run);
        if shared.failed.load(Ordering::Acquire) {
            panic!("a step of the network panicked in a worker thread");
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // a worker catches its panics
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// Body of a worker thread.
    fn serve(&self, thread: usize) {
        let mut seen = 0;
        loop {
            let mut waited = 0u32;
            let run = loop {
                if self.stop.load(Ordering::Acquire) {
                    return;
                }
                let run = self.run.load(Ordering::Acquire);
                if run != seen {
                    break run;
                }
                waited += 1;
                match waited {
                    0..10_000 => std::hint::spin_loop(),
                    10_000..10_100 => std::thread::yield_now(),
                    _ => std::thread::park(),
                }
            };
            seen = run;
            self.work(thread, run);
        }
    }

    /// Takes chunks until the run is over.
    fn work(&self, thread: usize, run: u64) {
        for (i, step) in self.steps.iter().enumerate() {
            while let Some(part) = step.take(run) {
                self.chunk(thread, i, part, step);
            }
            let goal = run * step.parts;
            let mut waited = 0u32;
            while step.done.load(Ordering::Acquire) < goal {
                waited += 1;
                if waited < 5_000 {
                    std::hint::spin_loop();
                } else {
                    std::thread::yield_now();
                }
            }
            if thread > 0 && self.run.load(Ordering::Acquire) != run {
                return;
            }
        }
    }

    fn chunk(&self, thread: usize, i: usize, part: u64, step: &Counter) {
        let job = self.job.load(Ordering::Relaxed);
        // SAFETY: this thread holds a chunk of the current run, so `Pool::run`, which owns the job, cannot return
        // before `done` counts the chunk. Its store to `job` happened before the chunk could be taken.
        let work = unsafe { (*job).0 };
        let (part, parts) = (part as usize, step.parts as usize);
        let result = catch_unwind(AssertUnwindSafe(|| work(thread, i, part, parts)));
        if result.is_err() {
            self.failed.store(true, Ordering::Release);
        }
        step.done.fetch_add(1, Ordering::Release);
    }
}

impl Counter {
    /// Takes a chunk of run `run`, if there is one left and no later run has begun.
    fn take(&self, run: u64) -> Option<u64> {
        let mut taken = self.taken.load(Ordering::Acquire);
        loop {
            let part = match (taken >> PART_BITS).cmp(&run) {
                std::cmp::Ordering::Greater => return None,
                std::cmp::Ordering::Equal => taken & ((1 << PART_BITS) - 1),
                std::cmp::Ordering::Less => 0,
            };
            if part >= self.parts {
                return None;
            }
            let next = (run << PART_BITS) + part + 1;
            match self
                .taken
                .compare_exchange_weak(taken, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Some(part),
                Err(now) => taken = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn every_chunk_runs_once_and_steps_keep_their_order() {
        let parts = [3, 1, 8, 2];
        let mut pool = Pool::new(3, &parts, None).unwrap();
        for _ in 0..200 {
            let calls: Vec<AtomicUsize> = parts.iter().map(|_| AtomicUsize::new(0)).collect();
            pool.run(&|_, step, part, n| {
                assert_eq!(n, parts[step]);
                assert!(part < n);
                if step > 0 {
                    assert_eq!(calls[step - 1].load(Ordering::SeqCst), parts[step - 1]);
                }
                calls[step].fetch_add(1, Ordering::SeqCst);
            });
            let counts: Vec<usize> = calls.iter().map(|c| c.load(Ordering::SeqCst)).collect();
            assert_eq!(counts, parts);
        }
    }

    #[test]
    fn workers_start_with_their_number() {
        let sum = Arc::new(AtomicUsize::new(0));
        let seen = sum.clone();
        let on_start: OnStart = Arc::new(move |thread| {
            seen.fetch_add(thread, Ordering::SeqCst);
        });
        drop(Pool::new(3, &[1], Some(on_start)).unwrap());
        assert_eq!(sum.load(Ordering::SeqCst), 3);
    }

    #[test]
    #[should_panic(expected = "panicked in a worker thread")]
    fn a_panic_reaches_the_caller() {
        let mut pool = Pool::new(2, &[4], None).unwrap();
        pool.run(&|_, _, part, _| assert!(part != 2));
    }
}
