//! A frame takes the lock of the shared state once for each step of its way.

use crate::support::{Rig, Source};
use gst::prelude::*;
use gstdetect::elements::detect::{Detect, LocksTaken};

const FRAMES: u64 = 200;

/// Locks taken by frames that come one after the other, each when the one before has left.
fn taken(properties: &str, source: Source) -> LocksTaken {
    let rig = Rig::with_source(properties, source);
    let detect = rig.element.downcast_ref::<Detect>().expect("a detect");
    let push = |from: u64| {
        for number in from..from + FRAMES {
            rig.push(number).unwrap();
            rig.wait_for_frames(number as usize + 1);
        }
    };
    push(0); // the source settles, delays are learned
    let before = detect.locks_taken();
    push(FRAMES);
    let after = detect.locks_taken();
    rig.assert_no_error();
    LocksTaken {
        state: after.state - before.state,
        others: after.others - before.others,
    }
}

#[test]
fn a_frame_in_the_line_takes_the_state_five_times() {
    // The chain, the worker before and after the analysis, the task before and after the push.
    for (mode, source) in [("every", Source::File), ("newest", Source::LIVE)] {
        let taken = taken(&format!("mode={mode} stats-interval=0"), source);
        // A LATENCY message now and then takes one more.
        let most = FRAMES * 5 + FRAMES / 10;
        assert!(taken.state <= most, "{mode}: {taken:?} for {FRAMES} frames");
        assert!(
            taken.state >= FRAMES * 4,
            "{mode}: {taken:?}, are they counted?"
        );
        let most = FRAMES * 2 + FRAMES / 10;
        assert!(
            taken.others <= most,
            "{mode}: {taken:?} for {FRAMES} frames"
        );
    }
}

#[test]
fn a_frame_that_leaves_at_once_takes_the_state_twice() {
    let rig = Rig::new("mode=passthrough stats-interval=0");
    let detect = rig.element.downcast_ref::<Detect>().expect("a detect");
    // The worker keeps its first frame, and so looks at no other.
    rig.control.close();
    let mut number = 0;
    while rig.control.started() < 2 {
        rig.push(number).unwrap();
        number += 1;
        std::thread::yield_now();
    }
    let before = detect.locks_taken();
    for number in number..number + FRAMES {
        rig.push(number).unwrap();
    }
    let after = detect.locks_taken();
    let state = after.state - before.state;
    let most = FRAMES * 2 + FRAMES / 10;
    assert!(
        (FRAMES * 2..=most).contains(&state),
        "{state} for {FRAMES} frames"
    );
    assert!(after.others - before.others <= FRAMES / 10);
}
