//! Converts GStreamer types to ours and back. Decides nothing.

pub mod allocation;
mod frame_error;
mod frame_layout;
pub mod frame_pool;
pub mod lent_query;
pub mod message;
pub mod meta;
pub mod video_frame;
