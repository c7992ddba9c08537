//! Queries: what comes in by either pad is answered here, or travels in order to be answered.

use super::imp::{CAT, Detect};
use super::state::Item;
use crate::bridge::allocation;
use crate::bridge::lent_query::LentQuery;
use crate::bridge::meta::Figures;
use gst::prelude::*;
use gst::subclass::prelude::*;

impl Detect {
    pub(super) fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        gst::log!(CAT, obj = pad, "{query:?}");
        if !query.is_serialized() {
            return gst::Pad::query_default(pad, Some(&*self.obj()), query);
        }
        let (passes, eos) = {
            let state = self.state.lock();
            (state.passes(), state.eos)
        };
        if passes {
            return !eos && self.answer_serialized(query);
        }
        LentQuery::lend(query, |lent| {
            let mut state = self.state.lock();
            // Not taken, it is dropped, and so answered with false.
            if state.flow.is_ok() && !state.eos {
                state.mailbox.push_event(Item::Query(lent));
            }
            drop(state);
            self.wake.notify_all();
        })
    }

    pub(super) fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Latency(latency) => self.answer_latency(latency),
            gst::QueryViewMut::Custom(query) if Figures::are_asked_by(query) => {
                self.figures().answer(query);
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    /// min = upstream's + the declared delay; max = upstream's + the declared delay + what the output can hold.
    fn answer_latency(&self, query: &mut gst::query::Latency) -> bool {
        let mut upstream = gst::query::Latency::new();
        if !self.sinkpad.peer_query(&mut upstream) {
            gst::debug!(CAT, imp = self, "Upstream cannot tell its latency yet");
            self.state.lock().latency_refused = true;
            return false;
        }
        let (live, min, max) = upstream.result();
        if !live {
            query.set(live, min, max);
            return true;
        }
        let (delay, held) = {
            let state = self.state.lock();
            let delay = state.delay.get();
            let cycle = state.recorder.mean_processing(self.now()).unwrap_or(delay);
            (delay, cycle * state.places())
        };
        let clock_time =
            |time| gst::ClockTime::try_from(time).expect("measured times are far below the limit");
        let (delay, held) = (clock_time(delay), clock_time(held));
        let max = max.map(|max| max.saturating_add(delay).saturating_add(held));
        let min = min.saturating_add(delay);
        gst::debug!(
            CAT,
            imp = self,
            "Latency: live, min {min}, max {}",
            max.display()
        );
        query.set(live, min, max);
        true
    }

    /// ALLOCATION is proxied: of the answer the metadata is kept; pools and allocators that are not plain system
    /// memory are not, nor is crop metadata, which the reader of pixels does not follow.
    ///
    /// Strides and offsets may be any, whatever downstream says: what it cannot follow is copied here, of all frames
    /// those alone that leave.
    pub(super) fn answer_serialized(&self, query: &mut gst::QueryRef) -> bool {
        let answered = self.srcpad.peer_query(query);
        gst::log!(
            CAT,
            imp = self,
            "Downstream answered {answered} to {query:?}"
        );
        let gst::QueryViewMut::Allocation(allocation) = query.view_mut() else {
            return answered;
        };
        let settings = self.settings.lock().clone();
        let mut state = self.state.lock();
        let held = state.held_at_most(&settings);
        state.repacks = !allocation::follows_strides(allocation);
        drop(state);
        allocation::filter(allocation, held);
        true
    }
}
