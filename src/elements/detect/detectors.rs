//! [`Detectors`]: one model at the input sizes that the pictures of a stream have asked for.
//!
//! A model of free size, of which nobody says what it was trained at, runs at the usual size in the shape of the
//! pictures. It is loaded before there are any, so it is loaded once more when the first of another shape comes: the
//! worker waits for that, and the element, when it stops, for no more than the worker.

use super::failure::Trouble;
use super::imp::{CAT, Detect};
use super::loading::Loaded;
use super::settings::Settings;
use crate::base::detection::Thresholds;
use crate::base::geometry::Size;
use crate::base::image::ImageView;
use crate::detector::{
    Ahead, Analysis, DetectError, Detector, DetectorOptions, OpenError, Prepared,
};
use crate::model::input_size;
use gst::subclass::prelude::*;
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// Sizes kept at the most; a camera has two shapes, upright and across.
const KEPT: usize = 4;

/// Which workers, and of which model: both in numbers of [`State`](super::state::State).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub epoch: u64,
    pub model: u64,
}

/// What is loaded, and how more is.
pub(super) struct Detectors {
    options: DetectorOptions,
    /// The one in use first.
    ready: Vec<Detector>,
    /// Sizes that cannot be had.
    refused: Vec<Size>,
    /// The last classes that were those of the model.
    pub classes: Option<Arc<str>>,
}

impl Detectors {
    pub fn new(detector: Detector, options: DetectorOptions) -> Self {
        Self {
            options,
            ready: vec![detector],
            refused: Vec::new(),
            classes: None,
        }
    }

    /// The one in use.
    pub fn current(&self) -> &Detector {
        &self.ready[0]
    }

    pub fn prepare(&mut self, image: &ImageView) -> Result<Prepared, DetectError> {
        self.ready[0].prepare(image)
    }

    /// Takes over an input that was made ahead; see [`Detector::take`].
    pub fn take(&mut self, ahead: &mut Ahead) -> Option<Prepared> {
        self.ready[0].take(ahead)
    }

    /// Finds objects in the picture that was prepared last.
    ///
    /// Classes that the model has not are those of another that is on its way; until it is there the classes of before
    /// stay.
    pub fn infer(
        &mut self,
        prepared: &Prepared,
        mut thresholds: Thresholds,
        low_score: Option<f32>,
    ) -> Result<Analysis, DetectError> {
        match self.ready[0].infer(prepared, &thresholds, low_score) {
            Err(DetectError::Classes(_)) if thresholds.classes != self.classes => {
                thresholds.classes.clone_from(&self.classes);
                self.ready[0].infer(prepared, &thresholds, low_score)
            }
            result => {
                self.classes = thresholds.classes;
                result
            }
        }
    }

    /// The input size that pictures of this size ask for, if it is another than that in use and may be had.
    pub fn wanted(&self, picture: Size) -> Option<Size> {
        let model = self.ready[0].model();
        let size = input_size::usual(Some(picture), model.follows_picture?);
        (size != model.input.size && !self.refused.contains(&size)).then_some(size)
    }

    /// Makes the detector of this input size the one in use, if it has been loaded before.
    fn change_to(&mut self, size: Size) -> bool {
        let of_this_size = |detector: &Detector| detector.model().input.size == size;
        let index = self.ready.iter().position(of_this_size);
        if let Some(index) = index {
            self.ready.swap(0, index);
        }
        index.is_some()
    }

    /// Makes a new detector the one in use.
    fn add(&mut self, detector: Detector) {
        self.ready.insert(0, detector);
        self.ready.truncate(KEPT);
    }
}

/// What came of asking for the detector that suits a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It was in use.
    Already,
    /// Another one is in use now, or could not be had. That may have taken as long as loading a model.
    Changed,
    /// The element has stopped: the frame is of no use any more.
    Stopped,
}

/// What a thread that loads leaves for the worker.
type Opened = std::thread::Result<Result<Detector, OpenError>>;

impl Detect {
    /// Makes the detector for pictures of this size the one in use. Blocks while it is loaded, unless the element stops:
    /// frames of a live source are meanwhile displaced by newer ones, others wait.
    pub(super) fn fit(&self, detectors: &mut Detectors, picture: Size, of: Run) -> Fit {
        let Some(size) = detectors.wanted(picture) else {
            return Fit::Already;
        };
        gst::info!(
            CAT,
            imp = self,
            "Pictures of {picture} ask for an input of {size}"
        );
        if detectors.change_to(size) {
            self.announce_size(detectors, of);
            return Fit::Changed;
        }
        match self.open_for(detectors, picture, of) {
            None => return Fit::Stopped,
            Some(Ok(detector)) => {
                detectors.add(detector);
                self.announce_size(detectors, of);
            }
            Some(Err(err)) => {
                detectors.refused.push(size);
                let sentence =
                    format!("The model cannot run at {size}, which suits the picture: {err}");
                let trouble = Trouble::new(gst::LibraryError::Init, &sentence, format!("{err:?}"));
                self.post_warning(&trouble);
            }
        }
        Fit::Changed
    }

    /// Loads the model for pictures of another size in a thread of its own, which keeps to the processors of this one.
    /// `None` if the element stops before it is done: loading cannot be broken off, and nobody shall wait for it.
    fn open_for(
        &self,
        detectors: &Detectors,
        picture: Size,
        of: Run,
    ) -> Option<Result<Detector, OpenError>> {
        let (model, options) = (
            detectors.current().model().clone(),
            detectors.options.clone(),
        );
        let (element, opened) = (self.obj().downgrade(), Arc::new(Mutex::new(None::<Opened>)));
        let place = opened.clone();
        let load = move || {
            let open = || Detector::open_for(&model, picture, &options);
            let result = catch_unwind(AssertUnwindSafe(open));
            *place.lock() = Some(result);
            if let Some(detect) = element.upgrade() {
                // Not between the worker's look at the place and its wait.
                drop(detect.imp().state.lock());
                detect.imp().wake.notify_all();
            }
        };
        let thread = std::thread::Builder::new().name("detect-load".into());
        if let Err(err) = thread.spawn(load) {
            gst::warning!(CAT, imp = self, "No thread to load the model in: {err}");
            let (model, options) = (detectors.current().model(), &detectors.options);
            return Some(Detector::open_for(model, picture, options));
        }
        let mut state = self.state.lock();
        loop {
            let done = opened.lock().take();
            match done {
                Some(Ok(result)) => return Some(result),
                Some(Err(panic)) => {
                    drop(state);
                    resume_unwind(panic);
                }
                None if state.epoch != of.epoch => return None,
                None => self.wake.wait(&mut state),
            }
        }
    }

    /// Tells that the model runs at another size, unless another worker has told it.
    fn announce_size(&self, detectors: &Detectors, of: Run) {
        let mut settings = Settings::clone(&self.settings.lock());
        settings.model.clone_from(&detectors.options.model.path);
        let loaded = self.describe(&settings, detectors.current());
        let input = |loaded: &Loaded| (loaded.path.clone(), loaded.report.input);
        let told = self.loaded.lock().as_ref().map(input);
        if told != Some(input(&loaded))
            && let Err(trouble) =
                self.announce(loaded, |s| s.epoch == of.epoch && s.model == of.model)
        {
            self.post_warning(&trouble);
        }
    }
}
