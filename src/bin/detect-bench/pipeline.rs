//! [`Pipeline`]: a GStreamer pipeline that is stopped when it is dropped.

use crate::failure::Failure;
use gst::prelude::*;
use std::ops::Deref;

pub struct Pipeline(gst::Pipeline);

impl Pipeline {
    /// Makes a pipeline of elements as gst-launch-1.0 takes them.
    pub fn launch(text: &str) -> Result<Self, Failure> {
        let pipeline = gst::parse::launch(text);
        let pipeline = pipeline
            .map_err(|err| Failure::Usage(format!("cannot make the pipeline \"{text}\": {err}")))?;
        let pipeline = pipeline.downcast::<gst::Pipeline>();
        let pipeline = pipeline.map_err(|_| {
            Failure::Usage(format!(
                "\"{text}\" is a single element, expected a pipeline"
            ))
        })?;
        Ok(Self(pipeline))
    }

    pub fn element(&self, name: &str) -> Result<gst::Element, Failure> {
        let element = self.0.by_name(name);
        element.ok_or_else(|| Failure::pipeline(format!("the pipeline has no element {name}")))
    }

    /// Returns the first error on the bus; `loading` = the model is not loaded yet.
    pub fn failure(&self, loading: bool) -> Option<Failure> {
        let bus = self.0.bus()?;
        let error = bus.pop_filtered(&[gst::MessageType::Error])?;
        match error.view() {
            gst::MessageView::Error(error) => Some(Failure::from_message(error, loading)),
            _ => None,
        }
    }
}

impl Deref for Pipeline {
    type Target = gst::Pipeline;

    fn deref(&self) -> &gst::Pipeline {
        &self.0
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}
