//! `detectoverlay`: draws the boxes that a buffer carries.
//!
//! ```text
//! gst-launch-1.0 libcamerasrc ! detect ! detectoverlay ! videoconvert ! autovideosink
//! ```
//!
//! Every `GstVideoRegionOfInterestMeta` becomes a box of its class's colour with label and score, whichever element
//! attached it. Where downstream can compose (`glimagesink`, for one), the pieces are handed on as
//! `GstVideoOverlayCompositionMeta` and the picture stays as it is; else they are painted into the picture, whose
//! format is kept. A frame without detections is passed on untouched and is not copied.

mod caps;
mod compose;
mod imp;
mod marks;
mod settings;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    /// The element `detectoverlay`.
    pub struct DetectOverlay(ObjectSubclass<imp::DetectOverlay>) @extends gst::Element, gst::Object;
}

/// Name of the factory.
pub const NAME: &str = "detectoverlay";

/// Registers the element, for `plugin` or, without one, for this process.
///
/// # Errors
/// When GStreamer refuses the registration.
pub fn register(plugin: Option<&gst::Plugin>) -> Result<(), glib::BoolError> {
    gst::Element::register(plugin, NAME, gst::Rank::NONE, DetectOverlay::static_type())
}
