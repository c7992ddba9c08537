//! Queries of both pads. A serialized query travels in the line and is answered by the source pad's task.

use super::CAT;
use super::imp::Detect;
use super::lock::assert_none_held;
use super::state::frame::Item;
use crate::bridge::lent_query::LentQuery;
use crate::bridge::meta::Figures;
use crate::bridge::{allocation, video_frame};
use gst::prelude::*;
use gst::subclass::prelude::*;

impl Detect {
    pub(super) fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        gst::log!(CAT, obj = pad, "{query:?}");
        if !query.is_serialized() {
            let answered = gst::Pad::query_default(pad, Some(&*self.obj()), query);
            if let gst::QueryViewMut::Caps(caps) = query.view_mut() {
                prefer_our_order(caps);
            }
            return answered;
        }
        let (go_on, eos) = self.state.lock().queries_go_on();
        if go_on {
            return !eos && self.answer_serialized(query);
        }
        LentQuery::lend(query, |lent| {
            let refused = self.state.lock().query_arrived(Item::Query(lent));
            self.wake.notify_all();
            drop(refused); // which answers it with FALSE
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

    /// Adds the declared delay to upstream's minimum and maximum, and to the maximum also the time that the output can hold
    /// frames.
    fn answer_latency(&self, query: &mut gst::query::Latency) -> bool {
        let mut upstream = gst::query::Latency::new();
        assert_none_held();
        if !self.sinkpad.peer_query(&mut upstream) {
            gst::debug!(CAT, imp = self, "Upstream cannot tell its latency yet");
            self.state.lock().latency_refused();
            return false;
        }
        let (live, min, max) = upstream.result();
        if !live {
            query.set(live, min, max);
            return true;
        }
        let (delay, held) = self.state.lock().latency(self.now());
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

    /// Asks downstream. The answer to ALLOCATION keeps its metadata, but not pools and allocators other than plain system
    /// memory, nor crop metadata, which the reader of pixels does not follow.
    ///
    /// Upstream may use any strides and offsets. Where downstream cannot follow them, the frames that leave are copied here.
    pub(super) fn answer_serialized(&self, query: &mut gst::QueryRef) -> bool {
        assert_none_held();
        let answered = self.srcpad.peer_query(query);
        gst::log!(
            CAT,
            imp = self,
            "Downstream answered {answered} to {query:?}"
        );
        let gst::QueryViewMut::Allocation(allocation) = query.view_mut() else {
            return answered;
        };
        let follows_strides = allocation::follows_strides(allocation);
        let held = self.state.lock().allocation_answered(follows_strides);
        allocation::filter(allocation, held);
        true
    }
}

/// Puts the answer to a CAPS query in our order of preference, whatever the order of whoever asks and of downstream.
fn prefer_our_order(query: &mut gst::query::Caps) {
    if let Some(answer) = query.result().filter(|caps| !caps.is_any()) {
        let ordered = video_frame::in_order_of_preference(answer);
        query.set_result(&ordered);
    }
}
