//! `mode=passthrough` beside a slow model: every frame leaves, and none is delayed.

use crate::kept_in_one_of;
use crate::support;
use gst::prelude::*;
use gstdetect::base::tensor::Tensor;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Outputs of the micro model (`[1, 4 + 2, 21]`, input 32x32) with three dogs.
fn three_boxes() -> Vec<Tensor> {
    const COLUMNS: usize = 21;
    let mut data = vec![0.0; 6 * COLUMNS];
    for (column, [x, y, width, height]) in [
        [4.0, 9.0, 4.0, 6.0],
        [28.0, 16.0, 6.0, 4.0],
        [3.0, 21.0, 3.0, 5.0],
    ]
    .into_iter()
    .enumerate()
    {
        for (row, value) in [x, y, width, height, 0.0, 0.8].into_iter().enumerate() {
            data[row * COLUMNS + column] = value;
        }
    }
    vec![Tensor::f32("output0", [1, 6, COLUMNS], data)]
}

/// How long each frame was inside an element, and when it left.
type Passed = Arc<Mutex<Vec<(Duration, Instant)>>>;

fn watch(element: &gst::Element) -> Passed {
    let came: Arc<Mutex<Vec<_>>> = Arc::default();
    let passed = Passed::default();
    let (at, pad) = (came.clone(), |name| element.static_pad(name).unwrap());
    pad("sink").add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let pts = info.buffer().and_then(|b| b.pts());
        at.lock().unwrap().push((pts, Instant::now()));
        gst::PadProbeReturn::Ok
    });
    let noted = passed.clone();
    pad("src").add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let (now, pts) = (Instant::now(), info.buffer().and_then(|b| b.pts()));
        let mut came = came.lock().unwrap();
        let index = came.iter().position(|(of, _)| *of == pts).unwrap();
        let (_, at) = came.remove(index);
        noted.lock().unwrap().push((now - at, now));
        gst::PadProbeReturn::Ok
    });
    passed
}

/// About the time that the element computes for a frame with three boxes, in this profile.
const WORK: Duration = Duration::from_micros(60);

fn time_of_this_thread() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the time is written to a value that lives.
    let read = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(read, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn work(time: Duration) {
    let used = time_of_this_thread();
    while time_of_this_thread() - used < time {
        std::hint::spin_loop();
    }
}

/// Computes for as long as the element does, in the same thread, frame by frame, and as it does wakes another thread at
/// every seventh; how long that took each time. Where others use the processors, a thread may have to stand still at any
/// moment, above all for one that it has woken.
fn work_as_long(element: &gst::Element) -> Arc<Mutex<Vec<Duration>>> {
    let took: Arc<Mutex<Vec<_>>> = Arc::default();
    let noted = took.clone();
    let (wake, woken) = std::sync::mpsc::channel();
    std::thread::spawn(move || woken.iter().for_each(work));
    let pad = element.static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let begin = Instant::now();
        work(WORK);
        let mut noted = noted.lock().unwrap();
        if noted.len() % 7 == 3 {
            wake.send(WORK * 2).expect("the other thread waits");
        }
        noted.push(begin.elapsed());
        gst::PadProbeReturn::Ok
    });
    took
}

struct Run {
    /// Frames/s that leave.
    rate: f64,
    /// 99th percentile.
    delay: Duration,
    /// The same of as much work that waits for nothing.
    work: Duration,
}

/// A live source beside a model of 200 ms.
fn run_live(seconds: u64) -> Run {
    support::init();
    let folder = support::Folder::new();
    let model = folder.path().join("slow.onnx");
    std::fs::copy(support::micro_model("yolov8_micro.onnx"), &model).unwrap();
    let control = gstdetect::engine::stub::Control::for_model(Some(&model));
    control.set_script(|_| Ok(three_boxes()));
    control.set_duration(Duration::from_millis(200));
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=I420,width=1280,height=720,framerate=30/1 \
         ! identity name=identity ! detect name=detect mode=passthrough engine=stub model={} ! fakesink sync=true",
        model.display()
    ));
    let pipeline = pipeline.unwrap().downcast::<gst::Pipeline>().unwrap();
    let detect = pipeline.by_name("detect").unwrap();
    let work = work_as_long(&pipeline.by_name("identity").unwrap());
    let passed = watch(&detect);
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let end = gst::ClockTime::from_seconds(seconds);
    let error = bus.timed_pop_filtered(end, &[gst::MessageType::Error]);
    assert!(error.is_none(), "{error:?}");
    let stats: gst::Structure = detect.property("stats");
    pipeline.set_state(gst::State::Null).unwrap();
    let stats = gstdetect::bridge::message::DetectStats::from_structure(&stats).unwrap();
    assert_eq!(stats.snapshot.counters.dropped(), 0);
    assert!(stats.snapshot.fps > 3.0, "{}", stats.snapshot.fps);
    // The first second is the pipeline's own.
    let passed: Vec<_> = passed.lock().unwrap().iter().skip(30).copied().collect();
    let lasted = passed[passed.len() - 1].1 - passed[0].1;
    let mut delays: Vec<_> = passed.iter().map(|(delay, _)| *delay).collect();
    delays.sort();
    let mut work: Vec<_> = work.lock().unwrap().iter().skip(30).copied().collect();
    work.sort();
    let percentile = |sorted: &[Duration], share: usize| sorted[sorted.len() * share / 100];
    let run = Run {
        rate: (passed.len() - 1) as f64 / lasted.as_secs_f64(),
        delay: percentile(&delays, 99),
        work: percentile(&work, 99),
    };
    println!(
        "30 frames/s of 1280x720, model of 200 ms: {:.3} frames/s leave, delay p50 {:.3?} p99 {:.3?} most {:.3?}; as much work \
         that waits for nothing p50 {:.3?} p99 {:.3?} most {:.3?}; {:.2} analyses/s, pixels {:.2?}",
        run.rate,
        percentile(&delays, 50),
        run.delay,
        delays[delays.len() - 1],
        percentile(&work, 50),
        run.work,
        work[work.len() - 1],
        stats.snapshot.fps,
        stats.snapshot.preprocess_mean.unwrap_or_default(),
    );
    run
}

/// The delay counts of which as much work that waits for nothing would not have had.
#[test]
fn a_slow_model_delays_no_frame() {
    const MOST: Duration = Duration::from_millis(2);
    kept_in_one_of(5, || {
        let run = run_live(8);
        let of_its_own = run.delay.saturating_sub(run.work);
        if (run.rate - 30.0).abs() > 0.3 {
            return Err(format!("{:.2} frames/s leave, not 30 within 1 %", run.rate));
        }
        match of_its_own < MOST {
            true => Ok(()),
            false => Err(format!(
                "delayed by {of_its_own:?} at the 99th percentile, at most {MOST:?}"
            )),
        }
    });
}
