//! Copies of camera frames: how many the element makes, and in how many memories. Counted in the whole process, of frames of
//! [`SIZE`].

use super::camera::Camera;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub const SIZE: (u32, u32) = (1280, 720);
/// Copies use memory again: one is made while as many as the line has places, the sink's last and its next are in use.
pub const MOST_MEMORIES: u64 = 5;

/// Memories that hold a whole frame, which GStreamer's default allocator has given.
static FRAMES_ALLOCATED: AtomicU64 = AtomicU64::new(0);
/// Copies that the element has logged.
static COPIED: AtomicU64 = AtomicU64::new(0);
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

/// Counts from now on: memories by an allocator that is GStreamer's default then, copies by the element's log, which goes
/// nowhere else.
pub fn count_copies() {
    glib::Object::new::<Counting>().set_default();
    gst::log::remove_default_log_function();
    gst::log::set_threshold_for_name("detect", gst::DebugLevel::Log);
    gst::log::add_log_function(|category, _, _, _, _, _, message| {
        let said = message.get();
        if category.name() == "detect" && said.is_some_and(|said| said.starts_with("Copied ")) {
            COPIED.fetch_add(1, Relaxed);
        }
    });
}

pub fn until_eos(pipeline: &gst::Pipeline) {
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

/// Copies that the element has made so far.
pub fn copies() -> u64 {
    COPIED.load(Relaxed)
}

/// Memories for copies that there were so far.
pub fn memories() -> u64 {
    FRAMES_ALLOCATED.load(Relaxed)
}

/// Counts the frames that leave `detect` in the camera's own memory.
pub fn count_lent(detect: &gst::Element) -> Arc<AtomicU64> {
    let lent = Arc::new(AtomicU64::new(0));
    let (count, planes) = (lent.clone(), 3);
    let pad = detect.static_pad("src").expect("always");
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if info
            .buffer()
            .is_some_and(|buffer| buffer.n_memory() == planes)
        {
            count.fetch_add(1, Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
    lent
}

/// A pipeline of the camera, `detect engine=stub` with the model at this path, and a sink; and its `detect`.
pub fn line(
    camera: &Camera,
    model: &Path,
    sink: &str,
    sync: bool,
) -> (gst::Pipeline, gst::Element) {
    let launch = format!(
        "detect name=detect engine=stub model={} stats-interval={} ! {sink} name=sink sync={sync}",
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
    (pipeline, detect)
}
