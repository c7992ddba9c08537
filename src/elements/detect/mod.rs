//! The element `detect`: finds objects in live video with an ONNX model.
//!
//! ```text
//! gst-launch-1.0 libcamerasrc ! detect model=x.onnx ! detectoverlay ! autovideosink
//! ```
//!
//! Frames leave untouched; for every detection a `GstVideoRegionOfInterestMeta` is attached, in pixels of the frame. The
//! model runs in a thread of its own. With a live source the newest frame waits while another is analysed, and older ones
//! are dropped, counted and reported, so the picture never lags by more than one analysis and one frame.
//!
//! - `imp.rs` is the GObject and element side: properties, state changes, the locks and their order. `settings/` holds the
//!   values of the properties and declares them.
//! - `pads.rs` takes buffers, `events.rs` events, `queries.rs` queries.
//! - `state/` is what the threads share, behind one lock: each thread reports what has happened and is given its next step.
//! - `worker.rs` runs the threads that infer, `task.rs` the thread that pushes, `passthrough.rs` the mode without a line
//!   between the pads.
//! - `loading.rs` loads a model before the first frame, `swap.rs` another one beside it, `sizes.rs` the same at another input
//!   size; `loader.rs` has the threads for all of them, `watch.rs` says how long somebody waits, `model_slot.rs` what they leave for the workers, `detectors.rs` what a
//!   worker has.
//! - `report.rs` posts on the bus, `failure.rs` puts errors into words.

mod detectors;
mod events;
mod failure;
mod imp;
mod inputs;
mod loader;
mod loading;
mod lock;
mod model_slot;
mod numbers;
mod pads;
mod passthrough;
mod queries;
mod report;
mod settings;
mod sizes;
mod state;
mod swap;
mod task;
mod watch;
mod worker;

pub use settings::choices::{DetectEngine, DetectPrecision, Mode};

use crate::engine::panics;
use gst::glib;
use gst::prelude::*;
use std::sync::LazyLock;

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

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        FACTORY,
        gst::DebugColorFlags::empty(),
        Some("Object detection"),
    )
});

/// Name of the element's factory.
pub const FACTORY: &str = "detect";

/// Registers the element with `plugin`, or with the process where that is `None`.
///
/// # Errors
/// If something else has registered the name.
pub fn register(plugin: Option<&gst::Plugin>) -> Result<(), glib::BoolError> {
    panics::log_to(|text| gst::warning!(CAT, "{text}"));
    gst::Element::register(plugin, FACTORY, gst::Rank::NONE, Detect::static_type())
}
