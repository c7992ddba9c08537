//! Real models, pictures and clips, against the reference. All need the folder of shared models in `DETECT_SHARED`; without
//! it they are skipped, and say so.

#[path = "../support/mod.rs"]
mod support;

mod shared_models;
mod track_clips;
