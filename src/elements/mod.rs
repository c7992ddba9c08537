//! The elements: pads, events, queries, properties and locks.

pub mod detect;
pub mod overlay;
