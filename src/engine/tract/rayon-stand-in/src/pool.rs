//! [`ThreadPool`]: threads that share one loop at a time.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time that a thread spins before it sleeps: longer than most gaps between two loops of an inference, and short beside
/// the inference. Waking a thread costs the waker 20 µs and more.
const LOOKS_FOR: Duration = Duration::from_micros(200);

/// Spins until `come`, but not long. Yields to other programs that want the processor.
fn look(come: impl Fn() -> bool) {
    let began = Instant::now();
    while !come() && began.elapsed() < LOOKS_FOR {
        std::thread::yield_now();
    }
}

type Body<'a> = dyn Fn(usize) + Sync + 'a;

thread_local! {
    /// The pool whose `install` this thread is in.
    static CURRENT: RefCell<Option<Arc<Shared>>> = const { RefCell::new(None) };
}

/// Returns how many threads share a loop of this thread.
#[inline(never)]
pub fn current_num_threads() -> usize {
    CURRENT.with_borrow(|pool| pool.as_ref().map_or(1, |pool| pool.threads))
}

/// Calls `body` once for each number below `count`, on the threads of the current pool.
pub(crate) fn for_each(count: usize, body: &Body) {
    let pool = CURRENT.with_borrow(Clone::clone);
    let alone = || (0..count).for_each(body);
    match pool.filter(|pool| count > 1 && pool.threads > 1) {
        Some(pool) => match pool.turn.try_lock() {
            Ok(_turn) => pool.share(count, body),
            Err(TryLockError::Poisoned(turn)) => {
                let _turn = turn.into_inner();
                pool.share(count, body);
            }
            Err(TryLockError::WouldBlock) => alone(),
        },
        None => alone(),
    }
}

/// A loop, as the threads see it.
#[derive(Clone, Copy)]
struct Loop {
    body: &'static Body<'static>,
    count: usize,
}

/// State behind the lock of a pool.
#[derive(Default)]
struct State {
    /// The loop that threads may still join.
    open: Option<Loop>,
    /// Threads that sleep until something changes.
    asleep: usize,
    /// Whether the caller sleeps until no thread is inside.
    awaited: bool,
    panic: Option<Box<dyn Any + Send>>,
    ends: bool,
}

struct Shared {
    threads: usize,
    /// Held by the caller whose loop runs.
    turn: Mutex<()>,
    state: Mutex<State>,
    /// Incremented with each loop and at the end, so that threads notice without the lock.
    news: AtomicUsize,
    /// Threads in the loop, without its caller. Changed only under the lock, so that a holder knows none can join.
    inside: AtomicUsize,
    /// Next number of the loop.
    next: AtomicUsize,
    /// Signalled on a change of `news`.
    wake: Condvar,
    /// Signalled when no thread is inside any more.
    empty: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a loop with all threads. The caller holds its turn.
    fn share(&self, count: usize, body: &Body) {
        // SAFETY: this function neither returns nor unwinds before every thread has left the loop, and then none can
        // join it. So nobody calls the body after its lifetime.
        let body: &'static Body<'static> = unsafe { std::mem::transmute(body) };
        let open = Loop { body, count };
        let asleep = {
            let mut state = self.state();
            self.next.store(0, Ordering::Relaxed);
            state.open = Some(open);
            self.news.fetch_add(1, Ordering::Release);
            state.asleep
        };
        if asleep > 0 {
            self.wake.notify_all();
        }
        let own = catch_unwind(AssertUnwindSafe(|| self.work(open)));
        self.state().open = None;
        let is_empty = || self.inside.load(Ordering::Acquire) == 0;
        look(is_empty);
        let mut state = self.state();
        while !is_empty() {
            state.awaited = true;
            state = self
                .empty
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.awaited = false;
        let panic = state.panic.take();
        drop(state);
        if let Some(panic) = own.err().or(panic) {
            resume_unwind(panic);
        }
    }

    /// Takes numbers until there are none.
    fn work(&self, open: Loop) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= open.count {
                return;
            }
            (open.body)(number);
        }
    }

    /// Runs a thread of the pool.
    fn run(&self) {
        let mut seen = 0;
        loop {
            look(|| self.news.load(Ordering::Acquire) != seen);
            let mut state = self.state();
            while self.news.load(Ordering::Relaxed) == seen {
                state.asleep += 1;
                state = self
                    .wake
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                state.asleep -= 1;
            }
            seen = self.news.load(Ordering::Relaxed);
            if state.ends {
                return;
            }
            let Some(open) = state.open else {
                continue; // it was over before this thread came
            };
            self.inside.fetch_add(1, Ordering::Relaxed);
            drop(state);
            let result = catch_unwind(AssertUnwindSafe(|| self.work(open)));
            let mut state = self.state();
            if let Err(panic) = result {
                state.panic.get_or_insert(panic);
            }
            let last = self.inside.fetch_sub(1, Ordering::Release) == 1;
            let wake = last && state.awaited;
            drop(state);
            if wake {
                self.empty.notify_one();
            }
        }
    }
}

/// Threads that share the loops of callers in [`Self::install`]. Dropping it waits for its threads to end.
pub struct ThreadPool {
    shared: Arc<Shared>,
    others: Vec<JoinHandle<()>>,
}

impl ThreadPool {
    /// Returns the number of threads, including the caller.
    pub fn current_num_threads(&self) -> usize {
        self.shared.threads
    }

    /// Runs `work` in this thread, and shares its loops with the pool.
    pub fn install<R>(&self, work: impl FnOnce() -> R) -> R {
        let _inside = self.enter();
        work()
    }

    /// Separate from `install`, which is instantiated for each kind of work.
    #[inline(never)]
    fn enter(&self) -> Inside {
        Inside {
            before: CURRENT.replace(Some(self.shared.clone())),
        }
    }
}

/// Restores the previous pool, also after a panic.
struct Inside {
    before: Option<Arc<Shared>>,
}

impl Drop for Inside {
    #[inline(never)]
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.ends = true;
            self.shared.news.fetch_add(1, Ordering::Release);
        }
        self.shared.wake.notify_all();
        for thread in self.others.drain(..) {
            // Panics were those of a loop and have been handed on.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool")
            .field("threads", &self.shared.threads)
            .finish_non_exhaustive()
    }
}

/// Builds a pool with the two settings of rayon that are used.
#[derive(Default)]
pub struct ThreadPoolBuilder {
    threads: usize,
    name: Option<Box<dyn FnMut(usize) -> String>>,
}

impl ThreadPoolBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of threads, including the caller; 0 = as many as the process may use at the same time.
    pub fn num_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Sets the names of the threads, by their numbers from 0.
    pub fn thread_name(mut self, name: impl FnMut(usize) -> String + 'static) -> Self {
        self.name = Some(Box::new(name));
        self
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// [`ThreadPoolBuildError`] if the system cannot start a thread.
    pub fn build(mut self) -> Result<ThreadPool, ThreadPoolBuildError> {
        let threads = match self.threads {
            0 => std::thread::available_parallelism().map_or(1, Into::into),
            threads => threads,
        };
        let mut pool = ThreadPool {
            shared: Arc::new(Shared {
                threads,
                turn: Mutex::default(),
                state: Mutex::default(),
                news: AtomicUsize::new(0),
                inside: AtomicUsize::new(0),
                next: AtomicUsize::new(0),
                wake: Condvar::new(),
                empty: Condvar::new(),
            }),
            others: Vec::with_capacity(threads - 1),
        };
        for number in 0..threads - 1 {
            let mut builder = std::thread::Builder::new();
            if let Some(name) = &mut self.name {
                builder = builder.name(name(number));
            }
            let shared = pool.shared.clone();
            let thread = builder.spawn(move || shared.run());
            pool.others.push(thread.map_err(ThreadPoolBuildError)?);
        }
        Ok(pool)
    }
}

/// The system could not start a thread.
#[derive(Debug)]
pub struct ThreadPoolBuildError(std::io::Error);

impl fmt::Display for ThreadPoolBuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a thread cannot be started: {}", self.0)
    }
}

impl std::error::Error for ThreadPoolBuildError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Barrier;
    use std::thread::ThreadId;

    fn pool(threads: usize) -> ThreadPool {
        let builder = ThreadPoolBuilder::new().num_threads(threads);
        let name = |number| format!("loop-{number}");
        builder
            .thread_name(name)
            .build()
            .expect("threads can be had")
    }

    #[test]
    fn a_pool_is_its_caller_and_the_others() {
        let pool = pool(3);
        assert_eq!(pool.current_num_threads(), 3);
        assert_eq!(current_num_threads(), 1, "this thread is in no pool");
        let (met, names) = (Barrier::new(3), Mutex::new(HashSet::new()));
        pool.install(|| {
            assert_eq!(current_num_threads(), 3);
            // Each waits for the two others, so no thread can take two of the three.
            for_each(3, &|_| {
                let thread = std::thread::current();
                names
                    .lock()
                    .unwrap()
                    .insert((thread.id(), thread.name().map(str::to_owned)));
                met.wait();
            });
        });
        let names = names.into_inner().unwrap();
        let own = std::thread::current().id();
        let others: HashSet<_> = (names.iter().filter(|(id, _)| *id != own))
            .filter_map(|(_, name)| name.as_deref())
            .collect();
        assert_eq!(names.len(), 3);
        assert_eq!(others, HashSet::from(["loop-0", "loop-1"]));
    }

    #[test]
    fn without_a_pool_the_caller_does_all() {
        let own = std::thread::current().id();
        for_each(100, &|_| assert_eq!(std::thread::current().id(), own));
        pool(1).install(|| for_each(100, &|_| assert_eq!(std::thread::current().id(), own)));
    }

    #[test]
    fn loops_follow_each_other() {
        let (pool, sum) = (pool(4), AtomicUsize::new(0));
        pool.install(|| {
            for _ in 0..20_000 {
                for_each(7, &|number| {
                    sum.fetch_add(number, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(sum.into_inner(), 20_000 * 21);
    }

    #[test]
    fn a_loop_in_a_loop_is_its_callers_own() {
        let (pool, sum) = (pool(2), AtomicUsize::new(0));
        pool.install(|| {
            for_each(10, &|_| {
                let own: ThreadId = std::thread::current().id();
                for_each(10, &|number| {
                    assert_eq!(std::thread::current().id(), own);
                    sum.fetch_add(number, Ordering::Relaxed);
                });
            });
        });
        assert_eq!(sum.into_inner(), 450);
    }

    #[test]
    fn two_callers_of_one_pool_both_end() {
        let (pool, sum) = (pool(2), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    pool.install(|| {
                        for _ in 0..2000 {
                            for_each(5, &|number| {
                                sum.fetch_add(number, Ordering::Relaxed);
                            });
                        }
                    });
                });
            }
        });
        assert_eq!(sum.into_inner(), 2 * 2000 * 10);
    }

    #[test]
    fn a_panic_is_the_callers_and_the_pool_stays() {
        let pool = pool(3);
        for _ in 0..20 {
            let looped =
                || pool.install(|| for_each(50, &|number| assert_ne!(number, 20, "twenty")));
            let panic = catch_unwind(AssertUnwindSafe(looped)).expect_err("it panics");
            let text = panic.downcast::<String>().expect("with words");
            assert!(text.contains("twenty"));
            assert_eq!(current_num_threads(), 1, "the pool of before is back");
            let sum = AtomicUsize::new(0);
            pool.install(|| {
                for_each(50, &|number| {
                    sum.fetch_add(number, Ordering::Relaxed);
                });
            });
            assert_eq!(sum.into_inner(), 1225);
        }
    }
}
