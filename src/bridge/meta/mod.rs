//! Boxes on buffers, written with [`attach`] and read with [`read`], and [`Figures`], the answer to a query.
//!
//! Each detection is one region of interest ([`roi`]), in the order given, best first.

mod figures;
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
}

/// A region of interest as read from a buffer, whoever attached it. Values are not checked.
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
    /// Number of the region; 0 = not set.
    pub id: i32,
    /// Number of the tracked object, if an element tracks objects.
    pub track: Option<i64>,
    /// Time by which the box is older than the frame; `None` if it belongs to the frame.
    pub age: Option<gst::ClockTime>,
}

/// Adds `detections` to a buffer whose picture has the size `frame`. `age` is the time by which they are older than the
/// frame, if they are.
pub fn attach(
    buffer: &mut gst::BufferRef,
    frame: Size,
    detections: &[Labelled<'_>],
    age: Option<gst::ClockTime>,
) {
    roi::attach(buffer, frame, detections, age);
}

/// Returns every region of interest of a buffer, in the order of attachment.
pub fn read(buffer: &gst::BufferRef) -> Vec<Roi> {
    roi::read(buffer)
}
