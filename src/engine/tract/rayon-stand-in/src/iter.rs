//! Three iterators: over numbers, over pieces of a slice, and over pieces with their numbers.

use crate::pool;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Iterates over numbers.
pub trait IntoParallelIterator {
    fn into_par_iter(self) -> Numbers;
}

impl IntoParallelIterator for Range<usize> {
    fn into_par_iter(self) -> Numbers {
        Numbers(self)
    }
}

/// A range of numbers, see [`IntoParallelIterator`].
pub struct Numbers(Range<usize>);

impl Numbers {
    /// Calls `body` for each number, in any order, until a call fails.
    ///
    /// # Errors
    /// The first error. Some numbers may then not have been called.
    pub fn try_for_each<E: Send>(
        self,
        body: impl Fn(usize) -> Result<(), E> + Sync,
    ) -> Result<(), E> {
        let first = self.0.start;
        try_each(self.0.len(), |piece| body(first + piece))
    }
}

/// Iterates over pieces of a slice.
pub trait ParallelSliceMut<T: Send> {
    /// Splits the slice into pieces of `size` elements; the last may be shorter.
    ///
    /// # Panics
    /// `size` is 0.
    fn par_chunks_mut(&mut self, size: usize) -> ChunksMut<'_, T>;
}

impl<T: Send> ParallelSliceMut<T> for [T] {
    fn par_chunks_mut(&mut self, size: usize) -> ChunksMut<'_, T> {
        assert!(size > 0, "pieces of no elements, expected at least one");
        ChunksMut { slice: self, size }
    }
}

/// Pieces of a slice, see [`ParallelSliceMut`].
pub struct ChunksMut<'a, T> {
    slice: &'a mut [T],
    size: usize,
}

impl<'a, T: Send> ChunksMut<'a, T> {
    pub fn enumerate(self) -> NumberedChunksMut<'a, T> {
        NumberedChunksMut(self)
    }
}

/// Pieces with their numbers.
pub struct NumberedChunksMut<'a, T>(ChunksMut<'a, T>);

impl<T: Send> NumberedChunksMut<'_, T> {
    /// Calls `body` for each number and its piece, like [`Numbers::try_for_each`].
    ///
    /// # Errors
    /// The first error.
    #[inline(never)] // tract-linalg calls it twice for each of its loops
    pub fn try_for_each<E: Send>(
        self,
        body: impl Fn((usize, &mut [T])) -> Result<(), E> + Sync,
    ) -> Result<(), E> {
        let pieces = Pieces::new(self.0.slice, self.0.size);
        try_each(pieces.count(), |number| {
            // SAFETY: try_each calls once for each number, so no piece is lent twice.
            body((number, unsafe { pieces.lend(number) }))
        })
    }
}

/// A slice in pieces that several threads write at the same time.
struct Pieces<'a, T> {
    start: *mut T,
    length: usize,
    size: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: the type only hands out pieces, each to one thread, and elements may be sent.
unsafe impl<T: Send> Sync for Pieces<'_, T> {}

impl<'a, T> Pieces<'a, T> {
    fn new(slice: &'a mut [T], size: usize) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            length: slice.len(),
            size,
            slice: PhantomData,
        }
    }

    fn count(&self) -> usize {
        self.length.div_ceil(self.size)
    }

    /// # Safety
    /// `number` is below the count, and its piece is not lent already.
    #[allow(clippy::mut_from_ref)] // pieces do not overlap
    unsafe fn lend(&self, number: usize) -> &mut [T] {
        let begin = number * self.size;
        let length = self.size.min(self.length - begin);
        // SAFETY: the piece is inside the slice, and nobody else has it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(begin), length) }
    }
}

/// Calls `body` once for each number below `count`, until a call fails.
fn try_each<E: Send>(count: usize, body: impl Fn(usize) -> Result<(), E> + Sync) -> Result<(), E> {
    try_each_dyn(count, &body)
}

/// The part that all bodies with one type of error share.
fn try_each_dyn<E: Send>(
    count: usize,
    body: &(dyn Fn(usize) -> Result<(), E> + Sync),
) -> Result<(), E> {
    let (failed, first) = (AtomicBool::new(false), Mutex::new(None));
    pool::for_each(count, &|number| {
        if failed.load(Ordering::Relaxed) {
            return;
        }
        if let Err(err) = body(number) {
            failed.store(true, Ordering::Relaxed);
            lock(&first).get_or_insert(err);
        }
    });
    let first = lock(&first).take();
    first.map_or(Ok(()), Err)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ThreadPoolBuilder;
    use std::sync::atomic::AtomicUsize;

    fn pool(threads: usize) -> crate::ThreadPool {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("threads can be had")
    }

    #[test]
    fn each_number_has_one_call() {
        for threads in 1..=4 {
            let pool = pool(threads);
            for count in [0, 1, 2, 3, 1000] {
                let calls: Vec<_> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                let body = |number: usize| {
                    calls[number - 5].fetch_add(1, Ordering::Relaxed);
                    Ok::<(), ()>(())
                };
                pool.install(|| (5..5 + count).into_par_iter().try_for_each(body))
                    .expect("no call fails");
                assert!(calls.iter().all(|calls| calls.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn pieces_are_the_slice_in_order() {
        for (length, size) in [(0, 3), (1, 3), (3, 3), (10, 3), (1000, 7)] {
            let mut numbers = vec![0; length];
            let fill = |(piece, numbers): (usize, &mut [usize])| {
                for (index, number) in numbers.iter_mut().enumerate() {
                    *number = piece * size + index;
                }
                Ok::<(), ()>(())
            };
            pool(3)
                .install(|| numbers.par_chunks_mut(size).enumerate().try_for_each(fill))
                .expect("no call fails");
            assert!(numbers.iter().copied().eq(0..length));
        }
    }

    #[test]
    fn a_failure_ends_the_loop() {
        let calls = AtomicUsize::new(0);
        let body = |number: usize| {
            calls.fetch_add(1, Ordering::Relaxed);
            if number == 3 { Err("three") } else { Ok(()) }
        };
        let result = pool(2).install(|| (0..1_000_000).into_par_iter().try_for_each(body));
        assert_eq!(result, Err("three"));
        assert!(calls.into_inner() < 1_000_000);
    }
}
