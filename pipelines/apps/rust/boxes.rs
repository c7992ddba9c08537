//! Boxes and statistics in an application of your own, in Rust: boxes [FILE]
//!
//! Takes a picture or a video (without FILE the test picture of this repository), and prints a line for every box, read
//! from the metadata of the frames, and one for every message with statistics. `MODEL=/path/x.onnx` in the environment
//! selects another model. To be run with `cargo run --release --example boxes`.
//!
//! For a camera, put its source in the place of `filesrc ! decodebin`, and `sync=true` where the frames are shown.

use gst::prelude::*;
use gstdetect::bridge::message::DetectStats;
use gstdetect::bridge::meta;
use std::error::Error;

const PIPELINE: &str =
    "filesrc name=source ! decodebin ! videoconvert ! detect name=detect ! fakesink name=sink";
const TEST_PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/astronaut.jpg");

fn main() -> Result<(), Box<dyn Error>> {
    gst::init()?;
    // Needs no installed plugin; where one is installed, that is taken.
    gstdetect::register_static()?;

    let file = std::env::args().nth(1);
    let pipeline = gst::parse::launch(PIPELINE)?;
    let pipeline = pipeline
        .downcast::<gst::Pipeline>()
        .expect("PIPELINE has several elements");
    element(&pipeline, "source").set_property("location", file.as_deref().unwrap_or(TEST_PICTURE));
    if let Ok(model) = std::env::var("MODEL") {
        element(&pipeline, "detect").set_property("model", model);
    }

    // Called in the thread that pushes the frames, so it should be quick.
    let pad = element(&pipeline, "sink")
        .static_pad("sink")
        .expect("a fakesink has one");
    pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        if let Some(frame) = info.buffer() {
            print_boxes(frame);
        }
        gst::PadProbeReturn::Ok
    });

    let started = pipeline.set_state(gst::State::Playing);
    // An element that could not start has said why on the bus.
    let result = follow(&pipeline, started.is_ok());
    pipeline.set_state(gst::State::Null)?;
    result.and(started.map(drop).map_err(Into::into))
}

fn element(pipeline: &gst::Pipeline, name: &str) -> gst::Element {
    pipeline.by_name(name).expect("PIPELINE names it")
}

/// Boxes are in pixels of the frame.
fn print_boxes(frame: &gst::BufferRef) {
    let at = frame.pts().unwrap_or_default().mseconds() as f64 / 1000.0;
    for roi in meta::read(frame) {
        let score = roi.score.unwrap_or_default();
        println!(
            "{at:.2} s  {} {score:.2}  x {} y {} width {} height {}",
            roi.label, roi.x, roi.y, roi.width, roi.height
        );
    }
}

/// Until the end of the stream, or an error; of a pipeline that does not run, what is on the bus already.
fn follow(pipeline: &gst::Pipeline, running: bool) -> Result<(), Box<dyn Error>> {
    let bus = pipeline.bus().expect("a pipeline has one");
    let patience = (!running).then_some(gst::ClockTime::ZERO);
    for message in bus.iter_timed(patience) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => return Err(error.error().into()),
            // The delay that `detect` declares has changed: the sinks have to know.
            gst::MessageView::Latency(_) => pipeline.recalculate_latency()?,
            gst::MessageView::Element(_) => {
                if let Some(stats) = message.structure().and_then(DetectStats::from_structure) {
                    let model = stats.snapshot.model_mean.unwrap_or_default();
                    println!(
                        "FPS {:.1}, model {:.1} ms",
                        stats.snapshot.fps,
                        model.as_secs_f64() * 1e3
                    );
                }
            }
            _ => {}
        }
    }
    Ok(())
}
