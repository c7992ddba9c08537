//! Whatever a buffer says of its memory, it is read inside of it, or is an error that says what was met and wanted.

use crate::support::metas::{Layout, Random};
use crate::support::{FRAME, PATIENCE, Rig, Source};
use gst::prelude::*;
use gst_video::VideoInfo;
use gstdetect::base::geometry::Size;
use gstdetect::base::image::PixelFormat;
use gstdetect::bridge::video_frame::video_format;
use std::time::Instant;

const MODES: [(&str, Source); 5] = [
    ("newest", Source::LIVE),
    ("passthrough", Source::LIVE),
    ("passthrough", Source::File),
    ("every", Source::File),
    ("auto", Source::File),
];
/// Layouts of each format in each mode.
const LAYOUTS: usize = 8;

fn info(format: PixelFormat, size: Size) -> VideoInfo {
    VideoInfo::builder(video_format(format), size.width, size.height)
        .fps(25)
        .build()
        .expect("a usual format")
}

/// Plays, sends the buffer until it is analysed, and stops; returns the error.
fn error_of(rig: &Rig, info: &VideoInfo, buffer: &gst::Buffer) -> Option<String> {
    rig.element
        .set_state(gst::State::Playing)
        .expect("it plays");
    rig.event(gst::event::StreamStart::new("metas"));
    rig.event(gst::event::Caps::new(
        &info.to_caps().expect("a usual format"),
    ));
    rig.segment();
    let end = Instant::now() + PATIENCE;
    let error = loop {
        let _ = rig.push_buffer(buffer.clone());
        if let Some(message) = rig.bus.pop_filtered(&[gst::MessageType::Error]) {
            let gst::MessageView::Error(error) = message.view() else {
                unreachable!("nothing else was asked for");
            };
            break Some(error.error().message().to_owned());
        }
        if rig.stats().snapshot.counters.analysed > 0 {
            break None;
        }
        assert!(Instant::now() < end, "neither analysed nor refused");
        std::thread::yield_now();
    };
    rig.element.set_state(gst::State::Ready).expect("it stops");
    rig.bus.set_flushing(true);
    rig.bus.set_flushing(false);
    error
}

#[test]
fn a_meta_that_leaves_its_memory_is_an_error_in_every_format_and_mode() {
    let (mut random, mut refused, mut taken) = (Random::new(20_261_129), 0, 0);
    for (mode, source) in MODES {
        let rig = Rig::stopped(&format!("mode={mode}"), source);
        for format in PixelFormat::ALL {
            for number in 0..LAYOUTS {
                let size = [Size::new(45, 37), Size::new(64, 48)][number % 2];
                let layout = Layout::random(&mut random, format, size);
                let error = error_of(&rig, &info(format, size), &layout.buffer());
                assert_eq!(
                    error.is_none(),
                    layout.holds(format, size),
                    "{mode} {format:?}: {error:?} of {layout:?}"
                );
                let words = ["plane", "frame is"];
                let named = |error: &String| words.iter().any(|word| error.contains(word));
                assert!(error.as_ref().is_none_or(named), "{error:?}");
                *(if error.is_some() {
                    &mut refused
                } else {
                    &mut taken
                }) += 1;
            }
        }
    }
    assert!(
        refused > 200 && taken > 200,
        "{refused} refused, {taken} taken"
    );
}

#[test]
fn a_short_buffer_is_an_error_with_bytes_met_and_wanted_and_the_rows() {
    let size = Size::new(81, 15);
    for (format, bare, wanted, rows) in [
        (
            PixelFormat::Rgb,
            3645,
            3660,
            "15 rows of 243 bytes padded to 244",
        ),
        (
            PixelFormat::Gray8,
            1215,
            1260,
            "15 rows of 81 bytes padded to 84",
        ),
        (PixelFormat::Yuy2, 2460, 2460, "15 rows of 164 bytes"),
    ] {
        let info = info(format, size);
        assert_eq!(info.size(), wanted);
        let rig = Rig::stopped("", Source::LIVE);
        for length in [0, 1, 100, bare, wanted - 1, wanted] {
            let mut buffer = gst::Buffer::from_mut_slice(vec![128_u8; length]);
            buffer.get_mut().expect("a new buffer").set_pts(FRAME);
            let error = error_of(&rig, &info, &buffer);
            let Some(error) = error else {
                assert_eq!(length, wanted);
                continue;
            };
            for word in [
                &format!("{length} bytes"),
                &format!("expected {wanted}"),
                rows,
            ] {
                assert!(error.contains(word), "no \"{word}\" in: {error}");
            }
            assert_eq!(error.contains("without padding"), length == bare, "{error}");
        }
    }
}
