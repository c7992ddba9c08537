//! The pads: their functions, activation, and the buffers that come in. Events are in `events.rs`, queries in `queries.rs`.

use super::CAT;
use super::imp::Detect;
use super::lock::assert_none_held;
use super::state::arrival::{Arrival, Pending};
use super::state::frame::Frame;
use super::state::mode::Upstream;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

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
            assert_none_held();
            self.srcpad.stop_task()?;
        }
        Ok(())
    }

    /// Hands the frame over and returns; waits only where no frame may be dropped.
    fn sink_chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let arrived = self.now();
        let mut arrival = self.state.lock().frame_arrived(buffer, arrived);
        loop {
            arrival = match arrival {
                Arrival::AskUpstream(buffer) => {
                    self.ask_upstream();
                    self.state.lock().take_frame(buffer, arrived)
                }
                Arrival::GoOn(passage) => return self.let_through(passage),
                Arrival::Wait { pending, prepare } => self.wait_for_place(pending, prepare),
                Arrival::Copy(mut pending) => {
                    self.replace_by_copy(&mut pending.frame);
                    self.state.lock().queue_frame(pending, self.now())
                }
                Arrival::Done(queued) => {
                    self.wake.notify_all();
                    self.report_queued(&queued);
                    return Ok(gst::FlowSuccess::Ok);
                }
                Arrival::Refused(reason, unused) => {
                    drop(unused);
                    return Err(reason);
                }
            }
        }
    }

    /// Waits until the line has a place for the frame, and makes the model's input meanwhile if there is time to.
    fn wait_for_place(&self, mut pending: Pending, prepare: bool) -> Arrival {
        if prepare {
            self.prepare_ahead(&mut pending.frame);
        }
        let mut state = self.state.lock();
        self.wake.wait_while(&mut state, |state| state.must_wait());
        state.place_frame(pending, self.now())
    }

    /// Makes the model's input of a frame that has to wait. If that fails, the worker that tries again reports why.
    fn prepare_ahead(&self, frame: &mut Frame) {
        let Some(mut ahead) = self.inputs.lock().spare() else {
            return;
        };
        match frame.read(|image| ahead.prepare(image)) {
            Ok(Ok(())) => frame.ahead = Some(ahead),
            Ok(Err(err)) => gst::debug!(CAT, imp = self, "No input is made ahead: {err}"),
            Err(why) => gst::debug!(CAT, imp = self, "No input is made ahead: {why}"),
        }
    }

    /// Replaces the source's buffer by a copy. A frame that cannot be copied goes on as it is; whoever reads it will report
    /// what is wrong.
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

    /// Asks upstream whether it is live, which may settle the mode in force.
    fn ask_upstream(&self) {
        let mut query = gst::query::Latency::new();
        assert_none_held();
        let upstream = match self.sinkpad.peer_query(&mut query) {
            true if query.result().0 => Upstream::Live,
            true => Upstream::NotLive,
            false => Upstream::PresumedLive,
        };
        let (settled, latency) = self.state.lock().upstream_answered(upstream, self.now());
        self.wake.notify_all();
        if let Some(delay) = latency {
            self.post_latency(delay);
        }
        if settled.changed {
            gst::info!(
                CAT,
                imp = self,
                "Upstream is {upstream:?}, the mode in force is {}",
                settled.mode.nick()
            );
        }
        if settled.warn {
            gst::element_imp_warning!(
                self,
                gst::LibraryError::Settings,
                ("mode=newest drops frames of a source that is not live; mode=every analyses all of them"),
                ["upstream answers the LATENCY query with live=false"]
            );
        }
    }
}

/// Calls a pad's function. A panic in it is an error of the element, which refuses frames until READY.
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

fn activation_failed() -> Result<(), gst::LoggableError> {
    Err(gst::loggable_error!(CAT, "Panic while a pad was activated"))
}
