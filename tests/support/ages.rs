//! How old pictures are when they leave the element, measured from outside.

use gst::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub fn percentile(values: &[Duration], share: f64) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort();
    sorted[((sorted.len() as f64 * share) as usize).min(sorted.len() - 1)]
}

/// Ages of frames at the source pad of `detect`, measured from outside.
pub fn watch_ages(detect: &gst::Element) -> Arc<Mutex<Vec<Duration>>> {
    let ages = Arc::new(Mutex::new(Vec::new()));
    let (seen, element) = (ages.clone(), detect.downgrade());
    let pad = detect.static_pad("src").expect("an always pad");
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let running_time = || {
            let event = pad.sticky_event::<gst::event::Segment>(0)?;
            let segment = event.segment().downcast_ref::<gst::ClockTime>()?.clone();
            let pts = info.buffer()?.pts()?;
            let now = element.upgrade()?.current_running_time()?;
            Some(now.saturating_sub(segment.to_running_time(pts)?))
        };
        if let Some(age) = running_time() {
            seen.lock().unwrap().push(age.into());
        }
        gst::PadProbeReturn::Ok
    });
    ages
}
