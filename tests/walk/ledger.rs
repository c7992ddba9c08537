//! [`Ledger`]: what has gone in, what has come out, and what is wrong with that.
//!
//! Everything that goes in by the sink pad has a number, one higher than what went in before, and belongs to an *epoch*:
//! a flush or a stop ends one. Of one epoch what comes out is in order, and nothing is missing before the last that came,
//! but frames that the mode may drop. What a flush has caught may be missing, and may not come later; only sticky
//! events may, for they tell what the frames after the flush are.

use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Frame {
        size: (u32, u32),
        segment: gst::Seqnum,
    },
    Event {
        kind: gst::EventType,
    },
    Query,
}

#[derive(Debug, Clone)]
struct Sent {
    what: What,
    /// Number of an event.
    seqnum: Option<gst::Seqnum>,
    epoch: u32,
    /// Whether the element took it; `None` while it has not answered.
    accepted: Option<bool>,
    seen: bool,
}

#[derive(Debug, Default)]
pub struct Ledger {
    sent: BTreeMap<u64, Sent>,
    next: u64,
    /// The query that the streaming thread waits for.
    asked: Option<u64>,
    /// Number of the epoch that goes in now; nothing of the epochs before may come out any more.
    epoch: u32,
    /// It is being ended: what goes in may be refused.
    ending: bool,
    last_seen: u64,
    pub frames_seen: u64,
    pub events_seen: u64,
    pub faults: Vec<String>,
}

impl Ledger {
    fn send(&mut self, what: What, seqnum: Option<gst::Seqnum>) -> u64 {
        self.next += 1;
        let sent = Sent {
            what,
            seqnum,
            epoch: self.epoch,
            accepted: None,
            seen: false,
        };
        self.sent.insert(self.next, sent);
        self.next
    }

    pub fn send_frame(&mut self, size: (u32, u32), segment: gst::Seqnum) -> u64 {
        self.send(What::Frame { size, segment }, None)
    }

    pub fn send_event(&mut self, event: &gst::Event) -> u64 {
        let kind = event.type_();
        self.send(What::Event { kind }, Some(event.seqnum()))
    }

    pub fn send_query(&mut self) -> u64 {
        let number = self.send(What::Query, None);
        self.asked = Some(number);
        number
    }

    /// The element has answered; true if no flush or stop came between.
    pub fn answered(&mut self, number: u64, accepted: bool) -> bool {
        let epoch = self.epoch;
        let sent = self.sent.get_mut(&number).expect("it was sent");
        sent.accepted = Some(accepted);
        sent.epoch == epoch && !self.ending
    }

    /// Before a flush or a stop: what is sent from now on may be refused.
    pub fn end_epoch(&mut self) {
        self.ending = true;
    }

    /// After a flush or a stop: what was sent before is gone. What came until then must be in order and whole.
    pub fn begin_epoch(&mut self, lossless: bool) {
        self.check(false, lossless);
        self.epoch += 1;
        self.ending = false;
        self.last_seen = 0;
    }

    pub fn saw_frame(
        &mut self,
        number: u64,
        size: Option<(u32, u32)>,
        segment: Option<gst::Seqnum>,
    ) {
        self.frames_seen += 1;
        match self.sent.get(&number).map(|sent| sent.what) {
            Some(What::Frame {
                size: own,
                segment: of,
            }) => {
                if size != Some(own) || segment != Some(of) {
                    self.fault(format!(
                        "frame {number} of {own:?} in segment {of:?} came with caps of {size:?} in segment {segment:?}"
                    ));
                }
            }
            other => self.fault(format!("a frame {number} came that was {other:?}")),
        }
        self.saw(number);
    }

    pub fn saw_event(&mut self, event: &gst::EventRef) {
        self.events_seen += 1;
        let is_it = |(_, sent): &(&u64, &Sent)| sent.seqnum == Some(event.seqnum());
        let number = self.sent.iter().rev().find(is_it).map(|(n, _)| *n);
        match number {
            Some(number) => self.saw(number),
            None => self.fault(format!(
                "an event of nobody came, or a very old one: {event:?}"
            )),
        }
    }

    pub fn saw_query(&mut self) {
        match self.asked {
            Some(number) => self.saw(number),
            None => self.fault("a query of nobody came".into()),
        }
    }

    fn saw(&mut self, number: u64) {
        let (epoch, last) = (self.epoch, self.last_seen);
        let Some(sent) = self.sent.get_mut(&number) else {
            return;
        };
        let again = std::mem::replace(&mut sent.seen, true);
        let sent = sent.clone();
        if sent.epoch < epoch {
            let kept = matches!(sent.what, What::Event { kind } if kind.is_sticky());
            if !kept {
                self.fault(format!(
                    "{number} came after the flush or stop that it was before: {sent:?}"
                ));
            }
            return;
        }
        if self.ending && sent.what == What::Query {
            return; // a pad that is being flushed or stopped takes no events any more, but queries
        }
        if again || number < last {
            self.fault(format!("{number} came after {last}, or twice: {sent:?}"));
        }
        self.last_seen = last.max(number);
    }

    /// Notes as a fault whatever was sent since the last flush and has not come out though it must have: `all` of it, or only
    /// what was sent before the last that came.
    pub fn check(&mut self, all: bool, lossless: bool) {
        let (epoch, last) = (self.epoch, self.last_seen);
        let awaited = |sent: &Sent| match sent.what {
            What::Frame { .. } => lossless,
            What::Event { .. } | What::Query => true,
        };
        let missing: Vec<_> = self
            .sent
            .iter()
            .filter(|(number, sent)| sent.epoch >= epoch && (all || **number < last))
            .filter(|(_, sent)| sent.accepted == Some(true) && !sent.seen && awaited(sent))
            .map(|(number, sent)| format!("{number} {:?}", sent.what))
            .collect();
        if !missing.is_empty() {
            self.fault(format!("lost before {last}: {missing:?}"));
        }
    }

    pub fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }
}
