//! Boxes on buffers, written with [`attach`] and read with [`read`], and [`Figures`], the answer to a query.
//!
//! Each detection is one region of interest ([`roi`]), in the order given, best first. Where GStreamer is 1.26 or later it
//! is also an entry of the analytics metadata (`analytics`). Both kinds are read, whoever attached them, and what is there
//! twice counts once (`joined`).

mod analytics;
mod figures;
mod joined;
mod quark;
pub mod roi;

pub use figures::Figures;

use crate::base::detection::Detection;
use crate::base::geometry::Size;

/// A detection in pixels of the frame, with label and numbers, ready to be attached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Labelled<'a> {
    /// Box, class and score.
    pub detection: Detection,
    /// Label of the class.
    pub label: &'a str,
    /// Number of the detection, unique in the stream, from 1.
    pub number: u64,
    /// Number of the tracked object, from 1, if it is known.
    pub track: Option<u64>,
    /// Running times of the frames in which that object was seen first and last, if they are known.
    pub seen: Option<(gst::ClockTime, gst::ClockTime)>,
    /// Time by which the box is older than the frame; `None` if it belongs to the frame.
    pub age: Option<gst::ClockTime>,
}

/// A box as read from a buffer, whoever attached it and in which metadata. Values are not checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Roi {
    /// Left edge in pixels of the buffer; may lie outside of it.
    pub x: i64,
    /// Top edge in pixels of the buffer; may lie outside of it.
    pub y: i64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Label; empty if the producer gave none.
    pub label: String,
    /// Score, always finite, and 0 to 1 if the producer keeps to that.
    pub score: Option<f64>,
    /// Number of the region; 0 = not set, or a detection of the analytics metadata alone.
    pub id: i32,
    /// Number of the tracked object, if an element tracks objects.
    pub track: Option<i64>,
    /// Time by which the box is older than the frame; `None` if it belongs to the frame.
    pub age: Option<gst::ClockTime>,
    /// Left, top, right and bottom edge, 0 to 1 of the frame it was found in, where the producer gave them.
    pub share: Option<[f64; 4]>,
}

/// Adds `detections` to a buffer whose picture has the size `frame`.
pub fn attach(buffer: &mut gst::BufferRef, frame: Size, detections: &[Labelled<'_>]) {
    let ids = analytics::attach(buffer, frame, detections);
    roi::attach(buffer, frame, detections, &ids);
}

/// Returns every box of a buffer: regions of interest in the order of attachment, then those of the analytics metadata that
/// are no regions of interest too.
pub fn read(buffer: &gst::BufferRef) -> Vec<Roi> {
    joined::join(roi::read(buffer), analytics::read(buffer))
}

/// Says why boxes are regions of interest alone in this process; `None` if they are written to and read from analytics
/// metadata too. The first call loads GStreamer's library for these.
pub fn analytics_absence() -> Option<&'static str> {
    analytics::absence()
}
