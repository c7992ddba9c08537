//! Boxes and scores of all candidates: YOLO-NAS and PaddleDetection without NMS, DAMO-YOLO.

pub(crate) mod damo;
pub(crate) mod decode;
pub(crate) mod recognise;
