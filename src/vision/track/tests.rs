//! Scenes with known truth: 30 frames/s shown, 5 analyses/s, each there 200 ms after its frame.

use super::random::Random;
use super::*;
use crate::base::detection::Detection;
use crate::base::geometry::BBox;
use std::time::Duration;

const FRAME: f64 = 1.0 / 30.0;
const CYCLE: f64 = 0.2;
const DELAY: f64 = 0.2;
const WIDTH: f32 = 1280.0;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn detection(bbox: BBox, class: u32) -> Detection {
    Detection {
        bbox,
        class,
        score: 0.8,
    }
}

/// A box by its centre.
fn at(cx: f32, cy: f32, width: f32, height: f32) -> Detection {
    detection(BBox::from_centre(cx, cy, width, height), 0)
}

/// Returns the objects visible at a time.
type Scene = dyn Fn(f64) -> Vec<Detection>;
/// Returns what an analysis finds of them: detections and low candidates.
type Analyse<'a> = dyn FnMut(Vec<Detection>) -> (Vec<Detection>, Vec<Detection>) + 'a;

struct Frame {
    time: f64,
    truth: Vec<Detection>,
    shown: Vec<ShownBox>,
}

fn exactly(truth: Vec<Detection>) -> (Vec<Detection>, Vec<Detection>) {
    (truth, Vec::new())
}

fn play(scene: &Scene, until: f64, options: ShownOptions, analyse: &mut Analyse) -> Vec<Frame> {
    let mut shown = Shown::new(options, TrackerOptions::default());
    let mut analyses = (0..).map(|n| f64::from(n) * CYCLE).peekable();
    let frames = (0..).map(|n| f64::from(n) * FRAME);
    frames
        .take_while(|time| *time < until)
        .map(|time| {
            while let Some(analysed) = analyses.next_if(|t| t + DELAY <= time + 1e-9) {
                let (detections, low) = analyse(scene(analysed));
                shown.update(seconds(analysed), &detections, &low);
            }
            Frame {
                time,
                truth: scene(time),
                shown: shown.at(seconds(time)),
            }
        })
        .collect()
}

/// IoU of each object of each frame with the shown box nearest to it, 0 without one.
fn overlaps(frames: &[Frame]) -> Vec<f32> {
    let mut overlaps = Vec::new();
    for frame in frames {
        for truth in &frame.truth {
            let of_class = |s: &&ShownBox| s.detection.class == truth.class;
            let each = frame.shown.iter().filter(of_class);
            let overlap = each.map(|s| s.detection.bbox.iou(&truth.bbox));
            overlaps.push(overlap.fold(0.0, f32::max));
        }
    }
    overlaps
}

fn median(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    values[values.len() / 2]
}

fn from(frames: Vec<Frame>, time: f64) -> Vec<Frame> {
    frames.into_iter().filter(|f| f.time >= time).collect()
}

fn options(smoothing: bool, prediction: bool) -> ShownOptions {
    ShownOptions {
        smoothing,
        prediction,
        ..ShownOptions::default()
    }
}

/// Three objects at 0.3 picture widths a second, of different sizes, to the right, to the left and aslant.
fn moving(time: f64) -> Vec<Detection> {
    let way = 0.3 * WIDTH * time as f32;
    vec![
        at(100.0 + way, 200.0, 120.0, 160.0),
        at(1180.0 - way, 500.0, 200.0, 120.0),
        at(200.0 + way * 0.8, 50.0 + way * 0.6, 70.0, 150.0),
    ]
}

#[test]
fn boxes_stay_on_moving_objects() {
    let measure = |smoothing, prediction| {
        let frames = play(&moving, 2.6, options(smoothing, prediction), &mut exactly);
        median(overlaps(&from(frames, 0.2)))
    };
    for smoothing in [true, false] {
        let predicted = measure(smoothing, true);
        assert!(predicted >= 0.95, "{predicted}, smoothing {smoothing}");
        let held = measure(smoothing, false);
        assert!(held < 0.4, "{held}, smoothing {smoothing}");
    }
}

#[test]
fn boxes_stay_on_objects_analysed_at_uneven_times() {
    let mut random = Random::new(5);
    let mut shown = Shown::new(ShownOptions::default(), TrackerOptions::default());
    let (mut analysed, mut frames) = (0.0, Vec::new());
    while analysed < 2.6 {
        let next = analysed + 0.05 + 0.3 * f64::from(random.next());
        shown.update(seconds(analysed), &moving(analysed), &[]);
        for step in 0..4 {
            let time = next + f64::from(step) * FRAME;
            frames.push(Frame {
                time,
                truth: moving(time),
                shown: shown.at(seconds(time)),
            });
        }
        analysed = next;
    }
    let overlap = median(overlaps(&from(frames, 0.8)));
    assert!(overlap >= 0.9, "{overlap}");
}

/// 5 % misses, 2 % of jitter in place and size, scores that fall below the threshold in one of six analyses.
fn noisy(random: &mut Random) -> impl FnMut(Vec<Detection>) -> (Vec<Detection>, Vec<Detection>) {
    move |truth| {
        let (mut detections, mut low) = (Vec::new(), Vec::new());
        for mut found in truth {
            let (width, height) = (found.bbox.width(), found.bbox.height());
            let mut off = |side: f32| 0.02 * side * random.normal();
            found.bbox.x1 += off(width);
            found.bbox.x2 += off(width);
            found.bbox.y1 += off(height);
            found.bbox.y2 += off(height);
            let missed = random.next() < 0.05;
            let flickers = random.next() < 1.0 / 6.0;
            match (missed, flickers) {
                (true, _) => {}
                (_, true) => low.push(Detection {
                    score: 0.3,
                    ..found
                }),
                _ => detections.push(found),
            }
        }
        (detections, low)
    }
}

/// Root mean square of the change of the speed of the left edge from frame to frame, of objects shown in three frames running.
fn jitter(frames: &[Frame]) -> f32 {
    let mut changes = Vec::new();
    for frames in frames.windows(3) {
        for middle in frames[1].shown.iter().filter(|s| s.track.is_some()) {
            let edge = |frame: &Frame| {
                let same = frame.shown.iter().find(|s| s.track == middle.track)?;
                Some(same.detection.bbox.x1)
            };
            if let (Some(before), Some(after)) = (edge(&frames[0]), edge(&frames[2])) {
                changes.push((before + after - 2.0 * middle.detection.bbox.x1).powi(2));
            }
        }
    }
    (changes.iter().sum::<f32>() / changes.len() as f32).sqrt()
}

#[test]
fn noise_of_the_detector_is_not_shown() {
    let (mut quiet_sum, mut loud_sum) = (0.0, 0.0);
    for seed in 0..20 {
        let run = |smoothing| {
            let mut random = Random::new(seed);
            let options = options(smoothing, true);
            from(play(&moving, 2.6, options, &mut noisy(&mut random)), 0.8)
        };
        let (steady, raw) = (run(true), run(false));
        let (quiet, loud) = (jitter(&steady), jitter(&raw));
        assert!(quiet < loud, "{quiet} against {loud}, seed {seed}");
        (quiet_sum, loud_sum) = (quiet_sum + quiet, loud_sum + loud);
        let absent = |frames: &[Frame]| overlaps(frames).iter().filter(|o| **o < 0.3).count();
        assert!(absent(&steady) <= absent(&raw), "seed {seed}");
        let overlap = median(overlaps(&steady));
        assert!(overlap >= 0.8, "{overlap}, seed {seed}");
    }
    let share = quiet_sum / loud_sum;
    assert!(share < 0.7, "{share}");
    println!("jitter of steady boxes against raw ones: {share}");
}

#[test]
fn a_correction_is_spread_over_frames() {
    // From 1 s on the parked object is found 12 pixels further right.
    let scene = |time: f64| {
        vec![at(
            if time < 1.0 { 400.0 } else { 412.0 },
            300.0,
            100.0,
            200.0,
        )]
    };
    let largest = |smoothing| {
        let frames = from(
            play(&scene, 3.0, options(smoothing, false), &mut exactly),
            0.5,
        );
        let edge = |frame: &Frame| frame.shown[0].detection.bbox.x1;
        let steps = frames
            .windows(2)
            .map(|pair| (edge(&pair[1]) - edge(&pair[0])).abs());
        (steps.fold(0.0, f32::max), edge(frames.last().unwrap()))
    };
    assert_eq!(largest(false), (12.0, 362.0));
    let frames = from(play(&scene, 3.0, options(true, true), &mut exactly), 0.5);
    let edges: Vec<_> = frames
        .iter()
        .map(|f| f.shown[0].detection.bbox.x1)
        .collect();
    let step = edges
        .windows(2)
        .map(|e| (e[1] - e[0]).abs())
        .fold(0.0, f32::max);
    assert!(step < 9.0, "{step}");
    let end = *edges.last().unwrap();
    assert!((end - 362.0).abs() < 1.0, "{end}");
}

#[test]
fn a_stopping_object_is_overshot_for_two_analyses_at_the_most() {
    for stop in [1.0, 1.05, 1.1, 1.15] {
        let scene = move |time: f64| {
            vec![at(
                100.0 + 384.0 * time.min(stop) as f32,
                200.0,
                120.0,
                160.0,
            )]
        };
        let frames = play(&scene, 3.0, ShownOptions::default(), &mut exactly);
        // The second analysis of the object at rest is there 200 ms after its frame; then the box glides.
        let settled = ((stop / CYCLE).ceil() + 1.0) * CYCLE + DELAY + 5.0 * FRAME;
        for frame in from(frames, settled) {
            let shown = frame.shown[0].detection.bbox;
            let ahead = (shown.x2 - frame.truth[0].bbox.x2) / 120.0;
            assert!(ahead.abs() < 0.15, "{ahead} at {}, stop {stop}", frame.time);
        }
    }
}

#[test]
fn crossing_objects_keep_their_numbers() {
    for cycle in [1.0 / 30.0, 0.1, 0.2] {
        let mut tracker = Tracker::new(TrackerOptions::default());
        let scene = |time: f64| {
            let way = 300.0 * time as f32;
            vec![
                at(100.0 + way, 300.0, 80.0, 200.0),
                at(900.0 - way, 320.0, 90.0, 190.0),
            ]
        };
        let mut numbers = Vec::new();
        for step in 0..(2.6 / cycle) as u32 {
            let time = f64::from(step) * cycle;
            let mut found = scene(time);
            found.rotate_left(step as usize % 2);
            let mut ids = tracker.update(seconds(time), &found, &[]);
            ids.rotate_right(step as usize % 2);
            numbers.push(ids);
        }
        assert!(numbers[0].iter().all(Option::is_none));
        let first = &numbers[1];
        assert!(first.iter().all(Option::is_some));
        assert!(
            numbers[1..].iter().all(|ids| ids == first),
            "{cycle}: {numbers:?}"
        );
    }
}

#[test]
fn after_a_cut_the_old_boxes_vanish_and_the_new_ones_come() {
    let cut = 1.5;
    let scene = move |time: f64| match time < cut {
        true => moving(time),
        false => vec![at(640.0, 650.0, 300.0, 60.0)],
    };
    let frames = play(&scene, 4.0, ShownOptions::default(), &mut exactly);
    let first_after = (cut / CYCLE).ceil() * CYCLE;
    let gone = first_after + CYCLE * f64::from(shown::LOST_ANALYSES) + DELAY;
    for frame in from(frames, gone + FRAME) {
        assert_eq!(frame.shown.len(), 1, "at {}", frame.time);
        let overlap = frame.shown[0].detection.bbox.iou(&frame.truth[0].bbox);
        assert!(overlap > 0.99, "{overlap}");
    }
}

#[test]
fn an_object_appears_after_it_was_seen_twice_and_a_ghost_never() {
    let mut shown = Shown::new(ShownOptions::default(), TrackerOptions::default());
    let (parked, ghost) = (at(100.0, 100.0, 50.0, 50.0), at(500.0, 100.0, 50.0, 50.0));
    assert_eq!(
        shown.update(seconds(0.0), &[parked, ghost], &[]),
        [None, None]
    );
    assert_eq!(shown.at(seconds(0.2)), []);
    assert_eq!(shown.update(seconds(0.2), &[parked], &[]), [Some(1)]);
    let boxes = shown.at(seconds(0.5));
    assert_eq!(boxes.len(), 1);
    assert_eq!((boxes[0].track, boxes[0].age), (Some(1), seconds(0.3)));
    assert_eq!(boxes[0].detection, parked);
}

#[test]
fn a_lost_object_moves_on_at_its_speed_and_then_goes() {
    let object = |time: f64| at(100.0 + 300.0 * time as f32, 100.0, 100.0, 100.0);
    for prediction in [true, false] {
        let mut shown = Shown::new(options(true, prediction), TrackerOptions::default());
        for step in 0..5 {
            let time = f64::from(step) * 0.1;
            shown.update(seconds(time), &[object(time)], &[]);
        }
        for missed in 1..=shown::LOST_ANALYSES {
            let time = 0.4 + 0.1 * f64::from(missed);
            shown.update(seconds(time), &[], &[]);
            let boxes = shown.at(seconds(time));
            let place = if prediction { time } else { 0.4 };
            let overlap = boxes[0].detection.bbox.iou(&object(place).bbox);
            assert!(overlap > 0.97, "{overlap}, prediction {prediction}");
            assert_eq!(boxes[0].age, seconds(time) - seconds(0.4));
        }
        shown.update(seconds(0.8), &[], &[]);
        assert_eq!(shown.at(seconds(0.8)), []);
    }
}

#[test]
fn without_either_switch_the_newest_analysis_is_shown_as_found() {
    let mut shown = Shown::new(options(false, false), TrackerOptions::default());
    let (mut first, second) = (at(100.0, 100.0, 50.0, 50.0), at(130.0, 110.0, 60.0, 45.0));
    first.score = 0.9;
    shown.update(seconds(0.0), &[first], &[]);
    shown.update(seconds(0.2), &[second, first], &[]);
    let boxes = shown.at(seconds(0.7));
    let found: Vec<_> = boxes.iter().map(|b| b.detection).collect();
    assert_eq!(found, [first, second], "best score first");
    assert!(boxes.iter().all(|b| b.age == seconds(0.5)));
    shown.update(seconds(0.4), &[], &[]);
    assert_eq!(shown.at(seconds(0.7)), []);
}

#[test]
fn old_boxes_are_not_shown() {
    let parked = [at(100.0, 100.0, 50.0, 50.0)];
    let count = |max_age: f64, cycle: f64, age: f64| {
        let options = ShownOptions {
            max_age: seconds(max_age),
            ..ShownOptions::default()
        };
        let mut shown = Shown::new(options, TrackerOptions::default());
        (0..4).for_each(|n| drop(shown.update(seconds(cycle * f64::from(n)), &parked, &[])));
        shown.at(seconds(cycle * 3.0 + age)).len()
    };
    assert_eq!((count(0.3, 0.2, 0.3), count(0.3, 0.2, 0.31)), (1, 0));
    assert_eq!(
        (count(0.0, 0.2, 1.0), count(0.0, 0.2, 1.01)),
        (1, 0),
        "1 s at the least"
    );
    assert_eq!(
        (count(0.0, 1.0, 2.5), count(0.0, 1.0, 2.51)),
        (1, 0),
        "2.5 cycles"
    );
}

#[test]
fn a_class_that_flickers_is_one_box() {
    let mut shown = Shown::new(ShownOptions::default(), TrackerOptions::default());
    let bbox = BBox::new(100.0, 100.0, 200.0, 180.0);
    for (step, class) in [2, 2, 2, 7, 7, 7, 2].into_iter().enumerate() {
        let time = seconds(step as f64 * 0.2);
        shown.update(time, &[detection(bbox, class)], &[]);
        assert!(shown.at(time).len() <= 1, "step {step}");
    }
}

#[test]
fn a_parked_object_does_not_drift() {
    let parked = |_: f64| vec![at(300.0, 300.0, 100.0, 60.0)];
    let mean = |options| {
        let mut random = Random::new(9);
        let frames = play(&parked, 20.0, options, &mut |mut found| {
            found[0].bbox.x2 += random.normal();
            found[0].bbox.y1 += random.normal();
            (found, Vec::new())
        });
        let overlaps = overlaps(&from(frames, 0.5));
        assert!(overlaps.iter().all(|overlap| *overlap > 0.9));
        overlaps.iter().sum::<f32>() / overlaps.len() as f32
    };
    let (steady, raw) = (mean(options(true, true)), mean(options(false, false)));
    assert!(steady > raw, "{steady} against {raw}");
}

#[test]
fn whatever_comes_boxes_are_numbers_and_ids_unique() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut shown = Shown::new(ShownOptions::default(), TrackerOptions::default());
        let mut time = 0.0f64;
        for _ in 0..60 {
            time = (time + f64::from(random.next()) * 0.5 - 0.05).max(0.0);
            let found: Vec<_> = (0..random.below(9)).map(|_| wild(&mut random)).collect();
            let low: Vec<_> = (0..random.below(5)).map(|_| wild(&mut random)).collect();
            let ids: Vec<_> = shown.update(seconds(time), &found, &low);
            assert_eq!(ids.len(), found.len());
            for boxes in [
                shown.at(seconds(time)),
                shown.at(seconds(time + 3.0)),
                shown.at(seconds(time + 0.3)),
            ] {
                let numbers =
                    |b: &ShownBox| b.detection.bbox.is_finite() && b.detection.bbox.area() >= 0.0;
                assert!(boxes.iter().all(numbers), "seed {seed}: {boxes:?}");
                let mut ids: Vec<_> = boxes.iter().filter_map(|b| b.track).collect();
                ids.sort_unstable();
                let count = ids.len();
                ids.dedup();
                assert_eq!(ids.len(), count, "seed {seed}");
            }
        }
    }
}

/// A box on a coarse raster, sometimes one that no detector should give.
fn wild(random: &mut Random) -> Detection {
    let odd = [f32::NAN, f32::INFINITY, 0.0, -5.0, f32::MAX, 1e-40, 1e30];
    let mut number = |range: usize| match random.below(20) {
        0 => odd[random.below(odd.len())],
        _ => (random.below(range) * 20) as f32,
    };
    let (x, y) = (number(20), number(20));
    let (width, height) = (number(5), number(5));
    Detection {
        bbox: BBox::new(x, y, x + width, y + height),
        class: random.below(2) as u32,
        score: [0.9, 0.5, f32::NAN][random.below(3)],
    }
}

#[test]
fn a_box_tells_the_detection_that_it_is_from() {
    for smoothing in [true, false] {
        let mut shown = Shown::new(options(smoothing, true), TrackerOptions::default());
        let (a, b) = (at(100.0, 100.0, 50.0, 50.0), at(400.0, 100.0, 50.0, 50.0));
        let low = Detection { score: 0.2, ..b };
        for (time, detections, low, first) in [
            (0.0, vec![a, b], vec![], 1),
            (0.2, vec![b, a], vec![], 3),
            (0.4, vec![a], vec![low], 5),
        ] {
            shown.update(seconds(time), &detections, &low);
            assert_eq!(shown.first_number(), first, "at {time}");
        }
        let numbers: Vec<_> = shown.at(seconds(0.5)).iter().map(|b| b.number).collect();
        let wanted: &[u64] = if smoothing { &[5, 3] } else { &[5] };
        assert!(
            numbers.len() == wanted.len() && wanted.iter().all(|n| numbers.contains(n)),
            "smoothing {smoothing}: {numbers:?}"
        );
    }
}
