//! [`Detectors`]: one model at the input sizes that the pictures of a stream have asked for.
//!
//! A model of free size, of which nobody says what it was trained at, runs at the usual size in the shape of the
//! pictures. It is loaded before there are any, so the worker loads it once more when the first of another shape comes.

use super::failure::Trouble;
use super::imp::{CAT, Detect};
use super::loading::Loaded;
use super::settings::Settings;
use super::state::Frame;
use crate::detector::{Detector, DetectorOptions, OpenError};
use crate::geometry::Size;
use crate::model::input_size;
use gst::subclass::prelude::*;

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
}

impl Detectors {
    pub fn new(detector: Detector, options: DetectorOptions) -> Self {
        Self {
            options,
            ready: vec![detector],
            refused: Vec::new(),
        }
    }

    /// The one in use.
    pub fn current(&self) -> &Detector {
        &self.ready[0]
    }

    pub fn current_mut(&mut self) -> &mut Detector {
        &mut self.ready[0]
    }

    /// The input size that pictures of this size ask for, if it is another than that in use and may be had.
    pub fn wanted(&self, picture: Size) -> Option<Size> {
        let model = self.ready[0].model();
        let size = input_size::usual(Some(picture), model.follows_picture?);
        (size != model.input.size && !self.refused.contains(&size)).then_some(size)
    }

    /// Makes the detector of input size `size` the one in use, loading it if that was not done before.
    fn change_to(&mut self, size: Size, picture: Size) -> Result<(), OpenError> {
        let of_this_size = |detector: &Detector| detector.model().input.size == size;
        if let Some(index) = self.ready.iter().position(of_this_size) {
            self.ready.swap(0, index);
            return Ok(());
        }
        let mut options = self.options.clone();
        options.model.picture = Some(picture);
        let detector = Detector::open(&options).inspect_err(|_| self.refused.push(size))?;
        self.ready.insert(0, detector);
        self.ready.truncate(KEPT);
        Ok(())
    }
}

impl Detect {
    /// The detector for the picture of a frame. Blocks while one is loaded: frames of a live source are meanwhile
    /// displaced by newer ones, others wait.
    pub(super) fn detector_for<'a>(
        &self,
        detectors: &'a mut Detectors,
        frame: &mut Frame,
        of: Run,
    ) -> &'a mut Detector {
        // What frames usually meet is no loading.
        frame.measured |= self.fit(detectors, frame.stream.picture.size, of);
        detectors.current_mut()
    }

    /// Makes the detector for pictures of this size the one in use. Blocks while it is loaded, and tells that it was.
    pub(super) fn fit(&self, detectors: &mut Detectors, picture: Size, of: Run) -> bool {
        let wanted = detectors.wanted(picture);
        if let Some(size) = wanted {
            gst::info!(
                CAT,
                imp = self,
                "Pictures of {picture} ask for an input of {size}"
            );
            match detectors.change_to(size, picture) {
                Ok(()) => self.announce_size(detectors, of),
                Err(err) => {
                    let sentence =
                        format!("The model cannot run at {size}, which suits the picture: {err}");
                    self.post_warning(&Trouble::new(
                        gst::LibraryError::Init,
                        &sentence,
                        format!("{err:?}"),
                    ));
                }
            }
        }
        wanted.is_some()
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
