//! Declares the properties. Their names are in `settings/mod.rs`, their defaults in [`Settings`].

use super::*;
use gst::glib;
use gst::prelude::*;

/// An hour, in nanoseconds.
const MOST_LATENCY: u64 = 3_600_000_000_000;

/// Declares every property, in the order of the manual.
pub fn properties() -> Vec<glib::ParamSpec> {
    let mut all = model_properties();
    all.extend(inference_properties());
    all.extend(flow_properties());
    all.extend(threshold_properties());
    all.extend(track_properties());
    all.extend(report_properties());
    all
}

fn model_properties() -> Vec<glib::ParamSpec> {
    let default = Settings::default();
    vec![
        glib::ParamSpecString::builder(PROP_MODEL)
            .nick("Model")
            .blurb("Path of the .onnx file, read in the change from READY to PAUSED; null = the built-in face detector; a model set while frames are under way is loaded beside the one in use and replaces it between two frames; if it cannot be used, a warning is posted and the old model stays")
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder(PROP_LABELS)
            .nick("Labels")
            .blurb("Path of a text file with one label per line; null = the labels in the model, else x.labels.txt or x.names beside x.onnx, else COCO's names if the number of classes is COCO's, else \"class N\"")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder(PROP_MODEL_CONFIG)
            .nick("Model Config")
            .blurb("Path of a card (JSON) that overrides what was recognised of the model; null = x.detect.json beside x.onnx, if there is one")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt64::builder(PROP_LOAD_TIMEOUT)
            .nick("Load Timeout")
            .blurb("Longest time to load a model, in nanoseconds; after that the start fails, or the model in use stays; 0 = any time")
            .default_value(default.load_timeout)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder(PROP_MAX_COMPUTE)
            .nick("Max Compute")
            .blurb("Most thousand million multiply-adds that one inference of a model may take; a model that takes more is refused")
            .minimum(1)
            .default_value(default.max_compute)
            .mutable_ready()
            .build(),
    ]
}

fn inference_properties() -> Vec<glib::ParamSpec> {
    let default = Settings::default();
    vec![
        glib::ParamSpecEnum::builder_with_default(PROP_ENGINE, default.engine)
            .nick("Engine")
            .blurb("Engine that runs the model")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder(PROP_THREADS)
            .nick("Threads")
            .blurb("Threads for one inference; 0 = a good choice for this machine")
            .maximum(256)
            .default_value(default.threads)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder(PROP_WORKERS)
            .nick("Workers")
            .blurb("Frames analysed at the same time; they leave in order; more workers give more frames a second, but no frame leaves sooner; 0 = one for each processor, at most four")
            .maximum(64)
            .default_value(default.workers)
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder(PROP_CPU_AFFINITY)
            .nick("CPU Affinity")
            .blurb("The processors that inference may use, as taskset -c writes them: \"2,3\" or \"0-2\"; null = all")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default(PROP_PRECISION, default.precision)
            .nick("Precision")
            .blurb("Arithmetic of the inference, where engine and processor offer a choice")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder(PROP_INPUT_SIZE)
            .nick("Input Size")
            .blurb("Size that the model runs at in pixels, as \"416\" or \"640x384\" (width x height); auto = the size of the export, else that of the metadata or card, else 640 on the longer side in the shape of the picture")
            .default_value(Some(default.input_size.as_str()))
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default(PROP_MODE, default.mode)
            .nick("Mode")
            .blurb("Which frames leave, and whether frames are dropped to keep the latency low")
            .mutable_ready()
            .build(),
    ]
}

fn flow_properties() -> Vec<glib::ParamSpec> {
    let default = Settings::default();
    vec![
        glib::ParamSpecBoolean::builder(PROP_ACTIVE)
            .nick("Active")
            .blurb("Whether frames are analysed; false = frames leave without boxes")
            .default_value(default.active)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder(PROP_INFERENCE_INTERVAL)
            .nick("Inference Interval")
            .blurb("Offers only every Nth frame for analysis; the frames between are dropped in mode newest, leave with the last boxes and their age in mode every, and always leave in mode passthrough")
            .minimum(1)
            .default_value(default.inference_interval)
            .mutable_playing()
            .build(),
        glib::ParamSpecDouble::builder(PROP_MAX_RATE)
            .nick("Max Rate")
            .blurb("Most analyses a second, to save power and heat; 0 = no limit")
            .minimum(0.0)
            .maximum(1e6)
            .default_value(default.max_rate)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt64::builder(PROP_MAX_AGE)
            .nick("Max Age")
            .blurb("Greatest age of an earlier frame's boxes that are still attached, in nanoseconds; 0 = the larger of 1 s and 2.5 times the time between two analyses")
            .default_value(default.max_age)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt64::builder(PROP_LATENCY)
            .nick("Latency")
            .blurb("Delay of a frame to declare to the pipeline, in nanoseconds; a warning is posted when a frame takes longer; 0 = the measured delay")
            .maximum(MOST_LATENCY)
            .default_value(default.latency)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder(PROP_QOS)
            .nick("QoS")
            .blurb("In mode every: drops frames without analysis that a sink has reported to be too late to show")
            .default_value(default.qos)
            .mutable_playing()
            .build(),
    ]
}

fn threshold_properties() -> Vec<glib::ParamSpec> {
    let default = Settings::default();
    vec![
        glib::ParamSpecFloat::builder(PROP_SCORE_THRESHOLD)
            .nick("Score Threshold")
            .blurb("Lowest score reported; 0 = the model's own, else 0.4")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(default.score_threshold)
            .mutable_playing()
            .build(),
        glib::ParamSpecFloat::builder(PROP_IOU_THRESHOLD)
            .nick("IoU Threshold")
            .blurb("Removes the lower-scoring of two boxes of one class whose IoU exceeds this; 0 = the model's own, else 0.45")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(default.iou_threshold)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder(PROP_MAX_DETECTIONS)
            .nick("Max Detections")
            .blurb("Most detections reported for one frame, best first; 0 = none")
            .default_value(default.max_detections)
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder(PROP_CLASSES)
            .nick("Classes")
            .blurb("Comma list of the labels or class numbers to report, each optionally with its own score threshold, as \"person=0.6,car,5=0.3\"; put a label that contains a comma or = in quotes; null or empty = all classes")
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder(PROP_CLASS_AGNOSTIC_NMS)
            .nick("Class Agnostic NMS")
            .blurb("Whether overlapping boxes of different classes remove each other too, so that one object is not reported as two classes")
            .default_value(default.class_agnostic_nms)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder(PROP_MIN_SIZE)
            .nick("Minimum Size")
            .blurb("Smallest width and height of a reported box, in pixels of the frame; 0 = any size")
            .default_value(default.min_size)
            .mutable_playing()
            .build(),
    ]
}

fn track_properties() -> Vec<glib::ParamSpec> {
    let default = Settings::default();
    vec![
        glib::ParamSpecBoolean::builder(PROP_SMOOTHING)
            .nick("Smoothing")
            .blurb("In mode passthrough: a box appears once its object was seen twice, stays when the object is missed for an analysis or two, and glides to where the object is found next")
            .default_value(default.smoothing)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder(PROP_PREDICTION)
            .nick("Prediction")
            .blurb("In mode passthrough: boxes move on at the last speed of their objects")
            .default_value(default.prediction)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder(PROP_TRACKING)
            .nick("Tracking")
            .blurb("Gives an object the same number from frame to frame, in the structure object_id of its region of interest")
            .default_value(default.tracking)
            .mutable_playing()
            .build(),
    ]
}

fn report_properties() -> Vec<glib::ParamSpec> {
    let default = Settings::default();
    vec![
        glib::ParamSpecUInt64::builder(PROP_STATS_INTERVAL)
            .nick("Statistics Interval")
            .blurb("Time between two messages detect-stats, in nanoseconds, at least 10000000 (10 ms); 0 = never")
            .default_value(default.stats_interval)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder(PROP_POST_DETECTIONS)
            .nick("Post Detections")
            .blurb("Posts a message detect-detections with the boxes of every analysed frame")
            .default_value(default.post_detections)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>(PROP_STATS)
            .nick("Statistics")
            .blurb("Current rates, times (nanoseconds) and counters, and the mode and thresholds in force")
            .read_only()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>(PROP_MODEL_INFO)
            .nick("Model Info")
            .blurb("What was recognised of the model, and which of it was guessed; null before a model is loaded")
            .read_only()
            .build(),
    ]
}
