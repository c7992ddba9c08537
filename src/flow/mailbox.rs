//! [`Mailbox`]: the line of frames and events between the sink pad and the source pad.
//!
//! One line holds everything between the pads, so nothing can overtake:
//!
//! ```text
//!   out <- | event | done | skipped | running | event | waiting | event | <- in
//! ```
//! - At most one frame *waits*. The caller decides whether a newer one may replace it ([`Mailbox::displace`]). Events
//!   stay in place, whatever happens to the frames around them.
//! - A worker *starts* the waiting frame and gets a [`Ticket`]; the frame's place in the line stays. At most `workers +
//!   1` frames are running or done, so a blocked output stops the workers.
//! - A frame that is not analysed is *skipped*: it only waits for its turn to leave. At most [`MOST_SKIPPED`] are.
//! - Only the front leaves, and only if it is an event, done or skipped.
//!
//! Tickets are never reused: [`Mailbox::finish`] refuses the result of a frame that a flush has removed. The mailbox is
//! a state machine without threads, locks or time.

use std::collections::VecDeque;

/// Most skipped frames in the line at the same time: enough that frames between two analyses do not wait for the first of the
/// two, few enough for a small machine's memory.
pub const MOST_SKIPPED: usize = 8;

/// Identifies a frame that a worker has, by its place in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// The frame or event that has reached the front of the line.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<F, E> {
    /// A frame that is done or skipped.
    Frame(F),
    /// An event.
    Event(E),
}

#[derive(Debug)]
enum Entry<F, E> {
    Event(E),
    Waiting(F),
    Skipped(F),
    Running(Ticket),
    Done(F),
}

/// A bounded number of frames, with events in order between them.
#[derive(Debug)]
pub struct Mailbox<F, E> {
    line: VecDeque<Entry<F, E>>,
    next_ticket: u64,
    workers: usize,
}

impl<F, E> Mailbox<F, E> {
    /// Creates an empty line for `workers` workers, at least one.
    pub fn new(workers: usize) -> Self {
        Self {
            line: VecDeque::new(),
            next_ticket: 0,
            workers: workers.max(1),
        }
    }

    /// Empties the line and sets the number of workers. Tickets count on, so results of earlier frames are refused.
    pub fn restart(&mut self, workers: usize) {
        *self = Self {
            next_ticket: self.next_ticket,
            ..Self::new(workers)
        };
    }

    /// Returns how many frames may be running or done at the same time.
    pub fn places(&self) -> usize {
        self.workers + 1
    }

    /// Returns whether a frame can be taken: none waits, and not too many are skipped.
    pub fn accepts_frame(&self) -> bool {
        let skipped = |e: &&Entry<F, E>| matches!(e, Entry::Skipped(_));
        self.waiting().is_none() && self.line.iter().filter(skipped).count() < MOST_SKIPPED
    }

    /// Returns whether [`Self::displace`] would find a frame.
    pub fn may_displace(&self, keeps: impl Fn(&E) -> bool) -> bool {
        self.displaceable(keeps).is_some()
    }

    /// Removes the waiting frame, or the oldest of too many skipped ones, to make room for a newer one. Never removes the
    /// last frame before an event that `keeps` it. Events keep their places.
    pub fn displace(&mut self, keeps: impl Fn(&E) -> bool) -> Option<F> {
        let index = self.displaceable(keeps)?;
        match self.line.remove(index) {
            Some(Entry::Waiting(frame) | Entry::Skipped(frame)) => Some(frame),
            _ => None,
        }
    }

    fn displaceable(&self, keeps: impl Fn(&E) -> bool) -> Option<usize> {
        if self.accepts_frame() {
            return None;
        }
        let is_kept = |index: usize| {
            let next = self.line.range(index + 1..).find(|entry| match entry {
                Entry::Event(event) => keeps(event),
                _ => true,
            });
            matches!(next, Some(Entry::Event(_)))
        };
        if let Some(index) = self.waiting() {
            return (!is_kept(index)).then_some(index);
        }
        let skipped = |index: &usize| matches!(self.line[*index], Entry::Skipped(_));
        (0..self.line.len())
            .filter(skipped)
            .find(|index| !is_kept(*index))
    }

    /// Appends a frame to be analysed. The caller must know that none waits.
    pub fn push_frame(&mut self, frame: F) {
        debug_assert!(self.accepts_frame(), "one frame waits at the most");
        self.line.push_back(Entry::Waiting(frame));
    }

    /// Appends a frame that is not analysed. The caller must know that there is room.
    pub fn push_skipped(&mut self, frame: F) {
        debug_assert!(self.accepts_frame(), "the line is full");
        self.line.push_back(Entry::Skipped(frame));
    }

    /// Appends an event.
    pub fn push_event(&mut self, event: E) {
        self.line.push_back(Entry::Event(event));
    }

    /// Hands the waiting frame to a worker, if the output has a place for it.
    pub fn start(&mut self) -> Option<(Ticket, F)> {
        let taken = |e: &&Entry<F, E>| matches!(e, Entry::Running(_) | Entry::Done(_));
        if self.line.iter().filter(taken).count() >= self.places() {
            return None;
        }
        let index = self.waiting()?;
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        match std::mem::replace(&mut self.line[index], Entry::Running(ticket)) {
            Entry::Waiting(frame) => Some((ticket, frame)),
            _ => None,
        }
    }

    /// Puts an analysed frame back in its place.
    /// # Errors
    /// Returns the frame if its place was flushed meanwhile.
    pub fn finish(&mut self, ticket: Ticket, frame: F) -> Result<(), F> {
        let running = |e: &&mut Entry<F, E>| matches!(e, Entry::Running(t) if *t == ticket);
        match self.line.iter_mut().find(running) {
            Some(entry) => {
                *entry = Entry::Done(frame);
                Ok(())
            }
            None => Err(frame),
        }
    }

    /// Removes a frame whose analysis failed. Returns false if its place was already gone.
    pub fn abandon(&mut self, ticket: Ticket) -> bool {
        let running = |e: &Entry<F, E>| matches!(e, Entry::Running(t) if *t == ticket);
        let place = self.line.iter().position(running);
        place.is_some_and(|index| self.line.remove(index).is_some())
    }

    /// Removes and returns everything before the first event that `stops` the removal.
    #[must_use]
    pub fn drain_until(&mut self, stops: impl Fn(&E) -> bool) -> Vec<Output<F, E>> {
        let found = |entry: &Entry<F, E>| matches!(entry, Entry::Event(event) if stops(event));
        let count = self.line.iter().position(found).unwrap_or(self.line.len());
        outputs(self.line.drain(..count))
    }

    /// Returns the frames that could leave as soon as the output takes them, in order.
    pub fn ready(&mut self) -> impl Iterator<Item = &mut F> {
        let stays = |e: &&mut Entry<F, E>| !matches!(e, Entry::Running(_) | Entry::Waiting(_));
        let front = self.line.iter_mut().take_while(stays);
        front.filter_map(|entry| match entry {
            Entry::Done(frame) | Entry::Skipped(frame) => Some(frame),
            _ => None,
        })
    }

    /// Returns the skipped frames, in order.
    pub fn skipped(&self) -> impl Iterator<Item = &F> {
        self.line.iter().filter_map(|entry| match entry {
            Entry::Skipped(frame) => Some(frame),
            _ => None,
        })
    }

    /// Returns whether a frame waits for analysis, is under analysis, or is analysed and still here.
    pub fn is_analysing(&self) -> bool {
        let analysed =
            |e: &Entry<F, E>| matches!(e, Entry::Waiting(_) | Entry::Running(_) | Entry::Done(_));
        self.line.iter().any(analysed)
    }

    /// Returns whether the line is empty.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Takes the front of the line if it may leave.
    pub fn pop(&mut self) -> Option<Output<F, E>> {
        if matches!(self.line.front()?, Entry::Waiting(_) | Entry::Running(_)) {
            return None;
        }
        match self.line.pop_front()? {
            Entry::Event(event) => Some(Output::Event(event)),
            Entry::Done(frame) | Entry::Skipped(frame) => Some(Output::Frame(frame)),
            Entry::Waiting(_) | Entry::Running(_) => None,
        }
    }

    /// Empties the line and returns its contents, so that the caller can drop them without a lock. Results of frames
    /// under analysis will be refused.
    #[must_use]
    pub fn clear(&mut self) -> Vec<Output<F, E>> {
        outputs(self.line.drain(..))
    }

    fn waiting(&self) -> Option<usize> {
        self.line
            .iter()
            .position(|e| matches!(e, Entry::Waiting(_)))
    }
}

/// Returns those of `entries` that no worker has.
fn outputs<F, E>(entries: impl Iterator<Item = Entry<F, E>>) -> Vec<Output<F, E>> {
    entries
        .filter_map(|entry| match entry {
            Entry::Event(event) => Some(Output::Event(event)),
            Entry::Waiting(frame) | Entry::Skipped(frame) | Entry::Done(frame) => {
                Some(Output::Frame(frame))
            }
            Entry::Running(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Output::{Event, Frame};

    type Line = Mailbox<u32, &'static str>;

    fn is_eos(event: &&str) -> bool {
        *event == "eos"
    }

    fn drained(line: &mut Line) -> Vec<Output<u32, &'static str>> {
        std::iter::from_fn(|| line.pop()).collect()
    }

    #[test]
    fn events_keep_their_place_among_frames() {
        let mut line = Line::new(1);
        line.push_event("caps");
        line.push_frame(0);
        line.push_event("gap");
        let (ticket, frame) = line.start().unwrap();
        assert_eq!(drained(&mut line), [Event("caps")]);
        assert_eq!(
            line.pop(),
            None,
            "the gap does not overtake the running frame"
        );
        line.finish(ticket, frame).unwrap();
        assert_eq!(drained(&mut line), [Frame(0), Event("gap")]);
    }

    #[test]
    fn a_displaced_frame_leaves_the_events_behind_it() {
        let mut line = Line::new(1);
        line.push_frame(0);
        line.push_event("caps");
        assert!(!line.accepts_frame());
        assert_eq!(line.displace(is_eos), Some(0));
        line.push_frame(1);
        assert_eq!(drained(&mut line), [Event("caps")]);
        let (ticket, frame) = line.start().unwrap();
        line.finish(ticket, frame).unwrap();
        assert_eq!(drained(&mut line), [Frame(1)]);
    }

    #[test]
    fn a_running_frame_cannot_be_displaced() {
        let mut line = Line::new(1);
        line.push_frame(0);
        let _ticket = line.start().unwrap();
        assert!(line.accepts_frame());
        assert_eq!(line.displace(is_eos), None);
    }

    #[test]
    fn skipped_frames_keep_their_place_and_need_no_worker() {
        let mut line = Line::new(1);
        line.push_frame(0);
        let (ticket, frame) = line.start().unwrap();
        line.push_skipped(1);
        line.push_event("gap");
        line.push_frame(2);
        assert_eq!(line.pop(), None, "1 does not overtake 0");
        assert_eq!(line.ready().count(), 0);
        line.finish(ticket, frame).unwrap();
        assert_eq!(line.ready().map(|f| *f).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(drained(&mut line), [Frame(0), Frame(1), Event("gap")]);
    }

    #[test]
    fn the_oldest_of_too_many_skipped_frames_makes_way() {
        let mut line = Line::new(1);
        for number in 0..MOST_SKIPPED as u32 {
            assert_eq!(line.displace(is_eos), None);
            line.push_skipped(number);
        }
        assert!(!line.accepts_frame());
        assert_eq!(line.displace(is_eos), Some(0));
        line.push_frame(100);
        assert_eq!(
            line.displace(is_eos),
            Some(100),
            "the one that waits goes first"
        );
    }

    #[test]
    fn the_last_frame_before_eos_is_never_displaced() {
        let mut line = Line::new(1);
        line.push_frame(0);
        line.push_event("gap");
        line.push_event("eos");
        assert!(!line.may_displace(is_eos));
        assert_eq!(line.displace(is_eos), None);
        let _ = line.clear();

        let most = MOST_SKIPPED as u32;
        line.push_skipped(0);
        line.push_skipped(1);
        line.push_event("eos");
        line.push_event("segment");
        (2..most).for_each(|number| line.push_skipped(number));
        let displaced: Vec<_> = (most..most + 3)
            .map(|number| {
                let displaced = line.displace(is_eos);
                line.push_skipped(number);
                displaced
            })
            .collect();
        assert_eq!(displaced, [Some(0), Some(2), Some(3)], "1 is the last");
    }

    #[test]
    fn a_result_from_before_a_restart_is_refused() {
        let mut line = Line::new(1);
        line.push_frame(0);
        let (stale, frame) = line.start().unwrap();
        line.restart(2);
        assert_eq!(line.places(), 3);
        line.push_frame(1);
        let (fresh, second) = line.start().unwrap();
        assert_ne!(stale, fresh);
        assert_eq!(line.finish(stale, frame), Err(0));
        assert!(line.finish(fresh, second).is_ok());
    }

    #[test]
    fn a_full_output_stops_the_workers() {
        let mut line = Line::new(1);
        for number in 0..2 {
            line.push_frame(number);
            let (ticket, frame) = line.start().unwrap();
            line.finish(ticket, frame).unwrap();
        }
        line.push_frame(2);
        assert_eq!(line.start(), None, "workers + 1 frames are done already");
        assert_eq!(line.pop(), Some(Frame(0)));
        assert!(line.start().is_some());
    }

    #[test]
    fn frames_leave_in_order_whoever_finishes_first() {
        let mut line = Line::new(2);
        line.push_frame(0);
        let first = line.start().unwrap();
        line.push_frame(1);
        let second = line.start().unwrap();
        line.finish(second.0, second.1).unwrap();
        assert_eq!(line.pop(), None);
        line.finish(first.0, first.1).unwrap();
        assert_eq!(drained(&mut line), [Frame(0), Frame(1)]);
    }

    #[test]
    fn removal_up_to_an_event_leaves_it_and_what_follows() {
        let mut line = Line::new(1);
        line.push_frame(0);
        let (ticket, frame) = line.start().unwrap();
        line.push_event("gap");
        line.push_frame(1);
        line.push_event("segment");
        let removed = line.drain_until(|event| *event == "segment");
        assert_eq!(removed, [Event("gap"), Frame(1)]);
        assert_eq!(line.finish(ticket, frame), Err(0), "removed with the rest");
        assert_eq!(drained(&mut line), [Event("segment")]);
        line.push_frame(2);
        assert_eq!(line.drain_until(|_| false), [Frame(2)]);
        assert!(line.is_empty());
    }

    #[test]
    fn an_abandoned_frame_makes_way() {
        let mut line = Line::new(1);
        line.push_frame(0);
        let (ticket, _) = line.start().unwrap();
        line.push_event("gap");
        assert!(line.abandon(ticket));
        assert!(!line.abandon(ticket));
        assert_eq!(drained(&mut line), [Event("gap")]);
    }

    #[test]
    fn a_result_from_before_a_flush_is_refused() {
        let mut line = Line::new(1);
        line.push_event("segment");
        line.push_frame(0);
        let (stale, frame) = line.start().unwrap();
        line.push_frame(1);
        assert_eq!(line.clear(), [Event("segment"), Frame(1)]);
        line.push_frame(2);
        let (fresh, second) = line.start().unwrap();
        assert_eq!(line.finish(stale, frame), Err(0));
        line.finish(fresh, second).unwrap();
        assert_eq!(drained(&mut line), [Frame(2)]);
    }
}
