//! The element `detect`: finds objects in live video with an ONNX model.
//!
//! ```text
//! gst-launch-1.0 libcamerasrc ! detect model=x.onnx ! detectoverlay ! autovideosink
//! ```
//!
//! Frames pass untouched; for every detection a `GstVideoRegionOfInterestMeta` is attached, in pixels of the frame.
//! The model runs in a thread of its own: with a live source the newest frame waits while one is analysed, older
//! ones are dropped, counted and reported, so that the picture never lags more than one analysis and one frame.
//!
//! - `imp.rs` is the GObject and element side: properties, pads, state changes. `settings.rs` holds what the properties
//!   say, `properties.rs` declares them, `choices.rs` has their enums.
//! - `pads.rs` answers what comes in by the pads: buffers and events; `queries.rs` queries.
//! - `state.rs` is what the threads share, and the line between them; `frames.rs` what stands in it.
//! - `loading.rs` loads a model, before the first frame or beside the one in use; `loader.rs` has the threads for it.
//! - `worker.rs` is the threads that infer, `task.rs` the thread that pushes.
//! - `passthrough.rs` is the mode in which frames do not wait, `passing.rs` what it keeps between them.
//! - `boxes.rs` decides which boxes a frame carries.
//! - `report.rs` is what goes to the bus, `failure.rs` errors as a user should read them.

mod failure;
mod imp;
mod inputs;
mod loader;
mod loading;
mod lock;
mod pads;
mod passthrough;
mod queries;
mod report;
mod settings;
mod sizes;
mod state;
mod task;
mod worker;

pub use settings::choices::{DetectEngine, DetectPrecision, Mode};

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    /// See the module documentation, or `gst-inspect-1.0 detect`.
    pub struct Detect(ObjectSubclass<imp::Detect>) @extends gst::Element, gst::Object;
}

/// How often threads have taken the locks of an element.
#[cfg(feature = "stub-engine")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocksTaken {
    /// The lock of the state that the threads share.
    pub state: u64,
    /// All others together.
    pub others: u64,
}

#[cfg(feature = "stub-engine")]
impl Detect {
    /// Counts since the element was made. For tests: a frame must not cost more of them than it needs.
    pub fn locks_taken(&self) -> LocksTaken {
        use gst::subclass::prelude::ObjectSubclassIsExt;
        self.imp().locks_taken()
    }
}

/// Name of the element's factory.
pub const FACTORY: &str = "detect";

/// Registers the element with `plugin`, or with the process where that is `None`.
///
/// # Errors
/// If the name is taken by something else.
pub fn register(plugin: Option<&gst::Plugin>) -> Result<(), glib::BoolError> {
    gst::Element::register(plugin, FACTORY, gst::Rank::NONE, Detect::static_type())
}
