//! The source pad's thread: pushes what has reached the front of the line, and nothing else.

use super::CAT;
use super::imp::Detect;
use super::lock::assert_none_held;
use super::state::departure::{Departure, Next};
use super::state::frame::Frame;
use crate::bridge::{message, video_frame};
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

    /// Runs one iteration. A panic in it is an error of the element.
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
        match self.next_output() {
            Next::Push(departure) => return self.push(departure),
            Next::Event { event, post_stats } => {
                gst::log!(CAT, imp = self, "Forwarding {event:?}");
                if post_stats {
                    self.post_stats();
                }
                assert_none_held();
                self.srcpad.push_event(event);
            }
            Next::Answer(query) => query.answer(|query| self.answer_serialized(query)),
            Next::Post => {
                let due = self.state.lock().take_due(self.now());
                self.post_due(&due);
            }
            Next::Flushing => return Err(gst::FlowError::Flushing),
            Next::Wait(_) => {}
        }
        Ok(())
    }

    /// Waits for the next output, or for a message that is due before one comes. After an error it waits for a new beginning;
    /// a flush ends the waiting.
    fn next_output(&self) -> Next {
        let mut state = self.state.lock();
        loop {
            let now = self.now();
            match state.next_output(now) {
                Next::Wait(None) => self.wake.wait(&mut state),
                Next::Wait(Some(due)) => {
                    let end = Instant::now() + due.saturating_sub(now);
                    self.wake.wait_until(&mut state, end);
                }
                next => {
                    drop(state);
                    self.wake.notify_all(); // the output has a place now
                    return next;
                }
            }
        }
    }

    /// Replaces a frame that downstream cannot follow by a copy with the usual strides and offsets.
    pub(super) fn repack(&self, frame: &mut Frame) {
        if !video_frame::is_packed(&frame.buffer, &frame.stream.video) {
            self.replace_by_copy(frame);
        }
    }

    fn push(&self, mut departure: Departure) -> Result<(), gst::FlowError> {
        if departure.repacks {
            self.repack(&mut departure.frame);
        }
        self.annotate(&mut departure);
        let Departure {
            mut frame, live, ..
        } = departure;
        if frame.discont {
            frame.buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
        }
        let leaving = self.now();
        let age = live.then(|| self.age(&frame)).flatten();
        gst::log!(
            CAT,
            imp = self,
            "Pushing {} after {:?}",
            frame.buffer.pts().display(),
            leaving.saturating_sub(frame.arrived)
        );
        assert_none_held();
        let pushed = self.srcpad.push(frame.buffer);
        let due = match pushed {
            Err(gst::FlowError::Eos) => {
                self.refuse_frames();
                self.state.lock().take_due(self.now())
            }
            pushed => {
                pushed?;
                let mut state = self.state.lock();
                state.frame_left(frame.arrived, leaving, age, self.now())
            }
        };
        self.wake.notify_all(); // once a frame has left, frames of a file may be dropped
        self.post_due(&due);
        Ok(())
    }

    /// Attaches the boxes, and posts them if the frame was analysed.
    fn annotate(&self, departure: &mut Departure) {
        let Some(marks) = departure.marks.take() else {
            return;
        };
        let frame = &mut departure.frame;
        let size = frame.stream.picture.size;
        marks.attach(&mut frame.buffer, size, frame.time);
        let posts = departure.settings.post_detections;
        if let Some(times) = departure.times.filter(|_| posts) {
            self.post(message::detections(
                frame.time,
                frame.buffer.pts(),
                times,
                marks.to_structures(size),
            ));
        }
    }

    /// How old the picture of a live source is: clock time minus the frame's running time.
    pub(super) fn age(&self, frame: &Frame) -> Option<Duration> {
        let running_time = frame.running_time()?;
        let now = self.obj().current_running_time()?;
        Some(now.saturating_sub(running_time).into())
    }

    /// Ends the flow of frames for `reason`: the next chain call returns it. Upstream that has sent EOS makes no further
    /// call, so an error is posted then.
    fn end_flow(&self, reason: gst::FlowError) {
        let ended = self.state.lock().end_flow(reason);
        self.wake.notify_all();
        let reason = ended.reason;
        let flushing = reason == gst::FlowError::Flushing;
        assert_none_held();
        self.discard(ended.remains, |event| {
            !flushing || event != gst::EventType::Segment
        });
        if flushing {
            // Whoever flushes starts the task again.
            let _ = self.srcpad.pause_task();
            return;
        }
        gst::debug!(CAT, imp = self, "Frames stop: {reason}");
        if ended.after_eos {
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
}
