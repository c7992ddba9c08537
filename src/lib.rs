//! GStreamer elements that find objects in live video with an ONNX model.

pub mod base;
pub mod bridge;
pub mod builtin;
pub mod convnet;
pub mod decode;
pub mod detector;
pub mod elements;
pub mod engine;
pub mod flow;
pub mod host;
pub mod model;
pub mod vision;

use gst::glib;

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

/// Registers an element, for a plugin or for this process.
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

/// For programs that link this crate: registers those elements that no installed plugin provides.
///
/// To be called after `gst::init()`. Elements are then made by name (`gst::ElementFactory::make("detectoverlay")`),
/// so that a program works with either copy and never mixes the two.
///
/// # Errors
/// When GStreamer refuses a registration.
pub fn register_static() -> Result<(), glib::BoolError> {
    ELEMENTS
        .iter()
        .filter(|(name, _)| gst::ElementFactory::find(name).is_none())
        .try_for_each(|(_, register)| register(None))
}
