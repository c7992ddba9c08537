//! `mode=passthrough`: every frame leaves at once, from the thread that brings it, as through `identity`.
//!
//! There is no line between the pads: events and queries go on directly too, and so keep their order. A frame that comes
//! while a worker has nothing to do is lent to it until the model's input is made of it, a few milliseconds; making it
//! here would cost as long, of camera memory that is slow to read more than a frame may be late. Meanwhile the frame goes
//! on: who wants to write into it downstream gets a copy, once for each analysis.
//!
//! A frame carries the boxes that are known when it leaves. The first one of a stream, size or segment that is not live
//! waits for its own: time does not pass for it, and a picture alone shall have its boxes. A live frame never waits. So
//! EOS needs not wait for anything.

use super::imp::{CAT, Detect};
use super::settings::Settings;
use super::settings::choices::Mode;
use super::sizes::{Detectors, Fit, Run};
use super::state::boxes::{Found, Marks};
use super::state::passing::{Look, Offered};
use super::state::{Frame, State};
use crate::base::geometry::Size;
use crate::bridge::message;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::time::Duration;

/// A frame that stays inside for less is not delayed: nobody shall move the latency of a pipeline for it.
const NO_DELAY: Duration = Duration::from_millis(2);

/// A frame on its way through.
struct Passage {
    frame: Frame,
    offered: Offered,
    marks: Option<Marks>,
    /// Somebody waits for it, or for the first frame.
    wakes: bool,
    /// It is compared with the clock.
    live: bool,
    /// One that no worker will see any more.
    unseen: Option<Frame>,
}

/// What is kept of a frame once the model's input is made of it.
struct Seen {
    time: Duration,
    running_time: Option<gst::ClockTime>,
    pts: Option<gst::ClockTime>,
    size: Size,
    arrived: Duration,
}

impl Seen {
    fn of(frame: &Frame) -> Self {
        Self {
            time: frame.time(),
            running_time: frame.running_time(),
            pts: frame.buffer.pts(),
            size: frame.stream.picture.size,
            arrived: frame.arrived,
        }
    }
}

impl Frame {
    /// What its boxes go by. Frames without timestamps have no other time than that of their coming.
    fn time(&self) -> Duration {
        self.running_time().map_or(self.arrived, Duration::from)
    }
}

impl State {
    /// Whether there is no line between the pads.
    pub(super) fn passes(&self) -> bool {
        self.wanted == Mode::Passthrough
    }

    /// Frames that the output holds at the most, done or with a worker.
    pub(super) fn places(&self) -> u32 {
        match self.passes() {
            true => 0,
            false => self.mailbox.places() as u32,
        }
    }

    /// Lets a worker look at a frame that goes on, if one has the time and the frame is to be analysed.
    fn offer(&mut self, frame: &Frame, settings: &Settings) -> Offered {
        let awaited = self.passing.begins() && !self.upstream.is_live();
        if !awaited && !self.passing.has_time() {
            self.pace.skip();
            return Offered::No;
        }
        if !self.pace.offers(frame.arrived, settings.pace()) {
            return Offered::No;
        }
        let number = self.passing.offer(frame.to_look_at(), awaited);
        match awaited {
            true => Offered::Awaited(number),
            false => Offered::Yes,
        }
    }
}

impl Detect {
    /// What the chain does with a frame.
    pub(super) fn pass_frame(
        &self,
        buffer: gst::Buffer,
        arrived: Duration,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let settings = self.settings.lock().clone();
        let mut passing = self.take_in(buffer, arrived, &settings)?;
        drop(passing.unseen.take());
        let awaited = match passing.offered {
            Offered::Awaited(number) => {
                self.wake.notify_all();
                passing.marks = Some(self.wait_for_look(number)?);
                true
            }
            _ => false,
        };
        let Passage {
            mut frame, marks, ..
        } = passing;
        self.repack(&mut frame);
        if let Some(marks) = marks {
            let size = frame.stream.picture.size;
            marks
                .tracked(settings.tracking)
                .attach(&mut frame.buffer, size);
        }
        if passing.wakes && !awaited {
            self.wake.notify_all();
        }
        self.push_now(frame, passing.live, awaited)
    }

    /// All that needs the lock before a frame leaves. Who is woken by the frame wants the lock too, and may be kept from
    /// giving it back, so nobody is woken before the frame is on its way.
    fn take_in(
        &self,
        buffer: gst::Buffer,
        arrived: Duration,
        settings: &Settings,
    ) -> Result<Passage, gst::FlowError> {
        let mut state = self.state.lock();
        state.accepts_frames()?;
        state.recorder.received(arrived);
        let frame = state.frame(buffer, arrived)?;
        let (offered, unseen) = match settings.active {
            true => (state.offer(&frame, settings), None),
            false => (Offered::No, state.passing.forget()),
        };
        let (size, first) = (
            frame.stream.picture.size,
            state.recorder.counters().received == 1,
        );
        Ok(Passage {
            marks: state.passing.at(frame.time(), size, settings.shown()),
            wakes: first || offered != Offered::No,
            live: state.is_live_now(),
            frame,
            offered,
            unseen,
        })
    }

    /// Waits until a worker has looked at the frame.
    fn wait_for_look(&self, number: u64) -> Result<Marks, gst::FlowError> {
        let mut state = self.state.lock();
        self.wake.wait_while(&mut state, |s| {
            s.accepts_frames().is_ok() && !s.passing.is_answered(number)
        });
        state.accepts_frames()?;
        state.passing.answer().ok_or(gst::FlowError::Error)
    }

    fn push_now(
        &self,
        frame: Frame,
        live: bool,
        waited: bool,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let leaving = self.now();
        let total = leaving.saturating_sub(frame.arrived);
        let age = live.then(|| self.age(&frame)).flatten();
        gst::log!(
            CAT,
            imp = self,
            "Passing {} after {total:?}",
            frame.buffer.pts().display()
        );
        let pushed = self.srcpad.push(frame.buffer)?;
        let exceeded = {
            let mut state = self.state.lock();
            state.recorder.pushed(leaving, Some(total), age);
            state.frame_left = true;
            let delay = if total < NO_DELAY {
                Duration::ZERO
            } else {
                total
            };
            // Only a frame whose source is not live waits.
            (!waited).then(|| state.measure(leaving, delay)).flatten()
        };
        self.post_latency_if_due();
        if let Some(delay) = exceeded {
            self.warn_of_delay(delay);
        }
        Ok(pushed)
    }

    /// What becomes of a serialized event: it goes on, together with what it changes for the frames behind it.
    pub(super) fn pass_event(
        &self,
        event: gst::Event,
        change: impl FnOnce(&mut State),
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let kind = event.type_();
        let unseen = {
            let mut state = self.state.lock();
            change(&mut state);
            state.eos |= kind == gst::EventType::Eos;
            match kind {
                gst::EventType::StreamStart | gst::EventType::Caps | gst::EventType::Segment => {
                    state.passing.forget()
                }
                _ => None,
            }
        };
        drop(unseen);
        if kind == gst::EventType::Eos && self.settings.lock().stats_interval().is_some() {
            self.post_stats();
        }
        match self.srcpad.push_event(event) {
            false if kind == gst::EventType::Caps => Err(gst::FlowError::NotNegotiated),
            _ => Ok(gst::FlowSuccess::Ok),
        }
    }

    /// What a worker does with a frame.
    pub(super) fn look(&self, detectors: &mut Detectors, of: Run, look: Look) {
        let Look {
            number,
            mut frame,
            awaited,
        } = look;
        let seen = Seen::of(&frame);
        if !awaited && detectors.wanted(seen.size).is_some() {
            // To load the model takes seconds, and then there are newer frames.
            drop(frame);
            self.put_down(number);
            self.fit(detectors, seen.size, of);
            return;
        }
        if self.fit(detectors, seen.size, of) == Fit::Stopped {
            return;
        }
        let begin = self.now();
        let prepared = self.prepare(detectors, &mut frame);
        drop(frame);
        self.put_down(number);
        let analysis = prepared.and_then(|prepared| self.infer(detectors, &prepared));
        match analysis {
            Ok(analysis) => {
                let wait = begin.saturating_sub(seen.arrived);
                let found = Found::of(analysis, wait, detectors.current().model());
                self.learn(number, awaited, &seen, &found);
            }
            Err(failure) => self.end_by(&failure, of, |state| state.passing.is_valid(number)),
        }
    }

    fn put_down(&self, number: u64) {
        self.state.lock().passing.put_down(number);
    }

    /// Makes known what was found on a frame.
    fn learn(&self, number: u64, awaited: bool, seen: &Seen, found: &Found) {
        let now = self.now();
        let marks = {
            let mut state = self.state.lock();
            if state.passing.is_valid(number) {
                state.recorder.analysed(now, found.times, false);
            }
            state.passing.learn(number, awaited, seen.time, found)
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
                seen.running_time,
                seen.pts,
                found.times,
                structures,
            ));
        }
    }
}
