//! A camera of four buffers that never waits for one, and a sink that keeps its last sample: whatever the engine is doing, the
//! camera gets its buffers back, and no frame is copied twice. The test decides when a picture is made and when an analysis
//! ends; `tests/measure` does the same by the clock.

use crate::counting::alone;
use crate::support::camera::{Camera, Plan};
use crate::support::copies::{
    MOST_MEMORIES, SIZE, copies, count_copies, count_lent, line, memories, until_eos,
};
use crate::support::{self, Folder, PATIENCE};
use gst::prelude::*;
use gstdetect::engine::stub::Control;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, channel};

const PICTURES: u64 = 120;
/// So many pictures come while one is analysed.
const ANALYSIS: u64 = 6;

/// Tells of every frame that leaves.
fn leaving(detect: &gst::Element) -> Receiver<()> {
    let (tell, leaving) = channel();
    let pad = detect.static_pad("src").expect("an always pad");
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let _ = tell.send(());
        gst::PadProbeReturn::Ok
    });
    leaving
}

#[test]
fn a_camera_of_four_buffers_gets_them_back_and_no_frame_is_copied_twice() {
    let _alone = alone();
    support::init();
    count_copies();
    // The second one follows no strides.
    for sink in ["fakevideosink", "fakesink"] {
        let folder = Folder::new();
        let model = folder.path().join("slow.onnx");
        std::fs::copy(support::micro_model("yolov8_micro.onnx"), &model).expect("it is there");
        let control = Control::for_model(Some(&model));
        let camera = Camera::new(Plan {
            size: SIZE,
            fps: 60,
            pictures: PICTURES,
            on_demand: true,
        });
        let (pipeline, detect) = line(&camera, &model, sink, false);
        let (lent, leaving) = (count_lent(&detect), leaving(&detect));
        let before = (copies(), memories());
        pipeline.set_state(gst::State::Playing).expect("it plays");
        control.close(); // the warm-up is over
        for number in 0..PICTURES - 1 {
            camera.take_picture();
            assert!(control.wait_until_running());
            if number % ANALYSIS == 0 {
                control.pass(1);
                leaving.recv_timeout(PATIENCE).expect("a frame leaves");
            }
        }
        control.open();
        camera.take_picture();
        until_eos(&pipeline);
        let (counts, left) = (camera.counts(), (PICTURES - 1).div_ceil(ANALYSIS));
        let left = left + leaving.try_iter().count() as u64;
        assert_eq!((counts.pushed, counts.lost), (PICTURES, 0), "{sink}");
        assert!(!counts.must_copy, "the camera had to copy every frame");
        assert!(counts.buffers.is_some(), "what is held is not told");
        assert_eq!(copies() - before.0, left, "a frame is copied once");
        let memories = memories() - before.1;
        assert!(memories <= MOST_MEMORIES, "{memories} memories");
        assert_eq!(lent.load(Relaxed), 0, "a frame left in the camera's memory");
        pipeline.set_state(gst::State::Null).expect("it stops");
    }
}
