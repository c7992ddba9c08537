//! What comes in by the pads: buffers, events, activation.

use super::imp::{CAT, Detect};
use super::settings::choices::Mode;
use super::state::{Course, Frame, Item, Remains, State, Stream, Upstream};
use crate::bridge::frame_pool::Copies;
use crate::bridge::video_frame;
use crate::flow::mailbox::Output;
use crate::flow::pace::Pace;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

impl Detect {
    pub(super) fn build_sinkpad(template: &gst::PadTemplate) -> gst::Pad {
        gst::Pad::builder_from_template(template)
            .activatemode_function(|_pad, parent, mode, active| {
                guarded(parent, activation_failed, |detect| {
                    detect.sink_activatemode(mode, active)
                })
            })
            .chain_function(|_pad, parent, buffer| {
                guarded(
                    parent,
                    || Err(gst::FlowError::Error),
                    |detect| detect.sink_chain(buffer),
                )
            })
            .event_full_function(|pad, parent, event| {
                guarded(
                    parent,
                    || Err(gst::FlowError::Error),
                    |detect| detect.sink_event(pad, event),
                )
            })
            .query_function(|pad, parent, query| {
                guarded(parent, || false, |detect| detect.sink_query(pad, query))
            })
            .flags(gst::PadFlags::PROXY_CAPS)
            .build()
    }

    pub(super) fn build_srcpad(template: &gst::PadTemplate) -> gst::Pad {
        gst::Pad::builder_from_template(template)
            .activatemode_function(|_pad, parent, mode, active| {
                guarded(parent, activation_failed, |detect| {
                    detect.src_activatemode(mode, active)
                })
            })
            .event_function(|pad, parent, event| {
                guarded(parent, || false, |detect| detect.src_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                guarded(parent, || false, |detect| detect.src_query(pad, query))
            })
            .flags(gst::PadFlags::PROXY_CAPS)
            .build()
    }

    fn sink_activatemode(
        &self,
        mode: gst::PadMode,
        active: bool,
    ) -> Result<(), gst::LoggableError> {
        if mode != gst::PadMode::Push {
            return Err(gst::loggable_error!(
                CAT,
                "Frames are taken in push mode only"
            ));
        }
        if !active {
            let remains = self.state.lock().begin_flush();
            self.wake.notify_all();
            drop(remains);
        }
        Ok(())
    }

    fn src_activatemode(&self, mode: gst::PadMode, active: bool) -> Result<(), gst::LoggableError> {
        if mode != gst::PadMode::Push {
            return Err(gst::loggable_error!(
                CAT,
                "Frames are given in push mode only"
            ));
        }
        if active {
            self.state.lock().end_flush();
            self.start_task()?;
        } else {
            let remains = self.state.lock().begin_flush();
            self.wake.notify_all();
            drop(remains);
            self.srcpad.stop_task()?;
        }
        Ok(())
    }

    /// Hands the frame over and returns; waits only where no frame may be dropped.
    fn sink_chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let arrived = self.now();
        self.settle_upstream();
        if self.state.lock().passes() {
            return self.pass_frame(buffer, arrived);
        }
        let settings = self.settings.lock().clone();
        let (mut frame, course, ahead) = {
            let mut state = self.state.lock();
            state.accepts_frames()?;
            state.recorder.received(arrived);
            let frame = state.frame(buffer, arrived)?;
            let course = state.course(arrived, &frame, &settings);
            let waits = course == Course::Analyse && state.is_full();
            (frame, course, waits && state.upstream != Upstream::Live)
        };
        if ahead {
            self.prepare_ahead(&mut frame);
        }
        let must_copy = {
            let mut state = self.state.lock();
            let dropped = matches!(course, Course::Drop(_));
            self.wake.wait_while(&mut state, |s| {
                s.accepts_frames().is_ok() && s.is_full() && !dropped
            });
            state.must_copy(&frame, course)
        };
        if must_copy {
            self.replace_by_copy(&mut frame);
        }
        let (displaced, exceeded) = {
            let mut state = self.state.lock();
            state.accepts_frames()?;
            let displaced = state.push_frame(frame, course);
            (displaced, state.measure_ready(self.now()))
        };
        self.wake.notify_all();
        if let Some((frame, why)) = displaced {
            self.report_drop(&frame, why);
        }
        if let Some(delay) = exceeded {
            self.warn_of_delay(delay);
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Puts a copy in the place of the source's buffer. A frame that cannot be copied goes on as it is: whoever reads it
    /// will say what is wrong.
    pub(super) fn replace_by_copy(&self, frame: &mut Frame) {
        let begin = self.now();
        match frame.stream.copies.packed(&frame.buffer) {
            Ok(copy) => {
                frame.buffer = copy;
                gst::log!(CAT, imp = self, "Copied {}", frame.buffer.pts().display());
            }
            Err(err) => gst::warning!(CAT, imp = self, "Cannot copy a frame: {err}"),
        }
        frame.copying += self.now().saturating_sub(begin);
    }

    /// Finds out whether upstream is live, once it can tell, and so which mode is in force.
    fn settle_upstream(&self) {
        if self.state.lock().upstream.is_settled() {
            return;
        }
        let mut query = gst::query::Latency::new();
        let upstream = match self.sinkpad.peer_query(&mut query) {
            true if query.result().0 => Upstream::Live,
            true => Upstream::NotLive,
            false => Upstream::PresumedLive,
        };
        let (mode, changed, warn) = {
            let mut state = self.state.lock();
            if upstream == Upstream::Live && std::mem::take(&mut state.latency_refused) {
                state.delay.tell_again();
            }
            let mode = match state.wanted {
                Mode::Auto if upstream == Upstream::NotLive => Mode::Every,
                Mode::Auto => Mode::Newest,
                asked => asked,
            };
            let changed = (state.upstream, state.mode) != (upstream, mode);
            (state.upstream, state.mode) = (upstream, mode);
            let astray = mode == Mode::Newest && upstream == Upstream::NotLive;
            let warn = astray && !state.warned;
            state.warned |= warn;
            (mode, changed, warn)
        };
        self.wake.notify_all();
        self.post_latency_if_due();
        if changed {
            gst::info!(
                CAT,
                imp = self,
                "Upstream is {upstream:?}, the mode in force is {}",
                mode.nick()
            );
        }
        if warn {
            gst::element_imp_warning!(
                self,
                gst::LibraryError::Settings,
                ("mode=newest drops frames of a source that is not live; mode=every analyses all of them"),
                ["upstream answers the LATENCY query with live=false"]
            );
        }
    }

    fn sink_event(
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
            gst::EventView::Caps(caps) => match stream_of(caps.caps()) {
                Ok(stream) => {
                    gst::debug!(CAT, obj = pad, "Frames are now {}", caps.caps());
                    self.queue_event(event, |state| {
                        state.stream = Some(Arc::new(stream));
                        state.pace = Pace::default();
                    })
                }
                Err(err) => {
                    gst::warning!(CAT, obj = pad, "Refusing {}: {err}", caps.caps());
                    Err(gst::FlowError::NotNegotiated)
                }
            },
            gst::EventView::Segment(segment) => {
                let segment = segment.segment().downcast_ref().cloned();
                self.queue_event(event, |state| {
                    state.restart();
                    state.segment = segment;
                    state.pace = Pace::default();
                })
            }
            gst::EventView::StreamStart(_) => self.queue_event(event, |state| {
                state.restart();
                state.upstream = Upstream::Unknown;
                state.warned = false;
            }),
            _ => self.queue_event(event, |_| {}),
        }
    }

    /// Puts a serialized event in the line, together with what it changes for the frames behind it.
    fn queue_event(
        &self,
        event: gst::Event,
        change: impl FnOnce(&mut State),
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        if self.state.lock().passes() {
            return self.pass_event(event, change);
        }
        let is_eos = event.type_() == gst::EventType::Eos;
        let result = {
            let mut state = self.state.lock();
            change(&mut state);
            let result = match state.flow {
                Ok(()) if state.eos => Err(gst::FlowError::Eos),
                Ok(()) => {
                    state.mailbox.push_event(Item::Event(event.clone()));
                    Ok(gst::FlowSuccess::Ok)
                }
                Err(reason) => Err(reason),
            };
            state.eos |= is_eos;
            result
        };
        self.wake.notify_all();
        match result {
            Err(reason) if is_eos => {
                // No buffer will follow to bring the reason upstream, so it is posted here.
                self.post_flow_error(reason);
                Err(reason)
            }
            // A link may come back, and the frames after it need what they are. The next buffer brings the reason.
            Err(gst::FlowError::NotLinked) if event.is_sticky() => {
                self.keep(&event);
                Ok(gst::FlowSuccess::Ok)
            }
            result => result,
        }
    }

    fn flush_start(&self, event: gst::Event) -> bool {
        gst::debug!(CAT, imp = self, "Flushing");
        let forwarded = self.srcpad.push_event(event);
        let remains = self.state.lock().begin_flush();
        self.wake.notify_all();
        let paused = self.srcpad.pause_task().is_ok();
        // Not before: an event that the task has in its hand goes first.
        self.discard(remains, |event| event != gst::EventType::Segment);
        paused && forwarded
    }

    /// Drops what was in the line, without a lock. Sticky events of the types to `keep` stay with the source pad, which
    /// will send them before the next frame: a stream must not lose its caps because it was flushed early.
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
        // Not if the element is stopped meanwhile: nobody would stop the task.
        if !self.srcpad.is_active() {
            return false;
        }
        self.state.lock().end_flush();
        self.wake.notify_all();
        self.start_task().is_ok() && forwarded
    }

    fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        gst::log!(CAT, obj = pad, "{event:?}");
        match event.view() {
            gst::EventView::Reconfigure(_) => {
                let mut state = self.state.lock();
                if state.flow == Err(gst::FlowError::NotLinked) && !state.failed {
                    state.flow = Ok(());
                }
                drop(state);
                self.wake.notify_all();
            }
            gst::EventView::Qos(qos) => self.state.lock().late_before = late_before(qos),
            _ => {}
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }
}

/// Calls a pad's function. Its panics are errors of the element, which refuses frames until READY.
fn guarded<T>(
    parent: Option<&gst::Object>,
    failed: impl FnOnce() -> T,
    function: impl FnOnce(&Detect) -> T,
) -> T {
    let Some(element) = parent.and_then(|p| p.downcast_ref::<super::Detect>()) else {
        return failed();
    };
    let detect = element.imp();
    catch_unwind(AssertUnwindSafe(|| function(detect))).unwrap_or_else(|panic| {
        detect.post_panic("a pad was in use", panic.as_ref());
        detect.fail();
        failed()
    })
}

/// Frames before this running time would come too late, as a sink has met them: one that was `jitter` late means that
/// those of as long after it are late too, by the time that they have come through.
fn late_before(qos: &gst::event::Qos) -> Option<gst::ClockTime> {
    let (_, _, jitter, timestamp) = qos.get();
    let late = u64::try_from(jitter).ok().filter(|late| *late > 0)?;
    timestamp?.checked_add(gst::ClockTime::from_nseconds(late))
}

fn activation_failed() -> Result<(), gst::LoggableError> {
    Err(gst::loggable_error!(CAT, "Panic while a pad was activated"))
}

fn stream_of(caps: &gst::CapsRef) -> Result<Stream, String> {
    let video = gst_video::VideoInfo::from_caps(caps).map_err(|err| err.to_string())?;
    let picture = video_frame::picture_info(&video).map_err(|err| err.to_string())?;
    Ok(Stream {
        copies: Copies::new(video.clone()),
        video,
        picture,
    })
}
