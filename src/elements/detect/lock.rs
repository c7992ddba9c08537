//! [`Lock`] and [`Wake`]: a mutex and a condition variable. Builds for tests check the order in which locks are taken, that
//! none is held on a call out of the element, and count how often each is taken.

use parking_lot::{Condvar, Mutex, MutexGuard};
use std::ops::{Deref, DerefMut};
use std::time::Instant;

/// Place in the order of locks: a thread takes them from first to last, and never two of the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Settings,
    Slot,
    State,
    /// A lock under which no other is taken.
    Leaf,
}

/// A mutex without poisoning.
pub(super) struct Lock<T> {
    mutex: Mutex<T>,
    #[cfg_attr(not(feature = "stub-engine"), expect(dead_code))]
    place: Place,
    #[cfg(feature = "stub-engine")]
    taken: std::sync::atomic::AtomicU64,
}

impl<T> Lock<T> {
    pub fn new(place: Place, value: T) -> Self {
        Self {
            mutex: Mutex::new(value),
            place,
            #[cfg(feature = "stub-engine")]
            taken: Default::default(),
        }
    }

    /// Blocks until the lock is free.
    pub fn lock(&self) -> Guard<'_, T> {
        #[cfg(feature = "stub-engine")]
        let held = {
            use std::sync::atomic::Ordering::Relaxed;
            self.taken.fetch_add(1, Relaxed);
            held::Held::new(self.place)
        };
        Guard {
            guard: self.mutex.lock(),
            #[cfg(feature = "stub-engine")]
            _held: held,
        }
    }

    /// How often [`Self::lock`] was called. A wait on [`Wake`] takes the lock back without being counted.
    #[cfg(feature = "stub-engine")]
    pub fn taken(&self) -> u64 {
        self.taken.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Access to the value of a [`Lock`], which is free again when this is dropped.
pub(super) struct Guard<'a, T> {
    guard: MutexGuard<'a, T>,
    #[cfg(feature = "stub-engine")]
    _held: held::Held,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// A condition variable.
#[derive(Default)]
pub(super) struct Wake(Condvar);

impl Wake {
    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    /// Waits for [`Self::notify_all`]; the lock is free meanwhile.
    pub fn wait<T>(&self, guard: &mut Guard<T>) {
        self.0.wait(&mut guard.guard);
    }

    /// Waits for [`Self::notify_all`], until `end` at most.
    pub fn wait_until<T>(&self, guard: &mut Guard<T>, end: Instant) {
        self.0.wait_until(&mut guard.guard, end);
    }

    /// Waits as long as `condition` holds.
    pub fn wait_while<T>(&self, guard: &mut Guard<T>, mut condition: impl FnMut(&mut T) -> bool) {
        while condition(guard) {
            self.wait(guard);
        }
    }
}

/// Fails in builds for tests if this thread holds a lock. Called where the element pushes, queries, posts, notifies, loads or
/// infers: whatever is called may call back.
pub(super) fn assert_none_held() {
    #[cfg(feature = "stub-engine")]
    held::assert_none();
}

#[cfg(feature = "stub-engine")]
mod held {
    use crate::elements::detect::lock::Place;
    use std::cell::RefCell;

    thread_local! {
        static PLACES: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
    }

    /// Keeps the place of a lock in the list of those that this thread holds.
    pub struct Held(Place);

    impl Held {
        pub fn new(place: Place) -> Self {
            PLACES.with_borrow_mut(|places| {
                let before = places.iter().max();
                assert!(
                    before.is_none_or(|before| *before < place),
                    "the lock of {place:?} is taken while {places:?} are held"
                );
                places.push(place);
            });
            Self(place)
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            PLACES.with_borrow_mut(|places| places.retain(|place| *place != self.0));
        }
    }

    pub fn assert_none() {
        PLACES.with_borrow(|places| assert!(places.is_empty(), "{places:?} are held"));
    }
}

#[cfg(all(test, feature = "stub-engine"))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn locks_are_taken_in_their_order_only() {
        let (settings, state) = (Lock::new(Place::Settings, 1), Lock::new(Place::State, 2));
        assert_eq!(*settings.lock() + *state.lock(), 3);
        let other_way = || *state.lock() + *settings.lock();
        assert!(catch_unwind(AssertUnwindSafe(other_way)).is_err());
        let twice = || *state.lock() + *Lock::new(Place::State, 2).lock();
        assert!(catch_unwind(AssertUnwindSafe(twice)).is_err());
        assert_none_held();
        assert_eq!((settings.taken(), state.taken()), (2, 3));
    }

    #[test]
    fn a_held_lock_is_noticed() {
        let state = Lock::new(Place::State, ());
        let guard = state.lock();
        assert!(catch_unwind(assert_none_held).is_err());
        drop(guard);
        assert_none_held();
    }
}
