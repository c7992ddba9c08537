//! [`of_pipeline`]: the count of detections and objects that all `detect` of one pipeline share.

use crate::vision::track::Numbers;
use gst::prelude::*;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// The counts in use, with the outermost bin of their elements.
static SHARED: Mutex<Vec<(glib::WeakRef<gst::Object>, Weak<Numbers>)>> = Mutex::new(Vec::new());

/// Returns the count of the pipeline that `element` is in. It begins anew when no element has it any more.
pub(super) fn of_pipeline(element: &super::Detect) -> Arc<Numbers> {
    let mut outermost: gst::Object = element.clone().upcast();
    while let Some(parent) = outermost.parent() {
        outermost = parent;
    }
    let mut shared = SHARED.lock();
    shared.retain(|(_, numbers)| numbers.strong_count() > 0);
    let of_this = shared
        .iter()
        .filter(|(bin, _)| bin.upgrade().as_ref() == Some(&outermost))
        .find_map(|(_, numbers)| numbers.upgrade());
    of_this.unwrap_or_else(|| {
        let numbers = Arc::new(Numbers::default());
        shared.push((outermost.downgrade(), Arc::downgrade(&numbers)));
        numbers
    })
}
