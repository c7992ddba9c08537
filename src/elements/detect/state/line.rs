//! [`Line`]: the frames and events between the pads, in order; see [`Mailbox`].

use super::frame::{Course, Frame, Item, Remains};
use crate::flow::mailbox::{Mailbox, Output, Ticket};

#[derive(Debug)]
pub struct Line {
    mailbox: Mailbox<Frame, Item>,
    /// Frames have been lost: the next one carries DISCONT.
    gap: bool,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            mailbox: Mailbox::new(1),
            gap: false,
        }
    }
}

impl Line {
    /// Begins anew with so many workers. The line was emptied when the element stopped.
    pub fn start(&mut self, workers: usize) {
        self.mailbox.restart(workers);
        self.gap = false;
    }

    /// Puts a frame in the line; gives back the one that it displaces.
    pub fn push(&mut self, mut frame: Frame, course: Course, active: bool) -> Option<Frame> {
        let displaced = self.mailbox.displace(Item::is_eos);
        self.gap |= displaced.is_some();
        frame.discont = std::mem::take(&mut self.gap);
        frame.bare = !active;
        // A frame that is not analysed may wait here for one that still is; that delay is not typical of it.
        frame.measured |= frame.bare && self.mailbox.is_analysing();
        match course {
            Course::Skip => self.mailbox.push_skipped(frame),
            _ => self.mailbox.push_frame(frame),
        }
        displaced
    }

    pub fn push_item(&mut self, item: Item) {
        self.mailbox.push_event(item);
    }

    /// Notes that a frame is lost.
    pub fn lose(&mut self) {
        self.gap = true;
    }

    /// Whether a frame would have to wait, where `may_displace` says whether it may take the place of another.
    pub fn is_full(&self, may_displace: bool) -> bool {
        let displaces = may_displace && self.mailbox.may_displace(Item::is_eos);
        !self.mailbox.accepts_frame() && !displaces
    }

    /// Whether a skipped frame in the line is in memory that its source waits for.
    pub fn skips_a_lent_frame(&self) -> bool {
        self.mailbox.skipped().any(Frame::is_lent)
    }

    /// Gives the waiting frame to a worker, if the output has a place for it.
    pub fn start_analysis(&mut self) -> Option<(Ticket, Frame)> {
        self.mailbox.start()
    }

    /// Puts an analysed frame back in its place; gives it back if a flush has removed that place.
    pub fn finish_analysis(&mut self, ticket: Ticket, frame: Frame) -> Option<Frame> {
        self.mailbox.finish(ticket, frame).err()
    }

    /// Removes a frame whose analysis has failed; false if a flush has removed it before.
    pub fn abandon_analysis(&mut self, ticket: Ticket) -> bool {
        self.mailbox.abandon(ticket)
    }

    /// Calls `measure` once with each frame that only the output keeps from leaving.
    pub fn measure_ready(&mut self, mut measure: impl FnMut(&Frame)) {
        for frame in self.mailbox.ready().filter(|frame| !frame.measured) {
            frame.measured = true;
            measure(frame);
        }
    }

    pub fn pop(&mut self) -> Option<Output<Frame, Item>> {
        self.mailbox.pop()
    }

    /// Frames that may be with the workers or done at the same time.
    pub fn places(&self) -> u32 {
        self.mailbox.places() as u32
    }

    pub fn is_empty(&self) -> bool {
        self.mailbox.is_empty()
    }

    #[must_use]
    pub fn clear(&mut self) -> Remains {
        self.mailbox.clear()
    }

    /// Removes everything up to the event that ends the stream or begins another.
    #[must_use]
    pub fn drain_stream(&mut self) -> Remains {
        use gst::EventType::{Eos, Segment, StreamStart};
        self.mailbox.drain_until(|item| {
            matches!(item, Item::Event(event) if matches!(event.type_(), Eos | Segment | StreamStart))
        })
    }
}
