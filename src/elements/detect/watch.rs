//! [`Watch`]: a load under way, which somebody waits for no longer than a limit.
//!
//! A thread in an engine's call cannot be ended. A load that takes longer than its limit is therefore left to itself: its
//! result is dropped, if one ever comes. Until then it counts as stuck. The count is one for the process, whose memory and
//! processors it takes. No load begins while [`MOST_STUCK`] are stuck.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{fmt, io};

/// With so many stuck loads none is begun.
pub(super) const MOST_STUCK: usize = 2;

/// Every load that has begun and not ended.
static UNDER_WAY: Mutex<Vec<Arc<Load>>> = Mutex::new(Vec::new());

struct Load {
    /// From when on it is stuck.
    end: Option<Instant>,
    /// Who comes first decides: the thread that has loaded, or the one that waits no longer.
    decided: AtomicBool,
}

impl Load {
    fn decide(&self) -> bool {
        !self.decided.swap(true, Ordering::AcqRel)
    }

    fn is_stuck(&self, now: Instant) -> bool {
        self.end.is_some_and(|end| end <= now)
    }
}

/// Reason why a load has no result.
#[derive(Debug)]
pub(super) enum NotLoaded {
    /// A thread cannot be started, or has ended.
    Thread(io::Error),
    /// It has taken this time and not ended.
    Late(Duration),
    /// So many others are stuck.
    TooMany(usize),
}

impl fmt::Display for NotLoaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread(error) => write!(f, "there is no thread to load it in: {error}"),
            Self::Late(limit) => write!(
                f,
                "it is not loaded after {limit:?}; if it needs longer on this machine, raise load-timeout"
            ),
            Self::TooMany(stuck) => write!(
                f,
                "{stuck} earlier loads of this process have not ended, and no other is begun until one of them does"
            ),
        }
    }
}

impl std::error::Error for NotLoaded {}

/// The error of a thread that loads no more.
pub(super) fn gone() -> io::Error {
    io::Error::other("the thread that loads models has ended")
}

/// Counts the loads of this process that have outlasted their limits.
pub(super) fn stuck() -> usize {
    let now = Instant::now();
    let under_way = UNDER_WAY.lock();
    under_way.iter().filter(|load| load.is_stuck(now)).count()
}

/// The side of a load that waits for its result.
pub(super) struct Watch {
    load: Arc<Load>,
    limit: Option<Duration>,
}

/// The side of a load that works.
pub(super) struct Work(Arc<Load>);

impl Watch {
    /// Begins a load that may take as long as `limit`.
    ///
    /// # Errors
    /// [`NotLoaded::TooMany`]
    pub fn begin(limit: Option<Duration>) -> Result<(Self, Work), NotLoaded> {
        let now = Instant::now();
        let mut under_way = UNDER_WAY.lock();
        let stuck = under_way.iter().filter(|load| load.is_stuck(now)).count();
        if stuck >= MOST_STUCK {
            return Err(NotLoaded::TooMany(stuck));
        }
        let load = Arc::new(Load {
            end: limit.and_then(|limit| now.checked_add(limit)),
            decided: AtomicBool::new(false),
        });
        under_way.push(load.clone());
        let work = Work(load.clone());
        Ok((Self { load, limit }, work))
    }

    /// Until when to wait; `None` is for ever.
    pub fn end(&self) -> Option<Instant> {
        self.load.end
    }

    /// Leaves the load to itself. `None` if its result is there, or will be at once.
    pub fn leave(&self) -> Option<NotLoaded> {
        let is_left = self.load.decide();
        is_left.then(|| NotLoaded::Late(self.limit.unwrap_or_default()))
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// [`NotLoaded::Late`], and [`NotLoaded::Thread`] if the thread that was to send the result has ended.
    pub fn wait<T>(&self, result: &Receiver<T>) -> Result<T, NotLoaded> {
        let gone = || NotLoaded::Thread(gone());
        let received = match self.end() {
            Some(end) => result.recv_timeout(end.saturating_duration_since(Instant::now())),
            None => result.recv().map_err(RecvTimeoutError::from),
        };
        match received {
            Ok(result) => Ok(result),
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
            Err(RecvTimeoutError::Timeout) => match self.leave() {
                Some(late) => Err(late),
                None => result.recv().map_err(|_| gone()),
            },
        }
    }
}

impl Work {
    /// Ends the load. Returns whether the result is awaited.
    pub fn end(self) -> bool {
        self.0.decide()
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        UNDER_WAY.lock().retain(|load| !Arc::ptr_eq(load, &self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn the_first_of_both_sides_decides() {
        let (watch, work) = Watch::begin(None).expect("none is stuck");
        assert!(work.end());
        assert!(watch.leave().is_none(), "the result is there");
        let (watch, work) = Watch::begin(None).expect("none is stuck");
        assert!(matches!(watch.leave(), Some(NotLoaded::Late(_))));
        assert!(!work.end(), "nobody waits");
    }

    #[test]
    fn a_result_is_awaited_for_as_long_as_the_limit() {
        let (sender, result) = channel();
        let (watch, work) = Watch::begin(Some(Duration::from_secs(3600))).expect("none is stuck");
        sender.send(work.end()).expect("it is awaited");
        assert!(matches!(watch.wait(&result), Ok(true)));
        let (sender, result) = channel::<()>();
        let (watch, work) = Watch::begin(None).expect("none is stuck");
        drop((sender, work));
        assert!(matches!(watch.wait(&result), Err(NotLoaded::Thread(_))));
    }
}
