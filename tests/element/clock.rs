//! A clock that jumps: frames go on, and their age follows it.

use crate::support::{Rig, Source};
use gst::prelude::*;
use std::sync::atomic::Ordering;
use std::time::Duration;

mod imp {
    use gst::glib;
    use gst::subclass::prelude::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Shows what a test has set.
    #[derive(Default)]
    pub struct JumpingClock {
        pub now: AtomicU64,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for JumpingClock {
        const NAME: &'static str = "DetectTestJumpingClock";
        type Type = super::JumpingClock;
        type ParentType = gst::Clock;
    }

    impl ObjectImpl for JumpingClock {}
    impl GstObjectImpl for JumpingClock {}
    impl ClockImpl for JumpingClock {
        fn internal_time(&self) -> gst::ClockTime {
            gst::ClockTime::from_nseconds(self.now.load(Ordering::SeqCst))
        }
    }
}

gst::glib::wrapper! {
    pub struct JumpingClock(ObjectSubclass<imp::JumpingClock>) @extends gst::Clock, gst::Object;
}

impl JumpingClock {
    fn at(time: gst::ClockTime) -> Self {
        let clock: Self = glib::Object::new();
        clock.jump_to(time);
        clock
    }

    fn jump_to(&self, time: gst::ClockTime) {
        gst::subclass::prelude::ObjectSubclassIsExt::imp(self)
            .now
            .store(time.nseconds(), Ordering::SeqCst);
    }
}

const HOUR: gst::ClockTime = gst::ClockTime::from_seconds(3600);
const START: gst::ClockTime = gst::ClockTime::from_seconds(24 * 3600);

#[test]
fn an_age_is_never_below_zero_and_follows_the_clock_back() {
    let rig = Rig::stopped("mode=passthrough", Source::LIVE);
    let clock = JumpingClock::at(START);
    rig.element
        .set_clock(Some(&clock))
        .expect("it takes a clock");
    rig.element.set_base_time(START);
    rig.element
        .set_state(gst::State::Playing)
        .expect("the element plays");
    rig.begin();
    // GStreamer lets no clock run backwards: behind a jump back it stands still, and frames of the future are 0 s old.
    for (number, at) in [(0, START), (1, START + HOUR), (2, START), (200_000, START)] {
        clock.jump_to(at);
        rig.push(number).expect("it flows");
    }
    rig.wait_for_frames(4);
    let age = rig.stats().snapshot.age.expect("a live source");
    assert!(age.p99 <= Duration::from(HOUR), "{age:?}");
}
