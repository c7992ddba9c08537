//! A camera of four buffers that never waits for one, and a sink that keeps its last sample: the camera loses no picture,
//! frames leave in time, and none is copied twice.
//!
//! `DETECT_CAMERA_PICTURES` (1000 if not set) is how many pictures it takes; there are 60 a second.

use crate::support;
use crate::support::camera::{Camera, Plan, Told};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gstdetect::bridge::message::DetectStats;
use gstdetect::engine::stub::Control;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SIZE: (u32, u32) = (1280, 720);
const FPS: u32 = 60;
const MODEL: Duration = Duration::from_millis(150);
/// Frames that leave before the pipeline has taken the first delays into its latency.
const SETTLING: usize = 12;
const ATTEMPTS: u32 = 3;
/// So many pictures tell how old frames are: percentiles of few frames are those of the first.
const LONG: u64 = 500;

/// Memories that hold a whole frame, which GStreamer's default allocator has given.
static FRAMES_ALLOCATED: AtomicU64 = AtomicU64::new(0);
/// What the element says of copies in its log.
static COPIED: AtomicU64 = AtomicU64::new(0);
/// Copies use memory again: one is made while as many as the line has places, the sink's last and its next are in use.
const MOST_MEMORIES: u64 = 5;

mod imp {
    use super::*;

    /// Counts, and has the system's memory given.
    #[derive(Default)]
    pub struct Counting;

    #[glib::object_subclass]
    impl ObjectSubclass for Counting {
        const NAME: &'static str = "GstDetectTestCounting";
        type Type = super::Counting;
        type ParentType = gst::Allocator;
    }

    impl ObjectImpl for Counting {}
    impl GstObjectImpl for Counting {}

    // SAFETY: the memory is the system allocator's, of the size and parameters asked for.
    unsafe impl AllocatorImpl for Counting {
        unsafe fn alloc(
            &self,
            size: usize,
            params: &gst::AllocationParams,
        ) -> *mut gst::ffi::GstMemory {
            if size >= (SIZE.0 * SIZE.1) as usize {
                FRAMES_ALLOCATED.fetch_add(1, Relaxed);
            }
            let system = gst::Allocator::find(Some("SystemMemory")).expect("it is always there");
            let memory = system.alloc(size, Some(params)).expect("there is memory");
            glib::translate::IntoGlibPtr::into_glib_ptr(memory)
        }
    }
}

glib::wrapper! {
    pub struct Counting(ObjectSubclass<imp::Counting>) @extends gst::Allocator, gst::Object;
}

struct Run {
    camera: Told,
    stats: DetectStats,
    /// Of the frames that left.
    ages: Vec<Duration>,
    left: u64,
    copies: u64,
    /// How many memories there are for copies.
    memories: u64,
    /// Frames that left in the camera's own memory.
    lent: u64,
}

fn run(pictures: u64, sink: &str) -> Run {
    let folder = support::Folder::new();
    let model = folder.path().join("slow.onnx");
    std::fs::copy(support::micro_model("yolov8_micro.onnx"), &model).expect("the model is there");
    Control::of(Some(&model)).set_duration(MODEL);
    let camera = Camera::new(Plan {
        size: SIZE,
        fps: FPS,
        pictures,
    });
    let launch = format!(
        "detect name=detect engine=stub model={} stats-interval={} ! {sink} name=sink sync=true",
        model.display(),
        3600 * gst::ClockTime::SECOND.nseconds(),
    );
    let rest = gst::parse::bin_from_description(&launch, false).expect("the pipeline is right");
    let pipeline = gst::Pipeline::new();
    pipeline
        .add_many([camera.upcast_ref::<gst::Element>(), rest.upcast_ref()])
        .expect("two");
    let detect = rest.by_name("detect").expect("it has this name");
    let ghost = gst::GhostPad::with_target(&detect.static_pad("sink").expect("always"));
    rest.add_pad(&ghost.expect("a free pad"))
        .expect("it has none");
    camera.link(&rest).expect("pads fit");
    let lent = Arc::new(AtomicU64::new(0));
    let (count, planes) = (lent.clone(), 3);
    detect.static_pad("src").expect("always").add_probe(
        gst::PadProbeType::BUFFER,
        move |_, info| {
            if info
                .buffer()
                .is_some_and(|buffer| buffer.n_memory() == planes)
            {
                count.fetch_add(1, Relaxed);
            }
            gst::PadProbeReturn::Ok
        },
    );
    let ages: Arc<Mutex<Vec<Duration>>> = support::watch_ages(&detect);
    let (copies, memories) = (COPIED.load(Relaxed), FRAMES_ALLOCATED.load(Relaxed));
    pipeline.set_state(gst::State::Playing).expect("it plays");
    until_eos(&pipeline);
    let stats: gst::Structure = detect.property("stats");
    let (copies, camera) = (COPIED.load(Relaxed) - copies, camera.told());
    let memories = FRAMES_ALLOCATED.load(Relaxed) - memories;
    pipeline.set_state(gst::State::Null).expect("it stops");
    let ages = std::mem::take(&mut *ages.lock().unwrap());
    Run {
        camera,
        stats: DetectStats::from_structure(&stats).expect("statistics of the element"),
        left: ages.len() as u64,
        ages: ages[SETTLING.min(ages.len())..].to_vec(),
        copies,
        memories,
        lent: lent.load(Relaxed),
    }
}

/// By the element's log, which goes nowhere else.
fn count_copies() {
    gst::log::remove_default_log_function();
    gst::log::set_threshold_for_name("detect", gst::DebugLevel::Log);
    gst::log::add_log_function(|category, _, _, _, _, _, message| {
        let said = message.get();
        if category.name() == "detect" && said.is_some_and(|said| said.starts_with("Copied ")) {
            COPIED.fetch_add(1, Relaxed);
        }
    });
}

fn until_eos(pipeline: &gst::Pipeline) {
    let bus = pipeline.bus().expect("a pipeline has a bus");
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            gst::MessageView::Error(err) => panic!("{err:?}"),
            gst::MessageView::Eos(_) => return,
            gst::MessageView::Latency(_) => {
                let _ = pipeline.recalculate_latency();
            }
            _ => {}
        }
    }
}

/// Prints the figures, and tells the first promise that they do not hold; that of the age is one of [`LONG`] runs.
fn judge(run: &Run, pictures: u64) -> Result<(), &'static str> {
    let snapshot = &run.stats.snapshot;
    let known = |time: Option<Duration>| time.expect("frames were analysed");
    let around = known(snapshot.preprocess_mean) + known(snapshot.postprocess_mean);
    let model_p95 = known(snapshot.model.map(|m| m.p95));
    let bound = model_p95 + around + Duration::from_secs(1) / FPS + Duration::from_millis(20);
    let age = |share| support::percentile(&run.ages, share);
    let counters = snapshot.counters;
    println!(
        "{pictures} pictures at {FPS}/s: lost {}, left {}, copies {} in {} memories, age p50 {:.1?} p95 {:.1?} (bound {bound:.1?}), \
         model p95 {model_p95:.1?}, around it {around:.2?}, analysed {}, dropped {}",
        run.camera.lost,
        run.left,
        run.copies,
        run.memories,
        age(0.5),
        age(0.95),
        counters.analysed,
        counters.dropped(),
    );
    let lasted = Duration::from_secs(pictures) / FPS;
    let fewest = lasted.as_secs_f64() / (MODEL + Duration::from_millis(30)).as_secs_f64();
    let promises = [
        (run.camera.lost == 0, "the pool has run dry"),
        (age(0.95) <= bound || pictures < LONG, "frames come too old"),
        (run.left as f64 >= fewest, "too few frames have left"),
    ];
    match promises.iter().find(|(held, _)| !held) {
        Some((_, broken)) => Err(broken),
        None => Ok(()),
    }
}

/// Processors that others use too stand still now and then: what holds in one of [`ATTEMPTS`] runs is promised.
fn holds(pictures: u64, sink: &str) {
    for attempt in 1..=ATTEMPTS {
        let run = run(pictures, sink);
        // No matter of time: these hold in every run.
        assert!(!run.camera.must_copy, "the camera had to copy every frame");
        assert!(run.camera.buffers.is_some(), "what is held is not told");
        assert_eq!(run.copies, run.left, "a frame is copied once");
        assert!(run.memories <= MOST_MEMORIES, "{} memories", run.memories);
        assert_eq!(run.lent, 0, "a frame has left in the camera's memory");
        assert_eq!(run.camera.pushed + run.camera.lost, pictures);
        match judge(&run, pictures) {
            Ok(()) => return,
            Err(broken) => println!("attempt {attempt} of {ATTEMPTS}: {broken}"),
        }
    }
    panic!("no attempt kept every promise");
}

#[test]
fn a_camera_of_four_buffers_loses_no_picture() {
    support::init();
    glib::Object::new::<Counting>().set_default();
    count_copies();
    let set = std::env::var("DETECT_CAMERA_PICTURES").ok();
    let pictures = set.and_then(|p| p.parse().ok()).unwrap_or(1000);
    holds(pictures, "fakevideosink");
    // This one follows no strides.
    holds(pictures / 4, "fakesink");
}
