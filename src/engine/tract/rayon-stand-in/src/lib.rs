//! Replaces the crate `rayon` below tract-linalg, which uses a pool and three iterators of it.
//!
//! tract-linalg spreads an operator over threads with a function that is generic over the operator's loop, and
//! tract-core has 585 such loops. rayon's generics make some twenty functions of each: 6 MB of code, a fifth of this
//! plugin. Here one function runs every loop as a `dyn Fn(usize)`.
//!
//! A pool of `n` threads is the caller and `n - 1` others. The caller takes its share, while with rayon it hands the
//! work to the pool and waits. Pieces are given out one at a time, so a thread that is preempted holds back only one
//! piece.
//!
//! Differences from rayon: there is no global pool, so work outside [`ThreadPool::install`] is done by the caller
//! alone. The same holds for a loop inside a loop, and for a second caller while the first one's loop runs.

mod iter;
mod pool;

pub use pool::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder, current_num_threads};

/// The iterators, under rayon's names.
pub mod prelude {
    pub use crate::iter::{IntoParallelIterator, ParallelSliceMut};
}
