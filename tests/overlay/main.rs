//! The element `detectoverlay`: frames and metadata, formats, drawings, blurred boxes, and the line of statistics.

#[path = "../support/mod.rs"]
mod support;

mod blur;
mod formats;
mod frames;
mod golden;
mod metas;
mod stats;
