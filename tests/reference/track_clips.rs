//! Boxes shown between analyses, on clips of streets: how well they lie on what an analysis of the shown frame itself
//! finds.
//!
//! Every frame is analysed once, which is the truth here; then the clip is played with the analyses that a model of
//! 200 ms would have made. Needs the folder of shared models and clips in the environment variable `DETECT_SHARED`;
//! without it the checks are skipped, and say so.

use crate::support;
use gst::prelude::*;
use gst_video::{VideoFrameRef, VideoInfo};
use gstdetect::base::detection::{Detection, Thresholds};
use gstdetect::base::geometry::Size;
use gstdetect::bridge::video_frame;
use gstdetect::detector::{Analysis, Detector, DetectorOptions};
use gstdetect::model::ModelOptions;
use gstdetect::vision::track::{LOW_SCORE, Shown, ShownBox, ShownOptions, TrackerOptions};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time of the model, from the frame that it looks at to its boxes.
const DELAY: Duration = Duration::from_millis(200);
/// Frames before this are not counted: the first analyses make objects known.
const BEGIN: Duration = Duration::from_secs(1);
/// A mean may be lower by so much and still be the same, in IoU.
const SAME: f64 = 0.002;

/// A clip and what its frames show.
struct Clip {
    size: Size,
    times: Vec<Duration>,
    found: Vec<Analysis>,
}

fn analyse(path: &Path, detector: &mut Detector) -> Clip {
    let pipeline = support::Pipeline::new(&format!(
        "filesrc location={} ! decodebin ! videoconvert ! video/x-raw,format=RGB",
        path.display()
    ));
    pipeline.element("out").set_property("max-buffers", 2u32);
    pipeline.set_state(gst::State::Playing);
    let thresholds = Thresholds {
        score: detector.model().score_threshold,
        iou: detector.model().iou_threshold,
        max_detections: 100,
        class_agnostic: false,
        min_size: 0,
        classes: None,
    };
    let mut clip = Clip {
        size: Size::default(),
        times: Vec::new(),
        found: Vec::new(),
    };
    // One by one: all frames of a clip are half a gigabyte.
    let sink = pipeline.element("out");
    let patience = gst::ClockTime::try_from(support::PATIENCE).expect("seconds");
    let next = || sink.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&patience]);
    for sample in std::iter::from_fn(next) {
        let info = VideoInfo::from_caps(sample.caps().expect("caps")).expect("video caps");
        let buffer = sample.buffer().expect("a frame");
        let mapped = VideoFrameRef::from_buffer_ref_readable(buffer, &info).expect("mapped");
        let picture = video_frame::picture_info(&info).expect("RGB is read");
        let view = video_frame::view(&mapped, &picture).expect("as the caps say");
        // As the element does it.
        let prepared = detector.prepare(&view).expect("the model's input");
        let analysis = detector.infer(&prepared, &thresholds, Some(LOW_SCORE));
        clip.size = picture.size;
        clip.times
            .push(buffer.pts().expect("a clip has times").into());
        clip.found.push(analysis.expect("an analysis"));
    }
    assert!(sink.property::<bool>("eos"), "the whole clip was read");
    clip
}

/// Which frame is analysed after `before`, whose analysis is there `at`.
type Next = fn(clip: &Clip, before: usize, at: Duration) -> usize;

/// The model takes the newest frame as soon as it is free.
fn newest(clip: &Clip, before: usize, at: Duration) -> usize {
    let next = clip.times.partition_point(|time| *time <= at);
    (next - 1).max(before + 1)
}

/// Every sixth frame: far slower than the model is.
fn every_sixth(_: &Clip, before: usize, _: Duration) -> usize {
    before + 6
}

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    truths: usize,
    matched: usize,
    overlap: f64,
}

impl Sum {
    /// Counts only the boxes that show an object.
    fn mean(&self) -> f64 {
        self.overlap / self.matched.max(1) as f64
    }

    /// An object without a box counts as 0.
    fn mean_of_all(&self) -> f64 {
        self.overlap / self.truths.max(1) as f64
    }

    fn add(&mut self, other: &Self) {
        self.truths += other.truths;
        self.matched += other.matched;
        self.overlap += other.overlap;
    }
}

type Sums = BTreeMap<u32, Sum>;

fn total(sums: &Sums) -> Sum {
    let mut total = Sum::default();
    sums.values().for_each(|sum| total.add(sum));
    total
}

/// Plays the clip with boxes shown as `options` say; what they are worth, class by class.
fn play(clip: &Clip, next: Next, options: ShownOptions) -> Sums {
    let mut shown = Shown::new(options, TrackerOptions::default());
    let mut sums = Sums::new();
    let (mut running, mut done_at) = (0, clip.times[0] + DELAY);
    for (index, &time) in clip.times.iter().enumerate() {
        while done_at <= time {
            let Analysis {
                detections, low, ..
            } = &clip.found[running];
            shown.update(clip.times[running], detections, low);
            running = next(clip, running, done_at);
            let begin = clip.times.get(running).copied().unwrap_or(Duration::MAX);
            done_at = begin.max(done_at).saturating_add(DELAY);
        }
        let boxes = shown.at(time);
        if time >= BEGIN {
            let truths = &clip.found[index].detections;
            compare(truths, &boxes, clip.size, &mut sums);
        }
    }
    sums
}

/// Pairs of one class, the best first.
fn compare(truths: &[Detection], shown: &[ShownBox], size: Size, sums: &mut Sums) {
    let mut pairs = Vec::new();
    for (t, truth) in truths.iter().enumerate() {
        sums.entry(truth.class).or_default().truths += 1;
        let same = shown.iter().enumerate();
        for (s, shown) in same.filter(|(_, s)| s.detection.class == truth.class) {
            pairs.push((shown.detection.bbox.clip(size).iou(&truth.bbox), t, s));
        }
    }
    pairs.retain(|(overlap, ..)| *overlap > 0.0);
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut free, mut unused) = (vec![true; truths.len()], vec![true; shown.len()]);
    for (overlap, t, s) in pairs {
        if free[t] && unused[s] {
            (free[t], unused[s]) = (false, false);
            let sum = sums.entry(truths[t].class).or_default();
            sum.matched += 1;
            sum.overlap += f64::from(overlap);
        }
    }
}

fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("DETECT_SHARED").map(PathBuf::from);
    if folder.is_none() {
        support::skipped("DETECT_SHARED does not name the folder of shared models and clips");
    }
    folder
}

fn print(what: &str, sums: &Sums, label: impl Fn(u32) -> String) {
    let one = |name: &str, sum: &Sum| {
        let Sum {
            matched, truths, ..
        } = sum;
        let (mean, all) = (sum.mean(), sum.mean_of_all());
        format!(" {name} {mean:.4} ({matched} of {truths}, all {all:.4})")
    };
    let classes: String = sums
        .iter()
        .map(|(class, sum)| one(&label(*class), sum))
        .collect();
    println!("  {what:21}{};{classes}", one("mean", &total(sums)));
}

/// Whether moving the boxes on is better than not, all classes taken together, and worse for none.
fn better(predicted: &Sums, held: &Sums) {
    assert!(total(predicted).mean() > total(held).mean());
    assert!(total(predicted).mean_of_all() > total(held).mean_of_all());
    for (class, held) in held.iter().filter(|(_, held)| held.matched > 0) {
        let predicted = &predicted[class];
        assert!(
            predicted.mean_of_all() >= held.mean_of_all() - SAME,
            "class {class}: {predicted:?} against {held:?}"
        );
        assert!(
            predicted.mean() >= held.mean() - SAME,
            "class {class}: {predicted:?} against {held:?}"
        );
    }
}

fn check(name: &str) {
    let Some(shared) = shared() else { return };
    support::init();
    let model = ModelOptions {
        path: Some(shared.join("models/yolox_nano_416.onnx")),
        ..ModelOptions::default()
    };
    let mut detector = Detector::open(&DetectorOptions {
        model,
        ..DetectorOptions::default()
    })
    .expect("a model that is read");
    let clip = analyse(&shared.join("video").join(name), &mut detector);
    let label = |class| detector.model().labels.get(class).into_owned();
    let paces: [(&str, Next); 2] = [
        ("the newest frame whenever the model is free", newest),
        ("every 6th frame", every_sixth),
    ];
    for (pace, next) in paces {
        println!("{name}, {pace}: IoU with the frame's own analysis");
        let run = |what: &str, smoothing, prediction| {
            let options = ShownOptions {
                smoothing,
                prediction,
                ..ShownOptions::default()
            };
            let sums = play(&clip, next, options);
            print(what, &sums, label);
            sums
        };
        let held = run("held", false, false);
        let predicted = run("predicted", false, true);
        let steady_held = run("held, smoothed", true, false);
        let steady = run("predicted, smoothed", true, true);
        better(&predicted, &held);
        better(&steady, &steady_held);
    }
}

#[test]
fn boxes_moved_on_lie_better_on_pedestrians_than_boxes_held() {
    check("pedestrians_768x576.avi");
}

#[test]
fn boxes_moved_on_lie_better_on_cars_than_boxes_held() {
    check("car-detection.mp4");
}
