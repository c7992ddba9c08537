//! The source pad's thread: pushes what has reached the front of the line, and nothing else.

use super::imp::{CAT, Detect};
use super::state::{Frame, Item};
use crate::bridge::message;
use crate::flow::mailbox::Output;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::time::{Duration, Instant};

impl Detect {
    pub(super) fn start_task(&self) -> Result<(), glib::BoolError> {
        let (element, pad) = (self.obj().downgrade(), self.srcpad.downgrade());
        self.srcpad
            .start_task(move || match (element.upgrade(), pad.upgrade()) {
                (Some(detect), _) => detect.imp().src_loop(),
                (None, Some(pad)) => {
                    let _ = pad.pause_task();
                }
                (None, None) => {}
            })
    }

    /// One iteration. Its panics are errors of the element.
    fn src_loop(&self) {
        let iteration = || self.src_iteration();
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(iteration)) {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => self.end_flow(reason),
            Err(panic) => {
                self.post_panic("pushing a frame", panic.as_ref());
                self.fail();
            }
        }
    }

    fn src_iteration(&self) -> Result<(), gst::FlowError> {
        match self.next_output()? {
            Some(Output::Event(Item::Event(event))) => self.forward(event),
            Some(Output::Event(Item::Query(query))) => {
                query.answer(|query| self.answer_serialized(query));
            }
            Some(Output::Frame(frame)) => {
                self.push(frame)?;
                self.post_what_is_due();
            }
            None => self.post_what_is_due(),
        }
        Ok(())
    }

    /// Waits for the next output; `None` if a message is due before one comes. After an error it waits for a new
    /// beginning; a flush ends the waiting.
    fn next_output(&self) -> Result<Option<Output<Frame, Item>>, gst::FlowError> {
        let interval = self.settings.lock().stats_interval();
        let mut state = self.state.lock();
        let asked = state.settings_changed;
        loop {
            if state.settings_changed != asked {
                return Ok(None);
            }
            if state.flow == Err(gst::FlowError::Flushing) {
                return Err(gst::FlowError::Flushing);
            }
            if state.flow.is_ok()
                && let Some(output) = state.mailbox.pop()
            {
                drop(state);
                self.wake.notify_all(); // the output has a place now
                return Ok(Some(output));
            }
            match state
                .post_due(interval)
                .map(|due| due.saturating_sub(self.now()))
            {
                Some(Duration::ZERO) => return Ok(None),
                Some(left) => {
                    self.wake.wait_until(&mut state, Instant::now() + left);
                }
                None => self.wake.wait(&mut state),
            }
        }
    }

    /// Puts a copy of the usual strides and offsets in the place of a frame that downstream could not follow.
    pub(super) fn repack(&self, frame: &mut Frame) {
        let repacks = self.state.lock().repacks;
        if repacks && !crate::bridge::video_frame::is_packed(&frame.buffer, &frame.stream.video) {
            self.replace_by_copy(frame);
        }
    }

    fn push(&self, mut frame: Frame) -> Result<(), gst::FlowError> {
        self.repack(&mut frame);
        self.annotate(&mut frame);
        if frame.discont {
            frame.buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
        }
        let leaving = self.now();
        let total = leaving.saturating_sub(frame.arrived);
        let live = self.state.lock().is_live_now();
        let age = live.then(|| self.age(&frame)).flatten();
        gst::log!(
            CAT,
            imp = self,
            "Pushing {} after {total:?}",
            frame.buffer.pts().display()
        );
        match self.srcpad.push(frame.buffer) {
            Err(gst::FlowError::Eos) => {
                self.refuse_frames();
                return Ok(());
            }
            pushed => pushed?,
        };
        let mut state = self.state.lock();
        let total = (!state.playing.met_a_pause(frame.arrived)).then_some(total);
        state.recorder.pushed(leaving, total, age);
        state.frame_left = true;
        drop(state);
        self.wake.notify_all();
        Ok(())
    }

    /// Attaches the frame's own boxes, or the last ones where it was not analysed.
    fn annotate(&self, frame: &mut Frame) {
        let settings = self.settings.lock().clone();
        let marks = {
            let mut state = self.state.lock();
            let running_time = frame.running_time();
            match frame.found.take() {
                Some(found) => {
                    let own = state.boxes.own(&found, running_time, settings.tracking);
                    Some((own, Some(found.times)))
                }
                None if frame.bare => {
                    state.boxes.forget();
                    None
                }
                None => {
                    let latest = state.boxes.latest(running_time, settings.max_age());
                    latest.map(|marks| (marks, None))
                }
            }
        };
        let Some((marks, times)) = marks else {
            return;
        };
        let size = frame.stream.picture.size;
        marks.attach(&mut frame.buffer, size);
        if let Some(times) = times.filter(|_| settings.post_detections) {
            self.post(message::detections(
                frame.running_time(),
                frame.buffer.pts(),
                times,
                marks.to_structures(size),
            ));
        }
    }

    /// How old the picture is: clock time minus the frame's running time. Of a live source that plays.
    pub(super) fn age(&self, frame: &Frame) -> Option<Duration> {
        let running_time = frame.running_time()?;
        let now = self.obj().current_running_time()?;
        Some(now.saturating_sub(running_time).into())
    }

    fn forward(&self, event: gst::Event) {
        gst::log!(CAT, imp = self, "Forwarding {event:?}");
        let is_eos = event.type_() == gst::EventType::Eos;
        if let gst::EventType::StreamStart | gst::EventType::Caps | gst::EventType::Segment =
            event.type_()
        {
            // What follows is another picture than that of the last boxes.
            self.state.lock().boxes.forget();
        }
        if is_eos && self.settings.lock().stats_interval().is_some() {
            self.post_stats();
        }
        self.srcpad.push_event(event);
    }

    fn post_what_is_due(&self) {
        self.post_latency_if_due();
        self.warn_of_overdue();
        let interval = self.settings.lock().stats_interval();
        let now = self.now();
        let due = {
            let mut state = self.state.lock();
            match (interval, state.stats_at) {
                (None, _) => false,
                // The first interval begins with the first frame.
                (Some(_), None) => {
                    state.stats_at = Some(now);
                    false
                }
                (Some(interval), Some(at)) if now >= at + interval => {
                    state.stats_at = Some(now);
                    true
                }
                _ => false,
            }
        };
        if due {
            self.post_stats();
        }
    }

    /// Ends the flow of frames for `reason`: the next chain call returns it. Upstream that has sent EOS makes no
    /// further call, so an error is posted then.
    fn end_flow(&self, reason: gst::FlowError) {
        let (remains, reason, eos) = {
            let mut state = self.state.lock();
            let remains = state.end_flow(reason);
            let reason = state.flow.err().unwrap_or(reason);
            (remains, reason, state.eos && !state.failed)
        };
        self.wake.notify_all();
        let flushing = reason == gst::FlowError::Flushing;
        self.discard(remains, |event| {
            !flushing || event != gst::EventType::Segment
        });
        match reason {
            // Whoever flushes starts the task again.
            gst::FlowError::Flushing => {
                let _ = self.srcpad.pause_task();
            }
            _ => gst::debug!(CAT, imp = self, "Frames stop: {reason}"),
        }
        if eos && reason != gst::FlowError::Flushing {
            self.post_flow_error(reason);
            self.srcpad.push_event(gst::event::Eos::new());
        }
    }

    /// Downstream has answered EOS: it wants no more frames, but the event that ends them.
    fn refuse_frames(&self) {
        gst::debug!(CAT, imp = self, "Downstream wants no more frames");
        let removed = self.state.lock().refuse_frames();
        self.wake.notify_all();
        self.discard(removed, |_| true);
    }

    /// Posts that frames cannot go on, unless `reason` is no error, or an analysis has failed: that was posted then.
    pub(super) fn post_flow_error(&self, reason: gst::FlowError) {
        let posted = self.state.lock().failed;
        if !posted && !matches!(reason, gst::FlowError::Flushing | gst::FlowError::Eos) {
            gst::element_imp_error!(
                self,
                gst::StreamError::Failed,
                ("Internal data flow error."),
                ["streaming stopped, reason {reason} ({reason:?})"]
            );
        }
    }
}
