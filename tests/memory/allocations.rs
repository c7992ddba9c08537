//! A frame costs the thread that brings it no allocation: a camera's has no time for any. Nor does it cost those that
//! analyse it and send it on, when they have warmed up; what the engine itself does is its own.

use crate::counting::{ALL, ALLOCATIONS, alone};
use crate::support::{Rig, Source, frame, rig::SIZE};
use gst::prelude::*;
use std::sync::atomic::Ordering;
use std::time::Instant;

#[test]
fn an_analysis_costs_no_allocations() {
    const FRAMES: u64 = 1000;
    let _alone = alone();
    let rig = Rig::with_source("mode=every stats-interval=0", Source::File);
    let frames = |from: u64| (from..from + FRAMES).map(|number| frame(number, SIZE));
    for frame in frames(0) {
        rig.push_buffer(frame).unwrap();
    }
    rig.wait_for_frames(FRAMES as usize);
    let frames: Vec<_> = frames(FRAMES).collect();
    let (begin, before) = (Instant::now(), ALL.load(Ordering::Relaxed));
    for frame in frames {
        rig.push_buffer(frame).unwrap();
    }
    rig.wait_for_frames(2 * FRAMES as usize);
    let made = ALL.load(Ordering::Relaxed) - before;
    // Windows of statistics grow, and so do the rig's lists; a LATENCY message, which makes 51, is posted once a second.
    let most = 100 + 60 * (1 + begin.elapsed().as_secs() as usize);
    assert!(made < most, "{made} allocations for {FRAMES} frames");
}

#[test]
fn a_frame_passes_without_allocations() {
    const FRAMES: u64 = 1000;
    let _alone = alone();
    let rig = Rig::new("mode=passthrough tracking=true");
    rig.control.close();
    let mut pushed = 0;
    while rig.control.started() < 2 {
        rig.push(0).unwrap(); // until the worker is ready to look at one
        pushed += 1;
        std::thread::yield_now();
    }
    let frames: Vec<_> = (1..=FRAMES).map(|number| frame(number, SIZE)).collect();
    let before = ALLOCATIONS.get();
    for frame in frames {
        rig.push_buffer(frame).unwrap();
    }
    let made = ALLOCATIONS.get() - before;
    // Windows of statistics grow, and so do the rig's lists.
    assert!(made < 50, "{made} allocations for {FRAMES} frames");
    assert_eq!(rig.stats().snapshot.counters.pushed, FRAMES + pushed);
}

#[test]
fn a_frame_is_handed_over_without_allocations() {
    const FRAMES: u64 = 1000;
    let _alone = alone();
    let rig = Rig::new("mode=newest classes=cat,dog");
    rig.element.set_property("inference-interval", 2u32);
    rig.control.close();
    rig.push(0).unwrap();
    assert!(rig.control.wait_until_running());
    let frames: Vec<_> = (1..=FRAMES).map(|number| frame(number, SIZE)).collect();
    let (begin, before) = (Instant::now(), ALLOCATIONS.get());
    for frame in frames {
        rig.push_buffer(frame).unwrap();
    }
    let made = ALLOCATIONS.get() - before;
    // Windows of statistics grow, and a QoS message is posted once a second.
    let most = 50 + 25 * begin.elapsed().as_secs() as usize;
    assert!(made < most, "{made} allocations for {FRAMES} frames");
    assert_eq!(rig.stats().snapshot.counters.received, FRAMES + 1);
}
