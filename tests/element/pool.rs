//! A source with few buffers, as a camera has: `detect` must not keep them.

use crate::support::{FRAME, Rig, SIZE, Source, video_info};
use gst::prelude::*;

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

#[test]
fn of_live_frames_that_pass_one_is_held_at_the_most() {
    let rig = Rig::new("mode=every inference-interval=6");
    let between = pool(3);
    rig.control.close();
    rig.push_buffer(take(&between, 0).unwrap()).unwrap();
    assert!(rig.control.wait_until_running());
    for number in 1..7 {
        rig.push_buffer(take(&between, number).unwrap()).unwrap();
        assert_eq!(
            free(&between),
            2,
            "{number} is a copy, or the only one held"
        );
    }
    rig.control.open();
    assert_eq!(rig.wait_for_frames(7), [0, 1, 2, 3, 4, 5, 6]);

    let rig = Rig::new("mode=newest active=false");
    let inactive = pool(3);
    rig.block_sink();
    rig.push_buffer(take(&inactive, 0).unwrap()).unwrap();
    rig.wait_for_frames(1); // the sink has it
    for number in 1..30 {
        rig.push_buffer(take(&inactive, number).unwrap()).unwrap();
        assert!(free(&inactive) >= 1, "{number}");
    }
    rig.unblock_sink();
    rig.event(gst::event::Eos::new());
    rig.wait_for_eos();
    assert_eq!(rig.numbers().last(), Some(&29));
}

/// The fewest buffers that the element asks for, whose sink says nothing of them, and whether it follows strides.
fn allocation(rig: &Rig) -> (u32, bool) {
    let caps = video_info(SIZE).to_caps().expect("a usual format");
    let mut query = gst::query::Allocation::new(Some(&caps), true);
    assert!(rig.query(&mut query));
    let pools: Vec<_> = query.allocation_pools().collect();
    assert_eq!(pools.len(), 1, "{pools:?}");
    assert_eq!(pools[0].1, video_info(SIZE).size() as u32);
    let strides = query.find_allocation_meta::<gst_video::VideoMeta>();
    (pools[0].2, strides.is_some())
}

#[test]
fn the_answer_to_allocation_counts_what_may_be_held() {
    for (properties, buffers) in [
        ("mode=every", 3),
        ("mode=every workers=2", 4),
        ("mode=every inference-interval=4", 6),
        ("mode=every inference-interval=100", 11),
        ("mode=every max-rate=5", 11),
        ("mode=newest inference-interval=4", 3),
        ("active=false", 11),
    ] {
        let rig = Rig::with_source(properties, Source::File);
        assert_eq!(allocation(&rig), (buffers, true), "{properties}");
    }
    let rig = Rig::new("mode=every inference-interval=4");
    rig.push(0).unwrap();
    rig.wait_for_frames(1);
    // One, and another while it is copied.
    assert_eq!(allocation(&rig), (2, true), "a live source");
}

/// A frame whose rows are longer than usual, with the numbers of its pixels.
fn padded(number: u64) -> gst::Buffer {
    let (width, height) = (SIZE.0 as usize * 3, SIZE.1 as usize);
    let stride = width + 40;
    let mut rows = vec![0xff; stride * height];
    for (y, row) in rows.chunks_exact_mut(stride).enumerate() {
        (row[..width].iter_mut().enumerate()).for_each(|(x, byte)| *byte = (x * 7 + y) as u8);
    }
    let mut buffer = gst::Buffer::from_mut_slice(rows);
    let writable = buffer.get_mut().expect("just made");
    writable.set_offset(number);
    writable.set_pts(FRAME * number);
    gst_video::VideoMeta::add_full(
        writable,
        gst_video::VideoFrameFlags::empty(),
        gst_video::VideoFormat::Rgb,
        SIZE.0,
        SIZE.1,
        &[0],
        &[stride as i32],
    )
    .expect("the rows have room");
    buffer
}

#[test]
fn a_sink_that_follows_no_strides_gets_the_usual_ones() {
    let every = "mode=every inference-interval=2";
    for (properties, source) in [
        (every, Source::LIVE),
        (every, Source::File),
        ("mode=passthrough", Source::LIVE),
        ("mode=passthrough", Source::File),
    ] {
        let rig = Rig::with_source(properties, source);
        rig.push_buffer(padded(0)).unwrap();
        rig.wait_for_frames(1);
        // The sink that is asked says that it does not.
        allocation(&rig);
        rig.push_buffer(padded(1)).unwrap();
        rig.push_buffer(padded(2)).unwrap();
        rig.wait_for_frames(3);
        let stride = |buffer: &gst::Buffer| {
            let meta = buffer.meta::<gst_video::VideoMeta>();
            meta.map(|meta| meta.stride()[0])
        };
        let buffers = rig.buffers();
        let strides: Vec<_> = buffers.iter().map(stride).collect();
        assert_eq!(strides, [Some(232), None, None], "{properties} {source:?}");
        for buffer in &buffers[1..] {
            let map = buffer.map_readable().unwrap();
            assert_eq!(map.len(), video_info(SIZE).size());
            let as_made = |(n, byte): (usize, &u8)| *byte == ((n % 192) * 7 + n / 192) as u8;
            assert!(map.iter().enumerate().all(as_made));
        }
        assert_eq!(buffers[2].pts(), Some(FRAME * 2));
    }
}
