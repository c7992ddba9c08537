//! Loads the model at the input size that the pictures of a stream ask for.
//!
//! A model of free size whose training size is unknown runs at the usual size, in the shape of the pictures. It is loaded
//! before there are any, and once more when the first picture of another shape comes. The worker waits for that, but no
//! longer than until the element stops, or than the property `load-timeout` allows.

use super::CAT;
use super::detectors::Detectors;
use super::failure::Failure;
use super::imp::Detect;
use super::loader;
use super::model_slot::{Loaded, OpenedSize};
use super::settings::Settings;
use super::state::workers::Run;
use super::watch::{NotLoaded, Watch};
use crate::base::geometry::Size;
use crate::detector::Detector;
use crate::host::affinity::Processors;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::error::Error;
use std::panic::resume_unwind;
use std::time::Instant;

/// Answer to asking for the detector that suits a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It was in use.
    Already,
    /// Another one is in use now, or could not be loaded. That may have taken as long as loading a model.
    Changed,
    /// The element has stopped: the frame is of no use any more.
    Stopped,
}

impl Detect {
    /// Puts the detector for pictures of this size into use. Blocks while it is loaded, unless the element stops. Meanwhile
    /// newer frames of a live source replace older ones, and other frames wait.
    pub(super) fn fit(&self, detectors: &mut Detectors, picture: Size, run: Run) -> Fit {
        let Some(size) = detectors.wanted(picture) else {
            return Fit::Already;
        };
        gst::info!(
            CAT,
            imp = self,
            "Pictures of {picture} ask for an input of {size}"
        );
        if detectors.change_to(size) {
            self.announce_size(detectors, run);
            return Fit::Changed;
        }
        match self.open_for(detectors, picture, run) {
            None => return Fit::Stopped,
            Some(Ok(detector)) => {
                detectors.add(detector);
                self.announce_size(detectors, run);
            }
            Some(Err(err)) => {
                detectors.refuse(size);
                let sentence =
                    format!("The model cannot run at {size}, which suits the picture: {err}");
                let failure = Failure::new(gst::LibraryError::Init, &sentence, format!("{err:?}"));
                self.post_warning(&failure);
            }
        }
        Fit::Changed
    }

    /// Loads the model for pictures of another size in the thread for loading, which keeps to the processors of this one.
    /// Returns `None` if the element stops before that is done: loading cannot be broken off, and nobody shall wait for it.
    fn open_for(
        &self,
        detectors: &Detectors,
        picture: Size,
        run: Run,
    ) -> Option<Result<Detector, Box<dyn Error>>> {
        let order = self.slot.lock().order_size();
        let (element, allowed) = (self.obj().downgrade(), Processors::of_this_thread().ok());
        let load = detectors.loads_for(picture);
        let work = move || {
            // A failure leaves the thread on the processors of its last model, and the model loads all the same.
            let _ = allowed.as_ref().map(Processors::pin_this_thread);
            load()
        };
        let done = move |opened| {
            if let Some(detect) = element.upgrade() {
                detect.imp().size_opened(run, order, opened);
            }
        };
        let limit = self.settings.lock().load_timeout();
        let watch = match loader::start(limit, work, done) {
            Ok(watch) => watch,
            Err(err) => return Some(Err(err.into())),
        };
        if let Some(late) = self.await_size(order, run, &watch)? {
            return Some(Err(late.into()));
        }
        let opened = self.slot.lock().take_size(order)?;
        let opened = opened.unwrap_or_else(|panic| resume_unwind(panic));
        Some(opened.map_err(Into::into))
    }

    /// Waits until an ordered size is loaded or late. Returns `None` if the element stops.
    fn await_size(&self, order: u64, run: Run, watch: &Watch) -> Option<Option<NotLoaded>> {
        let mut end = watch.end();
        let mut state = self.state.lock();
        while !state.take_loaded_size(order) {
            if state.is_over(run.epoch) {
                return None;
            }
            match end {
                None => self.wake.wait(&mut state),
                Some(at) if Instant::now() < at => self.wake.wait_until(&mut state, at),
                Some(_) => match watch.leave() {
                    Some(late) => return Some(Some(late)),
                    None => end = None, // it has been loaded just now
                },
            }
        }
        Some(None)
    }

    /// Leaves a loaded size for the worker that waits for it, unless the worker has ended.
    fn size_opened(&self, run: Run, order: u64, opened: OpenedSize) {
        let unused = {
            let mut slot = self.slot.lock();
            match self.state.lock().size_loaded(run.epoch, order) {
                true => {
                    slot.put_size(order, opened);
                    None
                }
                false => Some(opened),
            }
        };
        self.wake.notify_all();
        drop(unused);
    }

    /// Posts that the model runs at another size, unless another worker has posted it.
    fn announce_size(&self, detectors: &Detectors, run: Run) {
        let mut settings = Settings::clone(&self.settings.lock());
        settings.model.clone_from(detectors.path());
        let running_time = self.obj().current_running_time();
        let loaded = Loaded::new(&settings, detectors.current(), running_time);
        if self.slot.lock().has_described(&loaded) {
            return;
        }
        if let Err(failure) = self.announce(loaded, |state| state.is_current(run)) {
            self.post_warning(&failure);
        }
    }
}
