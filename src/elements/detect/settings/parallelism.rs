//! [`Parallelism`]: how inference shares the processors.

/// Frames analysed at the same time, and threads for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parallelism {
    pub workers: usize,
    /// Threads of one inference; 0 leaves the choice to the engine.
    pub threads: usize,
}

impl Parallelism {
    /// Applies the properties `workers` and `threads`, where 0 asks for a good choice, to so many processors.
    ///
    /// A single worker leaves the choice of threads to the engine. Several workers share the processors, since another
    /// thread for one of them would be one less for another. As many workers as processors give the most frames a second,
    /// because a second thread of one inference brings less than a second inference does.
    pub fn new(workers: u32, threads: u32, processors: usize) -> Self {
        /// All cores of a Raspberry Pi; each worker needs memory for its activations.
        const MOST_GOOD: usize = 4;
        let (workers, threads) = (workers as usize, threads as usize);
        let workers = match workers {
            0 => (processors / threads.max(1)).clamp(1, MOST_GOOD),
            n => n,
        };
        let threads = match (workers, threads) {
            (2.., 0) => (processors / workers).max(1),
            (_, n) => n,
        };
        Self { workers, threads }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_the_processors() {
        let shared = |workers, threads, processors| {
            let shared = Parallelism::new(workers, threads, processors);
            (shared.workers, shared.threads)
        };
        assert_eq!(shared(1, 0, 4), (1, 0), "the engine chooses");
        assert_eq!(shared(1, 3, 4), (1, 3));
        assert_eq!(shared(2, 0, 4), (2, 2));
        assert_eq!(shared(3, 0, 4), (3, 1));
        assert_eq!(shared(0, 0, 2), (2, 1));
        assert_eq!(shared(0, 2, 4), (2, 2));
        assert_eq!(shared(0, 0, 64), (4, 16));
        assert_eq!(shared(8, 0, 2), (8, 1));
    }
}
