//! A frame costs the thread that brings it no allocation: a camera's has no time for any.

mod support;

use gst::prelude::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use support::{Rig, frame, rig::SIZE};

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    /// Allocations of this thread.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    // A thread that ends may allocate when its own storage is gone.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[test]
fn a_frame_passes_without_allocations() {
    const FRAMES: u64 = 1000;
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
    let rig = Rig::new("mode=newest classes=cat,dog");
    rig.element.set_property("inference-interval", 2u32);
    rig.control.close();
    rig.push(0).unwrap();
    assert!(rig.control.wait_until_running());
    let frames: Vec<_> = (1..=FRAMES).map(|number| frame(number, SIZE)).collect();
    let before = ALLOCATIONS.get();
    for frame in frames {
        rig.push_buffer(frame).unwrap();
    }
    let made = ALLOCATIONS.get() - before;
    // Windows of statistics grow, and a QoS message is posted once a second.
    assert!(made < 50, "{made} allocations for {FRAMES} frames");
    assert_eq!(rig.stats().snapshot.counters.received, FRAMES + 1);
}
