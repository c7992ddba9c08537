//! Converts GStreamer types to ours and back. Decides nothing.
//!
//! Numbers of buffers and metadata are those of any element, so clippy refuses unchecked operations on them.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod allocation;
mod frame_error;
mod frame_layout;
pub mod frame_pool;
pub mod lent_query;
pub mod message;
pub mod meta;
pub mod video_frame;
