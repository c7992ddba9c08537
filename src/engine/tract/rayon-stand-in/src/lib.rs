//! Stands in for the crate `rayon` below tract-linalg, of which that calls a pool and three iterators.
//!
//! tract-linalg spreads an operator over threads by a function that is generic over the operator's loop, and tract-core
//! has 585 such loops. Of each rayon's own generics make some twenty functions of code, 6 MB in all, a fifth of this
//! plugin. Here every loop is run by one function that knows it as a `dyn Fn(usize)`.
//!
//! A pool of `n` threads is the caller and `n - 1` others: the caller takes its share instead of handing the work to a
//! thread of the pool and waiting, as rayon does. Pieces are given out one at a time, so a thread that the system keeps
//! from working holds back one piece and no more.
//!
//! What differs from rayon: there is no global pool, so work outside of [`ThreadPool::install`] is done by the caller; and
//! a loop inside of a loop, or one of a second caller while the first one's runs, is done by its caller alone.

mod iter;
mod pool;

pub use pool::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder, current_num_threads};

/// The iterators, as rayon names them.
pub mod prelude {
    pub use crate::iter::{IntoParallelIterator, ParallelSliceMut};
}
