//! `detectoverlay`: draws the boxes that a buffer carries.
//!
//! ```text
//! gst-launch-1.0 libcamerasrc ! detect ! detectoverlay ! videoconvert ! autovideosink
//! ```
//!
//! Every `GstVideoRegionOfInterestMeta` becomes a box of its class's colour with label, number of the track and score,
//! whichever element attached it. Where downstream can compose (`glimagesink`, for one), the pieces are handed on as
//! `GstVideoOverlayCompositionMeta` and the picture stays as it is; else they are painted into the picture, whose
//! format is kept. What `blur` names is pixelated in the picture itself, whoever composes. A frame of which nothing is
//! to change is passed on untouched and is not copied.
//!
//! The figures of `show-stats` are asked of upstream, see [`Figures`](crate::bridge::meta::Figures).

mod blur;
mod caps;
mod compose;
mod imp;
mod inquiry;
mod marks;
mod settings;
mod stream;

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
