//! The test picture, a portrait with one face, through pipelines that end in a sink of the test's.

use super::{PATIENCE, init};
use gst::prelude::*;
use gstdetect::base::geometry::BBox;
use gstdetect::bridge::meta;
use std::sync::{Arc, Mutex};

/// Side of the picture, which is square.
pub const PORTRAIT_SIDE: u32 = 512;

/// The decoded picture as the begin of a pipeline.
pub fn portrait() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/astronaut.jpg");
    format!("filesrc location=\"{path}\" ! jpegdec")
}

/// Everything that comes out of a pipeline until EOS.
pub fn run(pipeline: &str) -> Vec<gst::Sample> {
    let pipeline = Pipeline::new(pipeline);
    pipeline.set_state(gst::State::Playing);
    pipeline.rest()
}

/// A pipeline with a sink behind it that keeps what comes until it is asked for.
pub struct Pipeline {
    pub bin: gst::Pipeline,
    sink: gst::Element,
}

impl Pipeline {
    pub fn new(pipeline: &str) -> Self {
        init();
        let bin = gst::parse::launch(&format!("{pipeline} ! appsink name=out sync=false"));
        let bin = bin.unwrap_or_else(|err| panic!("{pipeline}: {err}"));
        let bin = bin
            .downcast::<gst::Pipeline>()
            .expect("more than one element");
        let sink = bin.by_name("out").expect("the sink has just been named");
        Self { bin, sink }
    }

    pub fn element(&self, name: &str) -> gst::Element {
        let element = self.bin.by_name(name);
        element.unwrap_or_else(|| panic!("the pipeline has no element {name}"))
    }

    /// Changes the state, and waits until it has changed.
    pub fn set_state(&self, state: gst::State) {
        let patience = gst::ClockTime::try_from(PATIENCE).expect("seconds");
        let _ = self.bin.set_state(state);
        let (changed, now, _) = self.bin.state(patience);
        assert!(
            changed.is_ok() && now == state,
            "{now:?}: {}",
            self.errors()
        );
    }

    /// The texts of warnings, as they come from now on.
    pub fn warnings(&self) -> Arc<Mutex<Vec<String>>> {
        let texts = Arc::new(Mutex::new(Vec::new()));
        let bus = self.bin.bus().expect("a pipeline has a bus");
        let kept = texts.clone();
        bus.set_sync_handler(move |_, message| {
            if let gst::MessageView::Warning(warning) = message.view() {
                let text = warning.error().to_string();
                kept.lock().expect("nobody panics with it").push(text);
            }
            gst::BusSyncReply::Pass
        });
        texts
    }

    /// All frames that come until EOS.
    pub fn rest(&self) -> Vec<gst::Sample> {
        let patience = gst::ClockTime::try_from(PATIENCE).expect("seconds");
        let next = || {
            self.sink
                .emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&patience])
        };
        let frames = std::iter::from_fn(next).collect();
        let ended = self.sink.property::<bool>("eos");
        assert!(ended, "no EOS came: {}", self.errors());
        let errors = self.errors();
        assert_eq!(errors, "");
        frames
    }

    fn errors(&self) -> String {
        let bus = self.bin.bus().expect("a pipeline has a bus");
        let errors = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Error]));
        errors.map(|error| format!("{error:?}")).collect()
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.bin.set_state(gst::State::Null);
    }
}

/// The one face of a frame: its box, and its score.
pub fn face(buffer: &gst::BufferRef) -> (BBox, f64) {
    let found = meta::read(buffer);
    let [face] = found.as_slice() else {
        panic!("one face, not {found:?}");
    };
    assert_eq!(face.label, "face");
    let (x, y) = (face.x as f32, face.y as f32);
    let bbox = BBox::new(x, y, x + face.width as f32, y + face.height as f32);
    (bbox, face.score.expect("detect tells scores"))
}

/// A box of a picture that is scaled by these factors.
pub fn scaled(bbox: BBox, x: f32, y: f32) -> BBox {
    BBox::new(bbox.x1 * x, bbox.y1 * y, bbox.x2 * x, bbox.y2 * y)
}
