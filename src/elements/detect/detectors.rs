//! [`Detectors`]: one model at the input sizes that the pictures of a stream have asked for.

use crate::base::detection::Thresholds;
use crate::base::geometry::Size;
use crate::base::image::ImageView;
use crate::detector::{
    Ahead, Analysis, DetectError, Detector, DetectorOptions, OpenError, Prepared,
};
use crate::model::input_size;
use std::path::PathBuf;
use std::sync::Arc;

/// Most sizes kept; a camera has two shapes, upright and across.
const KEPT: usize = 4;

/// One worker's detectors of one model, and the options to load further ones.
pub struct Detectors {
    options: DetectorOptions,
    /// The one in use first.
    ready: Vec<Detector>,
    /// Sizes at which the model cannot run.
    refused: Vec<Size>,
    /// The last value of the property `classes` that the model has.
    classes: Option<Arc<str>>,
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

    /// The detector in use.
    pub fn current(&self) -> &Detector {
        &self.ready[0]
    }

    /// The path that the model was loaded from.
    pub fn path(&self) -> &Option<PathBuf> {
        &self.options.model.path
    }

    /// Sets the classes to fall back to, see [`Self::infer`].
    pub fn set_classes(&mut self, classes: Option<Arc<str>>) {
        self.classes = classes;
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
    /// Classes that the model does not have are for another model that is on its way. Until it is there, the last classes
    /// that this model has stay in force.
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

    /// The input size that pictures of this size ask for, if it is not in use and was not refused.
    pub fn wanted(&self, picture: Size) -> Option<Size> {
        let model = self.ready[0].model();
        let size = input_size::usual(Some(picture), model.follows_picture?);
        (size != model.input.size && !self.refused.contains(&size)).then_some(size)
    }

    /// Puts the detector of this input size into use, if it was loaded before.
    pub fn change_to(&mut self, size: Size) -> bool {
        let has_size = |detector: &Detector| detector.model().input.size == size;
        let index = self.ready.iter().position(has_size);
        if let Some(index) = index {
            self.ready.swap(0, index);
        }
        index.is_some()
    }

    /// Puts a new detector into use.
    pub fn add(&mut self, detector: Detector) {
        self.ready.insert(0, detector);
        self.ready.truncate(KEPT);
    }

    /// Notes that the model cannot run at this size.
    pub fn refuse(&mut self, size: Size) {
        self.refused.push(size);
    }

    /// Returns a function that loads the model at the size that pictures of the size `picture` ask for, in any thread.
    pub fn loads_for(
        &self,
        picture: Size,
    ) -> impl FnOnce() -> Result<Detector, OpenError> + Send + 'static {
        let (model, options) = (self.current().model().clone(), self.options.clone());
        move || Detector::open_for(&model, picture, &options)
    }
}
