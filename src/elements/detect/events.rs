//! Events of both pads: flushes, and what travels in order among the frames.

use super::CAT;
use super::imp::Detect;
use super::lock::assert_none_held;
use super::state::arrival::{Change, EventStep};
use super::state::frame::{Item, Remains, Stream};
use crate::bridge::frame_pool::Copies;
use crate::bridge::video_frame;
use crate::flow::mailbox::Output;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::Arc;

impl Detect {
    pub(super) fn sink_event(
        &self,
        pad: &gst::Pad,
        event: gst::Event,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        gst::log!(CAT, obj = pad, "{event:?}");
        let in_words = |ok: bool| {
            ok.then_some(gst::FlowSuccess::Ok)
                .ok_or(gst::FlowError::Error)
        };
        match event.view() {
            gst::EventView::FlushStart(_) => in_words(self.flush_start(event)),
            gst::EventView::FlushStop(_) => in_words(self.flush_stop(event)),
            _ if !event.is_serialized() => {
                in_words(gst::Pad::event_default(pad, Some(&*self.obj()), event))
            }
            gst::EventView::Caps(caps) => match stream_from(caps.caps()) {
                Ok(stream) => {
                    gst::debug!(CAT, obj = pad, "Frames are now {}", caps.caps());
                    self.take_event(event, Change::Caps(Arc::new(stream)))
                }
                Err(err) => {
                    gst::warning!(CAT, obj = pad, "Refusing {}: {err}", caps.caps());
                    Err(gst::FlowError::NotNegotiated)
                }
            },
            gst::EventView::Segment(segment) => {
                let segment = segment.segment().downcast_ref().cloned();
                self.take_event(event, Change::Segment(segment))
            }
            gst::EventView::StreamStart(_) => self.take_event(event, Change::Stream),
            gst::EventView::Eos(_) => self.take_event(event, Change::Eos),
            _ => self.take_event(event, Change::Nothing),
        }
    }

    /// Puts a serialized event in the line, together with what it changes for the frames behind it; in `mode=passthrough`
    /// pushes it at once.
    fn take_event(
        &self,
        event: gst::Event,
        change: Change,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let step = self.state.lock().event_arrived(&event, change);
        match step {
            EventStep::GoOn { post_stats, unseen } => {
                drop(unseen);
                if post_stats {
                    self.post_stats();
                }
                assert_none_held();
                let is_caps = event.type_() == gst::EventType::Caps;
                match self.srcpad.push_event(event) {
                    false if is_caps => Err(gst::FlowError::NotNegotiated),
                    _ => Ok(gst::FlowSuccess::Ok),
                }
            }
            EventStep::Queued => {
                self.wake.notify_all();
                Ok(gst::FlowSuccess::Ok)
            }
            EventStep::Refused(reason) => {
                self.wake.notify_all();
                self.refuse_event(&event, reason)
            }
        }
    }

    fn refuse_event(
        &self,
        event: &gst::Event,
        reason: gst::FlowError,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        if event.type_() == gst::EventType::Eos {
            // No buffer will follow to bring the reason upstream, so it is posted here.
            self.post_flow_error(reason);
            return Err(reason);
        }
        // A new link may come, and the frames after it need their sticky events. The next buffer brings the reason.
        if reason == gst::FlowError::NotLinked && event.is_sticky() {
            self.keep(event);
            return Ok(gst::FlowSuccess::Ok);
        }
        Err(reason)
    }

    fn flush_start(&self, event: gst::Event) -> bool {
        gst::debug!(CAT, imp = self, "Flushing");
        assert_none_held();
        let forwarded = self.srcpad.push_event(event);
        let remains = self.state.lock().begin_flush();
        self.wake.notify_all();
        assert_none_held();
        let paused = self.srcpad.pause_task().is_ok();
        // Only now: an event that the task is pushing goes first.
        self.discard(remains, |event| event != gst::EventType::Segment);
        paused && forwarded
    }

    /// Drops what was in the line, without the lock. Sticky events of the types to `keep` stay with the source pad, which
    /// sends them before the next frame: a stream must not lose its caps because it was flushed early.
    pub(super) fn discard(&self, remains: Remains, keep: impl Fn(gst::EventType) -> bool) {
        for output in remains {
            if let Output::Event(Item::Event(event)) = output
                && event.is_sticky()
                && event.type_() != gst::EventType::Eos
                && keep(event.type_())
            {
                self.keep(&event);
            }
        }
    }

    fn keep(&self, event: &gst::Event) {
        if let Err(err) = self.srcpad.store_sticky_event(event) {
            gst::debug!(CAT, imp = self, "Not kept: {err}: {event:?}");
        }
    }

    fn flush_stop(&self, event: gst::Event) -> bool {
        let forwarded = self.srcpad.push_event(event);
        // If the element was stopped meanwhile, nobody would stop the task.
        if !self.srcpad.is_active() {
            return false;
        }
        self.state.lock().end_flush();
        self.wake.notify_all();
        self.start_task().is_ok() && forwarded
    }

    pub(super) fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        gst::log!(CAT, obj = pad, "{event:?}");
        match event.view() {
            gst::EventView::Reconfigure(_) => {
                self.state.lock().relink();
                self.wake.notify_all();
            }
            gst::EventView::Qos(qos) => self.state.lock().frames_are_late(late_before(qos)),
            _ => {}
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }
}

/// The running time before which frames come too late, by what a sink reports. If a frame was late by `jitter`, the frames of
/// the next `jitter` will be late too by the time that they have come through.
fn late_before(qos: &gst::event::Qos) -> Option<gst::ClockTime> {
    let (_, _, jitter, timestamp) = qos.get();
    let late = u64::try_from(jitter).ok().filter(|late| *late > 0)?;
    timestamp?.checked_add(gst::ClockTime::from_nseconds(late))
}

fn stream_from(caps: &gst::CapsRef) -> Result<Stream, String> {
    let video = gst_video::VideoInfo::from_caps(caps).map_err(|err| err.to_string())?;
    let picture = video_frame::picture_info(&video).map_err(|err| err.to_string())?;
    Ok(Stream {
        copies: Copies::new(video.clone(), picture),
        video,
        picture,
    })
}
