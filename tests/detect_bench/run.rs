//! `detect-bench run` counts every frame that GStreamer itself counts. `tests/measure` compares rates and times.

use crate::support::traced::{run, write_clip};
use crate::support::{Folder, micro_model};

#[test]
fn every_frame_of_a_clip_of_30_s_is_counted() {
    let folder = Folder::new();
    let clip = folder.path().join("clip.avi");
    let frames = 900;
    write_clip(&clip, frames);
    let model = micro_model("yolov8_micro.onnx");
    let (run, traced) = run(
        folder.path(),
        &[
            "--source",
            clip.to_str().expect("a path of the test"),
            "--model",
            model.to_str().expect("a path of the test"),
        ],
    );
    assert_eq!(
        (&run["live"], &run["mode"]),
        (&false.into(), &"every".into())
    );
    assert_eq!(traced.len(), frames, "the tracer sees every frame");
    assert_eq!(run["frames"]["analysed"], frames);
    assert_eq!(run["model_time"]["count"], frames);
    assert!(run["fps"].as_f64() > Some(0.0), "{run}");
    assert_eq!(run["frames"]["dropped_busy"], 0);
}

#[test]
fn latency_of_each_second_is_the_time_inside_where_the_source_is_not_live() {
    let folder = Folder::new();
    let source = "videotestsrc ! video/x-raw,width=320,height=240,framerate=30/1";
    let (run, _) = run(folder.path(), &["--source", source, "--time", "3"]);
    assert_eq!(run["live"], false);
    let seconds = run["seconds"].as_array().expect("a list");
    assert!(!seconds.is_empty());
    for second in seconds {
        let [latency, model] = ["latency_ms", "model_ms"].map(|field| second[field].as_f64());
        // Every frame is inside for as long as the model needs, and the frames of both medians differ by one or two.
        assert!(latency > model.map(|ms| 0.8 * ms), "{second}");
    }
}
