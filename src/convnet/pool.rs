//! Worker threads of a session: they share out each step in chunks.
//!
//! Each thread has its chunks, the same ones of every step, so that it finds in its cache what it wrote; it takes those of
//! others when its own are done. A step is done when its chunks are, not when every thread has come by. A thread that the
//! system has put to sleep delays nobody but the chunk it holds, and finds the others done when it wakes. Between runs a
//! worker spins, then yields, then parks.
//!
//! A processor that another program keeps busy takes a thread away for milliseconds, and its chunk with it. [`Active`]
//! notices that and works with one thread less for a while.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Function that each worker thread calls first, with its number from 1: to set its processor affinity, for example.
pub type OnStart = Arc<dyn Fn(usize) + Send + Sync>;

/// Work of one run: `(thread, step, part, parts)`.
type Work<'a> = &'a (dyn Fn(usize, usize, usize, usize) + Sync);

/// A pointer to it that fits an atomic.
struct Job<'a>(Work<'a>);

/// Chunks of one step, over all runs.
struct Counter {
    /// Number of the run, and above it a bit for each chunk that somebody has taken.
    taken: AtomicU64,
    /// Chunks done in all runs together.
    done: AtomicU64,
    parts: u32,
}

/// Most chunks of a step: bits of `taken` beside the number of the run.
const MAX_PARTS: u32 = 32;

struct Shared {
    /// Number of the current or last run, from 1.
    run: AtomicU64,
    job: AtomicPtr<Job<'static>>,
    steps: Vec<Counter>,
    /// Threads that take part in the current run.
    active: AtomicUsize,
    /// Waits of the current run that only a lost processor explains.
    stalls: AtomicUsize,
    stop: AtomicBool,
    failed: AtomicBool,
}

/// Worker threads for one sequence of steps.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    active: Active,
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
            parts: parts.clamp(1, MAX_PARTS as usize) as u32,
        };
        let shared = Arc::new(Shared {
            run: AtomicU64::new(0),
            job: AtomicPtr::new(std::ptr::null_mut()),
            steps: parts.iter().map(counter).collect(),
            active: AtomicUsize::new(threads),
            stalls: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        });
        let mut pool = Pool {
            shared,
            workers: Vec::new(),
            active: Active::new(threads),
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
        let active = self.active.threads();
        shared.active.store(active, Ordering::Relaxed);
        shared.stalls.store(0, Ordering::Relaxed);
        let run = shared.run.load(Ordering::Relaxed) + 1;
        shared.run.store(run, Ordering::Release);
        for worker in &self.workers[..active - 1] {
            worker.thread().unpark();
        }
        shared.work(0, active, run);
        let stalled = shared.stalls.load(Ordering::Relaxed) > 0;
        self.active.record(stalled);
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
            let active = self.active.load(Ordering::Relaxed);
            if thread < active {
                self.work(thread, active, run);
            }
        }
    }

    /// Takes chunks until the run is over.
    fn work(&self, thread: usize, active: usize, run: u64) {
        for (i, step) in self.steps.iter().enumerate() {
            let began = Instant::now();
            while let Some(part) = step.take(run, thread, active) {
                self.chunk(thread, i, part, step);
            }
            if step.wait(run, began) {
                self.stalls.fetch_add(1, Ordering::Relaxed);
            }
            if thread > 0 && self.run.load(Ordering::Acquire) != run {
                return;
            }
        }
    }

    fn chunk(&self, thread: usize, i: usize, part: u32, step: &Counter) {
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
    /// Takes a chunk of run `run`, if there is one left and no later run has begun: one of this thread's first.
    fn take(&self, run: u64, thread: usize, threads: usize) -> Option<u32> {
        let all = u32::MAX >> (MAX_PARTS - self.parts);
        let own = own_chunks(self.parts, thread, threads);
        let mut word = self.taken.load(Ordering::Acquire);
        loop {
            // runs are so far apart only if this thread has slept through two thousand million of them
            let taken = match (run as u32).wrapping_sub(word as u32) as i32 {
                ..0 => return None,
                0 => (word >> 32) as u32,
                1.. => 0,
            };
            let free = all & !taken;
            if free == 0 {
                return None;
            }
            // others begin with their first one
            let part = match free & own {
                0 => free.ilog2(),
                mine => mine.trailing_zeros(),
            };
            let next = u64::from(taken | 1 << part) << 32 | u64::from(run as u32);
            match self
                .taken
                .compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Some(part),
                Err(now) => word = now,
            }
        }
    }

    /// Waits until all chunks of run `run` are done. Returns whether that took so much longer than this thread's share of
    /// the step, begun at `began`, that another one must have lost its processor.
    fn wait(&self, run: u64, began: Instant) -> bool {
        let goal = run * u64::from(self.parts);
        let done = || self.done.load(Ordering::Acquire) >= goal;
        for _ in 0..SPINS {
            if done() {
                return false;
            }
            std::hint::spin_loop();
        }
        let worked = began.elapsed();
        while !done() {
            std::thread::yield_now();
        }
        began.elapsed() > worked * STALL_FACTOR + STALL
    }
}

/// Rounds of waiting before a thread offers its processor to others: some tens of microseconds.
const SPINS: u32 = 1_500;
/// A wait is a stall if it is longer than this, and than the work before it.
const STALL: Duration = Duration::from_micros(200);
const STALL_FACTOR: u32 = 2;

/// How many threads take part.
///
/// Runs with stalls, often in a row, take one away; after some runs it is tried again. Each failed trial doubles the time
/// until the next.
struct Active {
    threads: usize,
    most: usize,
    /// Rises with a run with stalls, and falls with one without.
    stalls: u32,
    /// Runs until a thread is added again, and how many that were the last time.
    pause: u32,
    last_pause: u32,
}

const STALLS_BEARABLE: u32 = 9;
/// Adds to the count for a run with stalls; so many runs without make up for it.
const STALL_WEIGHT: u32 = 3;
const SHORTEST_PAUSE: u32 = 16;
const LONGEST_PAUSE: u32 = 512;

impl Active {
    fn new(most: usize) -> Self {
        Active {
            threads: most,
            most,
            stalls: 0,
            pause: 0,
            last_pause: SHORTEST_PAUSE / 2,
        }
    }

    fn threads(&self) -> usize {
        self.threads
    }

    /// Notes whether a run had stalls.
    fn record(&mut self, stalled: bool) {
        if stalled {
            self.stalls += STALL_WEIGHT;
        } else if self.stalls > 0 {
            self.stalls -= 1;
        }
        if self.stalls > STALLS_BEARABLE && self.threads > 1 {
            self.threads -= 1;
            self.stalls = 0;
            self.last_pause = (self.last_pause * 2).min(LONGEST_PAUSE);
            self.pause = self.last_pause;
        } else if self.threads < self.most {
            self.pause = self.pause.saturating_sub(1);
            if self.pause == 0 {
                self.threads += 1;
                // a trial ends at the second stall
                self.stalls = STALL_WEIGHT;
                self.pause = self.last_pause;
            }
        } else if self.stalls == 0 {
            self.last_pause = SHORTEST_PAUSE / 2;
        }
    }
}

/// Bits of the chunks that are those of thread `thread` of `threads`.
fn own_chunks(parts: u32, thread: usize, threads: usize) -> u32 {
    let first = |thread: usize| (parts as usize * thread / threads) as u32;
    let below = |n: u32| ((1u64 << n) - 1) as u32;
    below(first(thread + 1)) & !below(first(thread))
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
    fn each_chunk_belongs_to_one_thread() {
        for (parts, threads) in (1..=MAX_PARTS).flat_map(|p| (1..=40).map(move |t| (p, t))) {
            let own = (0..threads).map(|thread| own_chunks(parts, thread, threads));
            let all = own.fold(0, |all, own| {
                assert_eq!(all & own, 0, "{parts} chunks, {threads} threads");
                all | own
            });
            assert_eq!(all, u32::MAX >> (MAX_PARTS - parts));
        }
    }

    #[test]
    fn a_chunk_of_an_old_or_a_wrapped_run_is_not_taken() {
        let last = u64::from(u32::MAX);
        let counter = Counter {
            taken: AtomicU64::new(last - 2),
            done: AtomicU64::new(0),
            parts: 2,
        };
        assert_eq!(counter.take(last - 1, 0, 2), Some(0));
        assert_eq!(counter.take(last + 1, 1, 2), Some(1), "a new run begins");
        assert_eq!(counter.take(last, 0, 2), None, "an old run is over");
        assert_eq!(counter.take(last + 1, 1, 2), Some(0), "another thread's");
        assert_eq!(counter.take(last + 1, 1, 2), None);
    }

    fn record(active: &mut Active, stalled: bool, runs: u32) {
        (0..runs).for_each(|_| active.record(stalled));
    }

    #[test]
    fn stalls_in_a_row_take_a_thread_away_until_a_trial_without() {
        let mut active = Active::new(2);
        record(&mut active, true, STALLS_BEARABLE / STALL_WEIGHT + 1);
        assert_eq!(active.threads(), 1);
        record(&mut active, false, SHORTEST_PAUSE);
        assert_eq!(active.threads(), 2);
        record(&mut active, false, 1_000);
        assert_eq!(active.threads(), 2);
    }

    #[test]
    fn a_stall_now_and_then_takes_nothing_away() {
        let mut active = Active::new(4);
        for _ in 0..100 {
            record(&mut active, true, 2);
            record(&mut active, false, 2 * STALL_WEIGHT);
            assert_eq!(active.threads(), 4);
        }
    }

    #[test]
    fn trials_that_fail_become_rare() {
        let mut active = Active::new(2);
        // beside a busy loop: each run of two threads has stalls
        let runs = (0..10_000).filter(|_| {
            let two = active.threads() == 2;
            active.record(two);
            two
        });
        assert!(runs.count() < 150);
    }

    #[test]
    fn fewer_threads_do_all_chunks() {
        let mut pool = Pool::new(3, &[6, 1, 4], None).unwrap();
        for threads in [1, 2, 3, 1] {
            pool.active.threads = threads;
            let done = AtomicUsize::new(0);
            pool.run(&|thread, _, _, _| {
                assert!(thread < threads);
                done.fetch_add(1, Ordering::SeqCst);
            });
            assert_eq!(done.into_inner(), 11);
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
