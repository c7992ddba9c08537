//! Two pipelines under GStreamer's tracer of leaks: at the end no object of theirs is alive.
//!
//! Each is a process of its own, since the tracer counts every object of a process. `DETECT_PLUGIN` may name the library to
//! be tried instead of the one that cargo has built with the test.

mod support;

use std::process::Command;
use support::Folder;
use support::plugin::plugin_folder;

/// Runs a pipeline with the plugin; fails if something of it is left.
fn leaves_nothing(pipeline: &str) {
    let (plugins, folder) = (plugin_folder(), Folder::new());
    let log = folder.path().join("log");
    let output = Command::new("gst-launch-1.0")
        .args(pipeline.split_whitespace())
        .env("GST_TRACERS", "leaks")
        .env("GST_DEBUG", "GST_TRACER:7")
        .env("GST_DEBUG_FILE", &log)
        .env("GST_PLUGIN_PATH", plugins.path())
        .env("GST_REGISTRY", folder.path().join("registry"))
        .output()
        .expect("gst-launch-1.0 is here");
    assert!(
        output.status.success(),
        "{pipeline}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let log = std::fs::read_to_string(&log).expect("a log");
    // The tracer has told what its messages will be: it was at work.
    let format = "new format string: object-alive";
    assert!(log.contains(format), "{log}");
    let alive = |line: &&str| line.contains("object-alive,") && !line.contains(format);
    let left: Vec<_> = log.lines().filter(alive).collect();
    assert!(left.is_empty(), "{pipeline} leaves {left:#?}");
}

#[test]
fn a_picture_with_its_boxes() {
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/astronaut.jpg");
    leaves_nothing(&format!(
        "-q filesrc location={picture} ! jpegdec ! detect post-detections=true ! detectoverlay ! fakesink"
    ));
}

#[test]
fn a_live_source_in_two_branches() {
    leaves_nothing(
        "-q videotestsrc is-live=true num-buffers=30 ! video/x-raw,width=320,height=240 ! tee name=t t. ! queue ! detect mode=newest \
         workers=2 ! detectoverlay ! fakesink t. ! queue ! detect mode=every inference-interval=5 ! fakesink",
    );
}
