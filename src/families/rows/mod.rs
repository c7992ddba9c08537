//! Rows of detections, already suppressed: YOLOv7 and YOLOv6 with NMS, YOLO-NAS, PaddleDetection.

pub(crate) mod decode;
pub(crate) mod recognise;
