//! A source with few buffers, as a camera has: `detect` must not keep them.

mod support;

use gst::prelude::*;
use support::{FRAME, Rig, SIZE, Source, video_info};

/// A pool of so many buffers of the rig's size, and no more.
fn pool(buffers: u32) -> gst::BufferPool {
    let pool = gst::BufferPool::new();
    let info = video_info(SIZE);
    let caps = info.to_caps().expect("a usual format");
    let mut config = pool.config();
    config.set_params(Some(&caps), info.size() as u32, buffers, buffers);
    pool.set_config(config).expect("a plain pool");
    pool.set_active(true).expect("there is memory");
    pool
}

/// A buffer of the pool if it has one just now, as a camera asks.
fn take(pool: &gst::BufferPool, number: u64) -> Option<gst::Buffer> {
    let params = gst::BufferPoolAcquireParams::with_flags(gst::BufferPoolAcquireFlags::DONTWAIT);
    let mut buffer = pool.acquire_buffer(Some(&params)).ok()?;
    let writable = buffer.get_mut().expect("just acquired");
    writable.set_offset(number);
    writable.set_pts(FRAME * number);
    Some(buffer)
}

/// How many buffers the pool can give just now.
fn free(pool: &gst::BufferPool) -> usize {
    let taken: Vec<_> = std::iter::from_fn(|| take(pool, 0)).collect();
    taken.len()
}

#[test]
fn one_buffer_of_a_live_source_is_held_at_the_most() {
    let rig = Rig::new("mode=newest");
    let pool = pool(2);
    rig.control.close();
    rig.push_buffer(take(&pool, 0).unwrap()).unwrap();
    assert!(rig.control.wait_until_running());
    assert_eq!(free(&pool), 2, "the frame inside the engine is a copy");
    for number in 1..100 {
        let buffer = take(&pool, number).expect("the pool never runs dry");
        rig.push_buffer(buffer).unwrap();
        assert_eq!(free(&pool), 1, "the one that waits is held");
    }
    rig.control.open();
    assert_eq!(rig.wait_for_frames(2), [0, 99]);
    drop(rig);
    pool.set_active(false).expect("every buffer has come back");
}

#[test]
fn a_copied_frame_keeps_its_stamps_and_pixels() {
    let rig = Rig::new("mode=newest");
    let pool = pool(1);
    let mut buffer = take(&pool, 7).unwrap();
    {
        let mut map = buffer.get_mut().unwrap().map_writable().unwrap();
        map.iter_mut()
            .zip(0u32..)
            .for_each(|(byte, n)| *byte = n as u8);
    }
    rig.push_buffer(buffer).unwrap();
    rig.wait_for_frames(1);
    let came = rig.buffers().pop().unwrap();
    assert_eq!((came.offset(), came.pts()), (7, Some(FRAME * 7)));
    let map = came.map_readable().unwrap();
    assert!(map.iter().zip(0u32..).all(|(byte, n)| *byte == n as u8));
}

#[test]
fn frames_of_a_file_are_not_copied() {
    let rig = Rig::with_source("mode=every", Source::File);
    let pool = pool(2);
    rig.control.close();
    rig.push_buffer(take(&pool, 0).unwrap()).unwrap();
    assert!(rig.control.wait_until_running());
    assert_eq!(free(&pool), 1, "the decoder's own buffer is passed on");
    rig.control.open();
    rig.wait_for_frames(1);
}
