//! The promises that core `queue` is tested for beside the flow of events: buffers let go, queries and state changes while it
//! is flushed, lists of buffers.

use crate::support::{FRAME, PATIENCE, Rig, SIZE, Seen, Source, frame, video_info};
use gst::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const TIMES: u64 = 100;

/// Pixels that are counted while they are alive.
struct Pixels(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Pixels {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Pixels {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

fn counted(number: u64, alive: &Arc<AtomicUsize>) -> gst::Buffer {
    alive.fetch_add(1, Ordering::SeqCst);
    let pixels = vec![128; video_info(SIZE).size()];
    let mut buffer = gst::Buffer::from_slice(Pixels(pixels, alive.clone()));
    let writable = buffer.get_mut().expect("a new buffer");
    writable.set_offset(number);
    writable.set_pts(FRAME * number);
    buffer
}

#[test]
fn displaced_frames_are_let_go_at_once() {
    let rig = Rig::new("mode=newest");
    let alive = Arc::default();
    rig.control.close();
    rig.push_buffer(counted(0, &alive)).unwrap();
    assert!(rig.control.wait_until_running());
    for number in 1..10 {
        rig.push_buffer(counted(number, &alive)).unwrap();
        assert_eq!(alive.load(Ordering::SeqCst), 2, "one inside, one waits");
    }
    rig.control.open();
    rig.wait_for_frames(2);
}

#[test]
fn an_error_lets_the_frames_go_that_wait() {
    let rig = Rig::with_source("mode=every", Source::File);
    let alive = Arc::default();
    rig.sink_answers(Some(gst::FlowError::Error));
    rig.control.close();
    rig.push_buffer(counted(0, &alive)).unwrap();
    assert!(rig.control.wait_until_running());
    rig.push_buffer(counted(1, &alive)).unwrap();
    let (src, more) = (rig.source_pad(), alive.clone());
    // They wait for room until the error lets go of what is before them.
    let pushing =
        std::thread::spawn(move || (2..).find_map(|number| src.push(counted(number, &more)).err()));
    rig.control.open();
    assert_eq!(pushing.join().unwrap(), Some(gst::FlowError::Error));
    assert!(rig.control.wait_until_idle());
    let end = std::time::Instant::now() + PATIENCE;
    while alive.load(Ordering::SeqCst) > rig.buffers().len() {
        assert!(
            std::time::Instant::now() < end,
            "{alive:?} frames are alive"
        );
        std::thread::yield_now();
    }
}

#[test]
fn queries_while_it_is_flushed_and_stopped() {
    let rig = Rig::with_source("mode=every", Source::File);
    for round in 0..TIMES {
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| while rig.query(&mut gst::query::Drain::new()) {});
            let seen = rig.seen().len();
            rig.wait_for(|all| all[seen..].contains(&Seen::Query(gst::QueryType::Drain)));
            rig.event(gst::event::FlushStart::new());
            asking.join().unwrap();
        });
        if round % 2 == 0 {
            rig.flush_stop();
        } else {
            rig.element.set_state(gst::State::Null).unwrap();
            rig.element.set_state(gst::State::Playing).unwrap();
            rig.event(gst::event::FlushStop::new(true));
            rig.begin();
        }
    }
    rig.push(7).unwrap();
    rig.wait_for_frames(1);
    rig.assert_no_error();
}

#[test]
fn a_query_before_the_first_frame_is_answered_at_once() {
    for properties in ["mode=newest", "mode=every inference-interval=10"] {
        let rig = Rig::new(properties);
        assert!(rig.query(&mut gst::query::Drain::new()), "{properties}");
    }
}

#[test]
fn a_stop_while_a_flush_ends() {
    let rig = Rig::stopped("mode=newest", Source::LIVE);
    for number in 0..TIMES {
        rig.element.set_state(gst::State::Playing).unwrap();
        // Of the flush before, which the stopped element has not handed on.
        rig.event(gst::event::FlushStop::new(true));
        rig.begin();
        rig.push(number).unwrap();
        rig.event(gst::event::FlushStart::new());
        std::thread::scope(|scope| {
            let ending = scope.spawn(|| rig.event(gst::event::FlushStop::new(true)));
            rig.element.set_state(gst::State::Ready).unwrap();
            ending.join().unwrap();
        });
    }
    rig.element.set_state(gst::State::Playing).unwrap();
    rig.event(gst::event::FlushStop::new(true));
    rig.begin();
    rig.push(9999).unwrap();
    rig.wait_for(|seen| seen.contains(&Seen::Frame(9999)));
    rig.assert_no_error();
}

#[test]
fn a_list_of_buffers_is_its_frames() {
    let rig = Rig::with_source("mode=every", Source::File);
    let mut list = gst::BufferList::new();
    let writable = list.get_mut().expect("a new list");
    (0..5).for_each(|number| writable.add(frame(number, SIZE)));
    assert!(rig.source_pad().push_list(list).is_ok());
    assert_eq!(rig.wait_for_frames(5), [0, 1, 2, 3, 4]);
}
