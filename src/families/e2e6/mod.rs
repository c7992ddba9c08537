//! Rows of six numbers, already suppressed: YOLOv10, YOLO26, Ultralytics with NMS.

pub(crate) mod decode;
pub(crate) mod recognise;
