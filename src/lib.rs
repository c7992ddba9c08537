//! GStreamer elements that find objects in live video with an ONNX model.
//!
//! Users of the plugin read the [`guide`]. Programs that link this crate call [`register_static`], make the elements by
//! name, and use the types of [`bridge`] to read what the elements attach and post.
//!
//! # Crate map
//!
//! The folders are the layers. A folder imports from those above it in this list, never from those below.
//! `tests/layering.rs` checks this.
//!
//! ```text
//! base/      the vocabulary: geometry, pictures, tensors, detections, classes; std only
//! host/      the machine: processors, memory, temperature
//! flow/      whose turn it is: mailbox, pace, statistics; pure state machines, time is an argument
//! vision/    pixels and boxes: letterbox, preprocess, suppression, tracking, drawing
//! convnet/   the executor for convolutional networks
//! onnx/      reading, checking and rewriting ONNX files
//! families/  one folder for each family of detectors: how it is recognised and decoded; the card
//! model/     from a file to a recognised model with a rewritten graph
//! engine/    what runs the graph: tract, ONNX Runtime, OpenVINO
//! detector/  picture in, detections out
//! bridge/    GStreamer types to ours and back; no policy
//! elements/  detect and detectoverlay: pads, events, properties, locks
//! bin/       the program detect-bench
//! guide/     the manual
//! ```
//!
//! # Detecting in a picture
//!
//! ```
//! use gst::prelude::*;
//! use gstdetect::base::detection::Thresholds;
//! use gstdetect::bridge::video_frame;
//! use gstdetect::detector::{Detector, DetectorOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Any way to decoded pixels will do; here GStreamer reads the test picture.
//! gst::init()?;
//! let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/astronaut.jpg");
//! let pipeline = gst::parse::launch(&format!("filesrc location={picture} ! jpegdec ! appsink name=out"))?
//!     .downcast::<gst::Pipeline>()
//!     .expect("several elements make a pipeline");
//! pipeline.set_state(gst::State::Playing)?;
//! let out = pipeline.by_name("out").expect("it was just named");
//! let sample = out.emit_by_name::<gst::Sample>("pull-sample", &[]);
//!
//! // The default options select the built-in face detector.
//! let mut detector = Detector::open(&DetectorOptions::default())?;
//! let thresholds = Thresholds {
//!     score: detector.model().score_threshold,
//!     iou: detector.model().iou_threshold,
//!     class_agnostic: false,
//!     max_detections: 100,
//!     min_size: 0,
//!     classes: None,
//! };
//! let info = gst_video::VideoInfo::from_caps(sample.caps().expect("decoded pictures have caps"))?;
//! let buffer = sample.buffer().expect("a sample of one picture");
//! let picture = video_frame::picture_info(&info)?;
//! let frame = video_frame::readable(buffer, &info, &picture)?;
//! let view = video_frame::view(&frame, &picture)?;
//! let analysis = detector.detect(&view, &thresholds)?;
//!
//! let face = &analysis.detections[0];
//! println!("{} {:.2} at {:?}", detector.model().labels.get(face.class), face.score, face.bbox);
//! assert!(face.score > 0.8);
//! # pipeline.set_state(gst::State::Null)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Reading the boxes of a buffer
//!
//! ```
//! use gst::prelude::*;
//! use gstdetect::bridge::meta;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! gst::init()?;
//! gstdetect::register_static()?;
//! let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/astronaut.jpg");
//! let pipeline =
//!     gst::parse::launch(&format!("filesrc location={picture} ! jpegdec ! detect ! appsink name=out"))?
//!         .downcast::<gst::Pipeline>()
//!         .expect("several elements make a pipeline");
//! pipeline.set_state(gst::State::Playing)?;
//! let out = pipeline.by_name("out").expect("it was just named");
//! let sample = out.emit_by_name::<gst::Sample>("pull-sample", &[]);
//!
//! for roi in meta::read(sample.buffer().expect("a sample of one frame")) {
//!     println!("{} at {},{}, {} x {} pixels", roi.label, roi.x, roi.y, roi.width, roi.height);
//!     assert_eq!(roi.label, "face");
//! }
//! # assert_eq!(meta::read(sample.buffer().unwrap()).len(), 1);
//! # pipeline.set_state(gst::State::Null)?;
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

pub mod base;
pub mod bridge;
#[allow(missing_docs)]
pub mod convnet;
pub mod detector;
pub mod elements;
pub mod engine;
pub mod families;
pub mod flow;
pub mod guide;
pub mod host;
pub mod model;
pub mod onnx;
pub mod vision;

use gst::glib;

/// Holds what the macro makes: the plugin's descriptor and entry point.
#[allow(missing_docs)]
mod plugin {
    use super::plugin_init;

    gst::plugin_define!(
        detect,
        env!("CARGO_PKG_DESCRIPTION"),
        plugin_init,
        concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
        // MIT OR Apache-2.0; GStreamer knows single licences only.
        "MIT/X11",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_NAME"),
        "Unknown package origin",
        env!("BUILD_REL_DATE")
    );
}

/// Registers an element for a plugin, or for this process without one.
type Register = fn(Option<&gst::Plugin>) -> Result<(), glib::BoolError>;

const ELEMENTS: &[(&str, Register)] = &[
    (elements::detect::FACTORY, elements::detect::register),
    (elements::overlay::NAME, elements::overlay::register),
];

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    ELEMENTS
        .iter()
        .try_for_each(|(_, register)| register(Some(plugin)))
}

/// Registers the elements that no installed plugin provides, for programs that link this crate.
///
/// Call it after `gst::init()`, and make elements by name (`gst::ElementFactory::make("detectoverlay")`). The program
/// then works with either copy and never mixes the two.
///
/// # Errors
/// GStreamer refuses a registration.
pub fn register_static() -> Result<(), glib::BoolError> {
    ELEMENTS
        .iter()
        .filter(|(name, _)| gst::ElementFactory::find(name).is_none())
        .try_for_each(|(_, register)| register(None))
}
