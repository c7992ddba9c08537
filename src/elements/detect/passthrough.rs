//! `mode=passthrough`: every frame leaves at once, from the thread that brings it, as through `identity`.
//!
//! There is no line between the pads: events and queries go on directly too, and so keep their order. A frame that comes
//! while a worker has nothing to do is lent to the worker until the model's input is made, a few milliseconds. Making the
//! input in the thread that brings the frame would take as long, and camera memory that is slow to read would delay the
//! frame. Meanwhile the frame goes on; an element downstream that writes into it gets a copy, once for each analysis.
//!
//! A frame carries the boxes that are known when it leaves. The first frame of a stream, size or segment waits for its own
//! boxes if the source is not live: time does not pass for it, and a single picture shall have its boxes. A live frame never
//! waits, so EOS need not wait for anything.

use super::CAT;
use super::detectors::Detectors;
use super::imp::Detect;
use super::lock::assert_none_held;
use super::sizes::Fit;
use super::state::analysis::Origin;
use super::state::arrival::Passage;
use super::state::boxes::{Found, Marks};
use super::state::frame::Frame;
use super::state::passthrough::{Look, Offered};
use super::state::workers::Run;
use crate::base::geometry::Size;
use crate::bridge::message;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::time::Duration;

/// Facts about a frame that are needed after the model's input was made of it.
struct Seen {
    time: Duration,
    pts: Option<gst::ClockTime>,
    size: Size,
    arrived: Duration,
}

impl Seen {
    fn new(frame: &Frame) -> Self {
        Self {
            time: frame.time,
            pts: frame.buffer.pts(),
            size: frame.stream.picture.size,
            arrived: frame.arrived,
        }
    }
}

impl Detect {
    /// Sends a frame on with the boxes known now.
    pub(super) fn let_through(&self, passage: Passage) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Passage {
            mut frame,
            offered,
            mut marks,
            wakes,
            live,
            repacks,
            unseen,
            settings,
        } = passage;
        drop(unseen);
        let awaited = match offered {
            Offered::Awaited(number) => {
                self.wake.notify_all();
                marks = Some(self.wait_for_look(number)?);
                true
            }
            _ => false,
        };
        if repacks {
            self.repack(&mut frame);
        }
        if let Some(marks) = marks {
            let size = frame.stream.picture.size;
            let marks = marks.tracked(settings.tracking);
            marks.attach(&mut frame.buffer, size, frame.time);
        }
        // Whoever is woken wants the lock too, so nobody is woken before the frame is ready to leave.
        if wakes && !awaited {
            self.wake.notify_all();
        }
        self.push_now(frame, live, awaited)
    }

    /// Waits until a worker has looked at the frame.
    fn wait_for_look(&self, number: u64) -> Result<Marks, gst::FlowError> {
        let mut state = self.state.lock();
        self.wake
            .wait_while(&mut state, |state| state.must_wait_for_look(number));
        state.take_look()
    }

    fn push_now(
        &self,
        frame: Frame,
        live: bool,
        awaited: bool,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let leaving = self.now();
        let total = leaving.saturating_sub(frame.arrived);
        let age = live.then(|| self.age(&frame)).flatten();
        gst::log!(
            CAT,
            imp = self,
            "Pushing {} after {total:?}",
            frame.buffer.pts().display()
        );
        assert_none_held();
        let pushed = self.srcpad.push(frame.buffer)?;
        let delay = (!awaited).then_some(total);
        let (exceeded, latency) = {
            let mut state = self.state.lock();
            state.frame_went_on(frame.arrived, leaving, age, delay, self.now())
        };
        if let Some(delay) = latency {
            self.post_latency(delay);
        }
        if let Some(delay) = exceeded {
            self.warn_of_delay(delay);
        }
        Ok(pushed)
    }

    /// Looks at a frame, in a worker.
    pub(super) fn look(&self, detectors: &mut Detectors, run: Run, look: Look) {
        let Look {
            number,
            mut frame,
            awaited,
        } = look;
        let seen = Seen::new(&frame);
        if !awaited && detectors.wanted(seen.size).is_some() {
            // Loading the model takes seconds, and then there are newer frames.
            drop(frame);
            self.state.lock().look_read(number);
            self.fit(detectors, seen.size, run);
            return;
        }
        if self.fit(detectors, seen.size, run) == Fit::Stopped {
            return;
        }
        let begin = self.now();
        let prepared = self.prepare(detectors, &mut frame);
        drop(frame);
        self.state.lock().look_read(number);
        let analysis = prepared.and_then(|prepared| self.infer(detectors, &prepared));
        match analysis {
            Ok(analysis) => {
                let wait = begin.saturating_sub(seen.arrived);
                let found = Found::new(analysis, wait, detectors.current().model());
                self.learn(number, awaited, &seen, &found);
            }
            Err(err) => self.analysis_failed(&err, run, Origin::Look(number)),
        }
    }

    /// Makes known what was found on a frame.
    fn learn(&self, number: u64, awaited: bool, seen: &Seen, found: &Found) {
        let marks = {
            let mut state = self.state.lock();
            state.look_done(number, awaited, seen.time, found, self.now())
        };
        self.wake.notify_all();
        gst::debug!(
            CAT,
            imp = self,
            "{}: {} found{}; {:?}",
            seen.pts.display(),
            found.detections.len(),
            if marks.is_some() { "" } else { ", too late" },
            found.times
        );
        let settings = self.settings.lock().clone();
        if let Some(marks) = marks.filter(|_| settings.post_detections) {
            let structures = marks.tracked(settings.tracking).to_structures(seen.size);
            self.post(message::detections(
                seen.time,
                seen.pts,
                found.times,
                structures,
            ));
        }
    }
}
