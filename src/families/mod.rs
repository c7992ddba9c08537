//! Families of detectors: how each is recognised and decoded, and the card that says what a file does not.

pub(crate) mod blazeface;
pub(crate) mod boxes_scores;
pub mod card;
pub(crate) mod counted;
pub mod decoder;
pub(crate) mod decoding;
pub(crate) mod detr;
pub(crate) mod detr_rows;
pub(crate) mod dets;
pub(crate) mod e2e6;
pub(crate) mod evidence;
pub mod family;
pub(crate) mod fastestdet;
pub(crate) mod gfl;
pub(crate) mod nms3;
pub mod recognise;
pub(crate) mod rows;
pub(crate) mod scrfd;
pub(crate) mod ssd;
pub(crate) mod tfssd;
pub(crate) mod thresholds;
pub(crate) mod ultraface;
pub(crate) mod yolov5;
pub(crate) mod yolov5_raw;
pub(crate) mod yolov8;
pub(crate) mod yolox;
pub(crate) mod yunet;
pub(crate) mod yunet_2022;

pub use decoder::{DecodeError, Decoder, Labelling, decoder_for};
pub use family::Family;
pub use recognise::decode_names;
