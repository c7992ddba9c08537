//! The element `detectoverlay`: draws the boxes that a buffer carries.
//!
//! ```text
//! gst-launch-1.0 libcamerasrc ! detect ! detectoverlay ! videoconvert ! autovideosink
//! ```
//!
//! Every `GstVideoRegionOfInterestMeta`, whichever element attached it, becomes a box in the colour of its class, with label,
//! number of the track and score. If downstream can compose (`glimagesink` can), the pieces are attached as
//! `GstVideoOverlayCompositionMeta` and the picture stays unchanged; otherwise they are painted into the picture, whose
//! format is kept. Boxes that `blur` names are always pixelated in the picture itself. A frame that needs no change leaves
//! untouched and is not copied.
//!
//! For `show-stats` the element asks upstream, see [`Figures`](crate::bridge::meta::Figures).

mod blur;
mod caps;
mod compose;
mod fonts;
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

/// Registers the element with `plugin`, or with the process where that is `None`.
///
/// # Errors
/// If GStreamer refuses the registration.
pub fn register(plugin: Option<&gst::Plugin>) -> Result<(), glib::BoolError> {
    gst::Element::register(plugin, NAME, gst::Rank::NONE, DetectOverlay::static_type())
}
