//! [`Analyser`]: finds the boxes of single frames with `detect`. Also reads frames from pictures and sources.

use crate::agreement::Found;
use crate::failure::Failure;
use crate::pipeline::Pipeline;
use crate::settings::Settings;
use gst::prelude::*;
use gstdetect::base::geometry::{BBox, Size};
use gstdetect::bridge::message::DetectModel;
use gstdetect::bridge::meta::{self, Roi};
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest time for one frame; a machine that needs longer is of no use.
const PATIENCE: Duration = Duration::from_secs(120);
const TICK: gst::ClockTime = gst::ClockTime::from_mseconds(50);
/// Distance of the timestamps that frames are given.
const FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(40);
/// Largest memory of the frames that are kept for a comparison.
const MOST_BYTES: usize = 256 << 20;

/// An analysed frame.
#[derive(Debug)]
pub struct Looked {
    /// Carries the boxes as metadata.
    pub sample: gst::Sample,
    pub found: Vec<Found>,
}

/// A pipeline that takes single frames of any size, with the model loaded.
pub struct Analyser {
    pipeline: Pipeline,
    input: gst::Element,
    output: gst::Element,
    next: u64,
    pub model: DetectModel,
}

impl Analyser {
    /// Loads the model.
    pub fn new(model: Option<&Path>, settings: &Settings) -> Result<Self, Failure> {
        let text = "appsrc name=in format=time ! detect name=detect ! appsink name=out sync=false";
        let pipeline = Pipeline::launch(text)?;
        let [input, detect, output] = ["in", "detect", "out"].map(|name| pipeline.element(name));
        let (input, detect, output) = (input?, detect?, output?);
        if let Some(model) = model {
            detect.set_property("model", model.display().to_string());
        }
        settings.apply(&detect)?;
        detect.set_property_from_str("mode", "every");
        let mut analyser = Self {
            pipeline,
            input,
            output,
            next: 0,
            model: DetectModel::default(),
        };
        if analyser.pipeline.set_state(gst::State::Playing).is_err() {
            let failure = analyser.pipeline.failure(true);
            return Err(failure.unwrap_or_else(|| {
                Failure::model("the model cannot be loaded, and no element says why")
            }));
        }
        let info = detect.property::<Option<gst::Structure>>("model-info");
        analyser.model = info
            .and_then(|info| DetectModel::from_structure(&info))
            .unwrap_or_default();
        Ok(analyser)
    }

    /// Finds the objects in a frame.
    pub fn look(&mut self, sample: &gst::Sample) -> Result<Looked, Failure> {
        let buffer = sample.buffer_owned();
        let mut buffer = buffer.ok_or_else(|| Failure::pipeline("a frame has no pixels"))?;
        let owned = buffer.make_mut();
        owned.set_pts(FRAME * self.next);
        owned.set_duration(FRAME);
        self.next += 1;
        let mut stamped = gst::Sample::builder().buffer(&buffer);
        let caps = sample.caps_owned();
        if let Some(caps) = &caps {
            stamped = stamped.caps(caps);
        }
        let pushed = self
            .input
            .emit_by_name::<gst::FlowReturn>("push-sample", &[&stamped.build()]);
        if pushed != gst::FlowReturn::Ok {
            let failure = self.pipeline.failure(false);
            return Err(failure.unwrap_or_else(|| {
                Failure::pipeline(format!("the pipeline refused a frame: {pushed:?}"))
            }));
        }
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(sample) = pull(&self.output) {
                let found = found(&sample);
                return Ok(Looked { sample, found });
            }
            self.check()?;
        }
        Err(Failure::pipeline(format!(
            "a frame took longer than {PATIENCE:?}"
        )))
    }

    /// Fails if the pipeline posted an error; other messages are discarded.
    fn check(&self) -> Result<(), Failure> {
        let bus = self.pipeline.bus();
        while let Some(message) = bus.as_ref().and_then(gst::Bus::pop) {
            if let gst::MessageView::Error(error) = message.view() {
                return Err(Failure::from_message(error, false));
            }
        }
        Ok(())
    }
}

fn pull(appsink: &gst::Element) -> Option<gst::Sample> {
    appsink.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&TICK])
}

/// Returns the size of a frame.
pub fn size(sample: &gst::Sample) -> Size {
    let info = sample
        .caps()
        .and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok());
    info.map_or(Size::default(), |info| {
        Size::new(info.width(), info.height())
    })
}

/// Returns the boxes of a frame, in the order of attachment, whoever attached them: from exact coordinates where the producer
/// gives them, as `detect` does, and otherwise from whole pixels. A box without a score counts as certain.
pub fn found(sample: &gst::Sample) -> Vec<Found> {
    let Size { width, height } = size(sample);
    let Some(buffer) = sample.buffer() else {
        return Vec::new();
    };
    let one = |roi: Roi| {
        let whole = [
            roi.x as f32,
            roi.y as f32,
            (roi.x + i64::from(roi.width)) as f32,
            (roi.y + i64::from(roi.height)) as f32,
        ];
        let exact = roi.share.map(|share| {
            let sides = [width, height, width, height];
            std::array::from_fn(|i| (share[i] * f64::from(sides[i])) as f32)
        });
        let [x1, y1, x2, y2]: [f32; 4] = exact.unwrap_or(whole);
        Found {
            bbox: BBox::new(x1, y1, x2, y2),
            score: roi.score.unwrap_or(1.0),
            label: roi.label,
        }
    };
    meta::read(buffer).into_iter().map(one).collect()
}

/// A pipeline whose frames are taken one by one.
struct Frames {
    pipeline: Pipeline,
    sink: gst::Element,
}

impl Frames {
    /// Starts elements; `format` is a raw format, or `None` for any that `detect` takes.
    fn start(source: &str, format: Option<&str>) -> Result<Self, Failure> {
        let caps = match format {
            Some(format) => format!("video/x-raw,format={format}"),
            None => gstdetect::bridge::video_frame::caps().to_string(),
        };
        let caps = caps.replace('"', "\\\"");
        let text = format!(
            "{source} ! capsfilter caps=\"{caps}\" ! appsink name=bench-out sync=false max-buffers=2"
        );
        let pipeline = Pipeline::launch(&text)?;
        let sink = pipeline.element("bench-out")?;
        if pipeline.set_state(gst::State::Playing).is_err() {
            let failure = pipeline.failure(false);
            return Err(failure.unwrap_or_else(|| {
                Failure::pipeline("the source gives no frames, and no element says why")
            }));
        }
        Ok(Self { pipeline, sink })
    }

    /// Returns the next frame, or `None` at the end of the stream.
    fn next(&self) -> Result<Option<gst::Sample>, Failure> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(sample) = pull(&self.sink) {
                return Ok(Some(sample));
            }
            if self.sink.property::<bool>("eos") {
                return Ok(None);
            }
            if let Some(failure) = self.pipeline.failure(false) {
                return Err(failure);
            }
        }
        Err(Failure::pipeline(format!("no frame came for {PATIENCE:?}")))
    }
}

/// Decodes a picture; `format` is a raw format, or `None` for the one that the decoder gives.
pub fn picture(path: &Path, format: Option<&str>) -> Result<gst::Sample, Failure> {
    let in_words =
        |err: &dyn std::fmt::Display| Failure::pipeline(format!("{}: {err}", path.display()));
    std::fs::File::open(path).map_err(|err| in_words(&err))?;
    let path_text = path
        .display()
        .to_string()
        .replace('\\', "\\\\")
        .replace('"', "\\\"");
    let source = format!("filesrc location=\"{path_text}\" ! decodebin ! videoconvert");
    let frames = Frames::start(&source, format);
    let frame = frames
        .and_then(|frames| frames.next())
        .map_err(|failure| in_words(&failure))?;
    frame.ok_or_else(|| in_words(&"the file holds no picture"))
}

/// Takes up to `count` frames of a source, at least `interval` apart in the stream, within a budget of memory.
///
/// Frames are copied: a source may want its own memory back.
pub fn capture(
    source: &str,
    count: usize,
    interval: gst::ClockTime,
) -> Result<Vec<gst::Sample>, Failure> {
    let frames = Frames::start(source, None)?;
    let mut kept = Vec::new();
    let (mut next, mut bytes) = (gst::ClockTime::ZERO, 0);
    while kept.len() < count && bytes < MOST_BYTES {
        let Some(sample) = frames.next()? else { break };
        let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps_owned()) else {
            continue;
        };
        if buffer.pts().is_some_and(|pts| pts < next) {
            continue;
        }
        next = buffer.pts().unwrap_or(next) + interval;
        let copy = buffer.copy_deep().map_err(Failure::pipeline)?;
        bytes += copy.size();
        kept.push(gst::Sample::builder().buffer(&copy).caps(&caps).build());
    }
    Ok(kept)
}

/// Draws the boxes of a frame, and writes it as PNG.
pub fn draw(sample: &gst::Sample, path: &Path) -> Result<(), Failure> {
    let text =
        "appsrc name=in format=time ! detectoverlay ! videoconvert ! pngenc ! filesink name=out";
    let pipeline = Pipeline::launch(text)?;
    let (input, output) = (pipeline.element("in")?, pipeline.element("out")?);
    output.set_property("location", path.display().to_string());
    let outcome = push_one(&pipeline, &input, sample);
    outcome.map_err(|why| Failure::Output(format!("cannot write {}: {why}", path.display())))
}

/// Pushes one frame through a pipeline, and waits for its end.
fn push_one(pipeline: &Pipeline, input: &gst::Element, sample: &gst::Sample) -> Result<(), String> {
    let started = pipeline.set_state(gst::State::Playing);
    // If either fails, an error is posted on the bus.
    let _ = input.emit_by_name::<gst::FlowReturn>("push-sample", &[sample]);
    let _ = input.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    let bus = pipeline.bus().ok_or("no bus")?;
    let ends = [gst::MessageType::Error, gst::MessageType::Eos];
    let patience = gst::ClockTime::try_from(PATIENCE).map_err(|err| err.to_string())?;
    let message = bus.timed_pop_filtered(patience, &ends);
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) if started.is_ok() => Ok(()),
        Some(gst::MessageView::Error(error)) => Err(error.error().to_string()),
        _ => Err("the pipeline did not end within two minutes".into()),
    }
}
