//! What `detect` leaves on a buffer and everybody may read, [`attach`] and [`read`], and what it answers when it is
//! asked: [`Figures`].
//!
//! One region of interest ([`roi`]) for every detection, in the order given, best first.

mod figures;
pub mod roi;

pub use figures::Figures;

use crate::base::detection::Detection;
use crate::base::geometry::Size;

/// A detection in pixels of the frame, as it is to be told to others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Labelled<'a> {
    pub detection: Detection,
    pub label: &'a str,
    /// Unique in the stream, from 1.
    pub number: u64,
    /// Number of the object that is followed from frame to frame, from 1, where that is known.
    pub track: Option<u64>,
}

/// A region of interest as read from a buffer, whoever attached it. Numbers are as found, checked by nobody.
#[derive(Debug, Clone, PartialEq)]
pub struct Roi {
    /// Pixels of the buffer; may reach outside, also to the left of and above it.
    pub x: i64,
    pub y: i64,
    pub width: u32,
    pub height: u32,
    /// Empty where the producer gave none.
    pub label: String,
    /// 0..=1 where the producer keeps to that; always finite.
    pub score: Option<f64>,
    /// 0 = not set.
    pub id: i32,
    /// Number of the object that is followed from frame to frame, where somebody follows objects.
    pub track: Option<i64>,
    /// How much older than the frame the box is; none where it is the frame's own.
    pub age: Option<gst::ClockTime>,
}

/// Adds `detections` to a buffer whose picture has the size `frame`. `age` tells how much older than the frame they
/// are, where they are not its own.
pub fn attach(
    buffer: &mut gst::BufferRef,
    frame: Size,
    detections: &[Labelled<'_>],
    age: Option<gst::ClockTime>,
) {
    roi::attach(buffer, frame, detections, age);
}

/// Every region of interest of a buffer, in the order in which they were attached.
pub fn read(buffer: &gst::BufferRef) -> Vec<Roi> {
    roi::read(buffer)
}
