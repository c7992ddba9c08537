//! [`LentQuery`]: a serialized query that another thread answers while its owner waits.
//!
//! A query on the sink pad must keep its place among the frames, so the source pad's thread answers it. The thread that
//! brought the query is blocked meanwhile and stays its owner.

use std::ptr::NonNull;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// A query of another thread, which waits until this value is answered or dropped.
#[derive(Debug)]
pub struct LentQuery {
    query: NonNull<gst::QueryRef>,
    answer: SyncSender<bool>,
}

// SAFETY: `lend` keeps the only other access to the query blocked until this value is gone.
unsafe impl Send for LentQuery {}

impl LentQuery {
    /// Lets `queue` pass the query to another thread, and waits for the answer. Returns false if none came.
    pub fn lend(query: &mut gst::QueryRef, queue: impl FnOnce(Self)) -> bool {
        let (answer, waiting) = sync_channel(1);
        // Declared before `queue` runs, so that unwinding from a panic also waits.
        let waiting = Answer(waiting);
        queue(Self {
            query: NonNull::from(query),
            answer,
        });
        waiting.wait()
    }

    /// Lets `ask` answer the query, then releases its owner.
    pub fn answer(mut self, ask: impl FnOnce(&mut gst::QueryRef) -> bool) {
        // SAFETY: the owner waits in `lend`, and nobody else has the pointer.
        let answer = ask(unsafe { self.query.as_mut() });
        // The receiver exists as long as the owner waits.
        let _ = self.answer.send(answer);
    }
}

struct Answer(Receiver<bool>);

impl Answer {
    fn wait(self) -> bool {
        self.0.recv().unwrap_or(false)
    }
}

impl Drop for Answer {
    /// Waits for the sender to be gone, so that nothing outlives this value.
    fn drop(&mut self) {
        let _ = self.0.recv();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_gets_the_answer_of_another_thread() {
        gst::init().expect("GStreamer starts");
        let mut query = gst::query::Latency::new();
        let answered = std::thread::scope(|scope| {
            LentQuery::lend(&mut query, |lent| {
                scope.spawn(|| {
                    lent.answer(|query| {
                        let gst::QueryViewMut::Latency(latency) = query.view_mut() else {
                            return false;
                        };
                        latency.set(true, gst::ClockTime::SECOND, gst::ClockTime::NONE);
                        true
                    });
                });
            })
        });
        assert!(answered);
        assert_eq!(query.result().1, gst::ClockTime::SECOND);
    }

    #[test]
    fn a_query_that_nobody_answers_has_failed() {
        gst::init().expect("GStreamer starts");
        let mut query = gst::query::Latency::new();
        assert!(!LentQuery::lend(&mut query, drop));
    }
}
